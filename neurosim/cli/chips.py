"""``neurosim chips``: the machines there are, and their descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurosim.chips import Chip


def show_chips(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A chip, or the path of a chip's TOML file.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table or TOML.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With NAME: every key, with those of its base filled in.")
    ] = False,
) -> None:
    """List the chips, or print one as TOML."""
    from neurosim.chips import chip_files, chip_names, load_chip
    from neurosim.cli.output import print_json, print_table, print_toml
    from neurosim.descriptions import to_toml

    if name:
        chip = load_chip(name)
        if json:
            print_json(chip.model_dump(mode="json"))
        elif full or name not in chip_files():
            print_toml(to_toml(chip))
        else:
            print_toml(chip_files()[name].read_text(encoding="utf-8"))
        return
    rows = [_row(load_chip(known)) for known in chip_names()]
    if json:
        print_json(rows)
    else:
        columns = [key.replace("_", " ").removesuffix(" mhz").removesuffix(" bytes") for key in rows[0]]
        print_table("Chips", columns, [[_shown(key, value) for key, value in row.items()] for row in rows])


def _shown(key: str, value: object) -> object:
    from neurosim.units import human

    return human(value, key) if key in ("clock_mhz", "on_chip_bytes") and isinstance(value, int | float) else value


def _row(chip: Chip) -> dict[str, Any]:
    from neurosim.chips import assumed

    lanes = chip.cores * chip.core.lanes[0] * chip.core.lanes[1]
    on_chip_bytes = chip.cores * (chip.core.neuron_memory.capacity_bytes + chip.core.synapse_memory.capacity_bytes)
    if chip.channel is not None and chip.behind_channel:
        on_chip_bytes = chip.channel.cache_bytes
    return {
        "chip": chip.name,
        "cores": chip.cores,
        "grid": f"{chip.columns} x {chip.rows}",
        "clock_mhz": chip.clock_mhz,
        "macs_per_cycle": round(lanes / chip.core.mac_cycles, 2) if chip.core.mac_cycles > 1 else lanes,
        "on_chip_bytes": on_chip_bytes,
        "weight_bits": chip.widths.weight_bits,
        "memories": "behind a DRAM channel" if chip.behind_channel else "in the cores",
        "assumptions": len(assumed(chip)),
    }
