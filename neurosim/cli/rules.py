"""``neurosim rules``: the table of learning rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurosim.rules import Rule


def show_rules(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A rule, or the path of a rule's TOML file.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table or TOML.")] = False,
) -> None:
    """List the learning rules, or print one as TOML."""
    from neurosim.cli.output import print_json, print_table, print_toml
    from neurosim.descriptions import to_toml
    from neurosim.rules import RULES, load_rule

    if name:
        rule = load_rule(name)
        if json:
            print_json(rule.model_dump(mode="json"))
        else:
            print_toml(to_toml(rule))
    elif json:
        print_json([rule.model_dump(mode="json") for rule in RULES.values()])
    else:
        columns = ["rule", "a layer's error comes from", "it is multiplied with", "where"]
        print_table("Learning rules", columns, [_row(rule) for rule in RULES.values()])


_ERRORS = {
    "next": "the next layer's error",
    "output": "the output error",
    "output-sign": "the sign of the output error",
    "target": "the target",
    "none": "-",
}
_MAGNITUDES = {
    "xavier": "one constant a layer",
    "one": "the constant 1",
    "every_step": "magnitudes drawn every step",
    "once": "magnitudes drawn once",
}


def _row(rule: Rule) -> list[str]:
    return [rule.name, _ERRORS[rule.error], _matrix(rule), _where(rule)]


def _matrix(rule: Rule) -> str:
    if rule.matrix == "none":
        return "-"
    if rule.matrix == "weights":
        return "the next layer's weights, transposed"
    if rule.feedback.magnitude is not None:
        return f"the signs of the next layer's weights, {_MAGNITUDES[rule.feedback.magnitude]}"
    if rule.feedback.connections is None:
        return "fixed random B"
    outputs = "one output" if rule.feedback.connections == 1 else f"{rule.feedback.connections} outputs"
    return f"fixed random B, {outputs} a neuron"


def _where(rule: Rule) -> str:
    if rule.matrix == "none":
        return "-"
    if rule.partial_sums:
        return "at the weights' owners: partial sums travel"
    if rule.mirrored:
        return "at the layer, on a mirror: new weights travel"
    return "at the layer" if rule.error != "target" else "at the layer, without waiting for the output"
