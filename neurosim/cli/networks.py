"""``neurosim networks``: networks to start from, and any shorthand as TOML."""

from __future__ import annotations

from typing import Annotated

import typer


def show_networks(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A shorthand such as 784-800-10, or the path of a TOML file.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table or TOML.")] = False,
) -> None:
    """List networks to start from, or print one as TOML."""
    from neurosim.cli.output import print_json, print_table, print_toml
    from neurosim.descriptions import to_toml
    from neurosim.networks import NETWORKS, load_network

    if name:
        network = load_network(name)
        if json:
            print_json(network.model_dump(mode="json"))
        else:
            print_toml(to_toml(network))
        return
    rows = []
    for known, purpose in NETWORKS.items():
        shapes = load_network(known).shapes
        weights = sum(shape.weights for shape in shapes)
        rows.append({"network": known, "layers": len(shapes), "weights": weights, "for": purpose})
    if json:
        print_json(rows)
    else:
        print_table("Networks (any widths will do: 784-300-10)", list(rows[0]), [list(row.values()) for row in rows])
