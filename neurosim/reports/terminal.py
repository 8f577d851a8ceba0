"""The comparison on a terminal: three tables of at most 120 columns, and what their numbers are of."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, TextIO

import pandas as pd

from neurosim.reports.results import Results, listed
from neurosim.reports.tables import comparison_table, von_neumann_table
from neurosim.units import human

WIDTH = 120
"""Columns of the widest line."""

_NOTHING = "-"
_GROUPS = {
    "MACs,\nops %": ("mac", "elementwise", "generate"),
    "neuron\nmemory %": ("neuron_memory",),
    "synapse\nmemory %": ("synapse_memory",),
    "\nnetwork %": ("link", "border", "router"),
    "i/o,\nDRAM %": ("offchip", "channel"),
    "static,\nbarrier %": ("static", "barrier"),
}
"""Columns of the third table -> components of energy."""

Record = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Grid:
    """A table of text: a column's heading may have two lines; the first ``labels`` columns say what a row is of."""

    title: str
    labels: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def print_table(
    history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any], *, file: TextIO | None = None
) -> None:
    """Print the comparison: with rich on a terminal, as plain text into a file or a pipe.

    Raises:
        RunError: the tables lack what is needed, or are damaged.
    """
    stream = file or sys.stdout
    if not stream.isatty():
        stream.write(table_text(history, costs, summary))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    width = min(WIDTH, console.width)
    for grid in _grids(history, costs, summary):
        console.print(Text(grid.title, style="bold"))
        console.print(Text(_plain(grid, width)), soft_wrap=True)
        console.print()
    for line in caption(history, costs, summary):
        console.print(Text("\n".join(wrap(line, width, subsequent_indent="  ")), style="dim"), soft_wrap=True)


def table_text(history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> str:
    """Return the comparison as plain text, lines of at most WIDTH columns.

    Raises:
        RunError: the tables lack what is needed, or are damaged.
    """
    parts = [f"{grid.title}\n{_plain(grid, WIDTH)}" for grid in _grids(history, costs, summary)]
    notes = [line for text in caption(history, costs, summary) for line in wrap(text, WIDTH, subsequent_indent="  ")]
    return "\n\n".join(parts) + "\n\n" + "\n".join(notes) + "\n"


def caption(history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> list[str]:
    """Return the sentences under the tables: of which chip, network and recipe the numbers are, and per what."""
    results = Results(history, costs, summary)
    table = comparison_table(history, costs, summary)
    waiting = table["waiting_messages_most"].notna().any()
    return [
        f"{_machine(results)}.",
        f"{_training(results)}.",
        f"Counts and energy are those of a step of {results.batch_size} samples, divided by them; time and energy to a "
        "target are of the whole training until then.",
        *_borders(results),
        *_spread(table),
        *_published(results, table),
        "Energy holds static power except in the error phase by itself; what is not described is not in it.",
        *_mirrors(results, table),
        *_target(results),
        "Values per neuron: errors, and under bp and sign symmetry the next layer's weights too, that one hidden "
        "neuron needs for its error of one sample, layer by layer, on any chip.",
        *_sparse(results, table),
        *_machines(results),
        *(["Messages waiting: the most that waited in the network at once in a step."] if waiting else []),
        *_assumed(results),
        *(str(note) for note in results.summary.get("notes") or ()),
    ]


def _machine(results: Results) -> str:
    chip, delivery = results.machine
    told = {
        "overlap": results.summary.get("overlap"),
        "microbatch": results.summary.get("microbatch"),
        "cores per layer": listed(results.summary.get("cores_per_layer", "")),
    }
    rest = [f"{name} {value}" for name, value in told.items() if value not in (None, "")]
    return f"{results.summary['network']} on {chip}: " + ", ".join([f"{delivery} delivery", *rest])


def _training(results: Results) -> str:
    dataset = results.summary.get("dataset")
    parts = [f"Trained on {dataset}"] if dataset else ["Trained"]
    parts.append(f"batches of {results.batch_size}")
    for key in ("optimizer", "init", "lr"):
        by_rule = {rule: results.setting(key, rule) for rule in results.rules}
        if text := _by_rule(by_rule):
            tuned = " (tuned on the validation split)" if key == "lr" and results.summary.get("tuned") else ""
            parts.append(f"{'learning rate' if key == 'lr' else key} {text}{tuned}")
    return ", ".join(parts)


def _by_rule(values: Mapping[str, Any]) -> str:
    """Write a setting once, and the rules that differ from most: ``zero (bp: uniform)``."""
    known = {rule: value for rule, value in values.items() if value is not None}
    if not known:
        return ""
    most = max(known.values(), key=list(known.values()).count)
    others = ", ".join(f"{rule}: {value}" for rule, value in known.items() if value != most)
    return f"{most} ({others})" if others else str(most)


def _spread(table: pd.DataFrame) -> list[str]:
    seeds, epochs = int(table["seeds"].max()), int(table["epochs"].max())
    if seeds < 2:
        return [f"Accuracy after {_epochs(epochs)}, of one seed."]
    return [f"Accuracy after {_epochs(epochs)}: mean of {seeds} seeds ± their sample standard deviation."]


def _published(results: Results, table: pd.DataFrame) -> list[str]:
    """Say of each source whose results these are, and how far it trained."""
    by_source: dict[str, list[str]] = {}
    for rule, found in results.published.items():
        by_source.setdefault(str(found["source"]), []).append(rule)
    lines = []
    for source, rules in by_source.items():
        found = results.published[rules[0]]
        ours, theirs = int(table["epochs"].max()), int(found["epochs"])
        here = "as here" if ours == theirs else f"{_epochs(ours)} here"
        remembered = "" if found["confirmed"] else ", remembered and not confirmed"
        lines.append(
            f"Published accuracy of this recipe ({', '.join(rules)}), after {_epochs(theirs)}, {here}{remembered}: "
            f"{source}."
        )
    return lines


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _mirrors(results: Results, table: pd.DataFrame) -> list[str]:
    lines = [f"{rule} learns what {other} learns, to the bit." for rule, other in results.learned_as.items()]
    if (table["transport_joules_per_sample"] > 0).any():
        lines.append(
            "New weights: what a mirrored rule sends to its mirrors every step. It happens in the update phase; it is "
            "part of the error phase here, which could not do without it."
        )
    return lines


def _borders(results: Results) -> list[str]:
    if not results.has_borders:
        return []
    return ["Border: what crosses from one chip to another, out of all bit-hops and all energy."]


def _target(results: Results) -> list[str]:
    goal = results.summary.get("target_accuracy")
    if goal is None:
        return []
    epochs = _epochs(int(results.history["epoch"].max()))
    return [
        f"To {_percent(goal)}: until the mean over seeds of the test accuracy is first that high; not reached: not in "
        f"{epochs}."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _sparse(results: Results, table: pd.DataFrame) -> list[str]:
    """A reader who sees a sparse rule read more than a dense one will take it for a mistake."""
    if not {"dfa", "sdfa"} <= set(table["rule"]):
        return []
    return [
        "A sparse rule reads an index beside every value, and gathers one output error a product where dfa broadcasts "
        "one to all lanes: with several connections it can cost more than dfa."
    ]


def _machines(results: Results) -> list[str]:
    if not any("reuse ideal" in machine[0] for machine in results.compared):
        return []
    return [
        "von_neumann: nothing stays in its cache from one layer to the next; reuse ideal: weights, state, feedback, "
        "inputs and labels cross once a step, each where it is first needed, and activations never. The truth lies "
        "between."
    ]


def _assumed(results: Results) -> list[str]:
    count = len(results.summary.get("assumed") or ())
    what = "1 assumption stands" if count == 1 else f"{count} assumptions stand"
    return [f"{what} behind the numbers of {results.machine[0]}; summary.json lists them."] if count else []


def _grids(history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> list[Grid]:
    results = Results(history, costs, summary)
    chip = results.machine[0]
    records = comparison_table(history, costs, summary).to_dict("records")
    machines = von_neumann_table(history, costs, summary)
    grids = [
        _grid(f"Accuracy, and what learning costs per sample on {chip}", _learning_columns(results), records),
        _grid("The error phase by itself, per sample", _error_columns(records), records),
    ]
    if machines["chip"].nunique() > 1:
        names = " and ".join(dict.fromkeys(machines["chip"]))
        columns = _machine_columns(machines)
        grids.append(_grid(f"Where the energy goes on {names}", columns, machines.to_dict("records")))
    return grids


Column = tuple[str, Callable[[Record], str]]


def _grid(title: str, columns: Sequence[Column], records: Sequence[Record]) -> Grid:
    rows = tuple(tuple(text(record) for _, text in columns) for record in records)
    labels = sum(heading in ("chip", "rule") for heading, _ in columns)
    return Grid(title, labels, tuple(heading for heading, _ in columns), rows)


def _learning_columns(results: Results) -> list[Column]:
    classes = results.history[["train_accuracy", "test_accuracy"]].notna().any(axis=None)
    columns: list[Column] = [
        ("rule", lambda row: str(row["rule"])),
        *(_ACCURACY if classes else _LOSS),
        *(_PUBLISHED if results.published else ()),
        ("\nMACs", _shown("macs_per_sample", "")),
        ("memory\naccesses", _shown("memory_accesses_per_sample", "")),
        ("\nbit-hops", _shown("bit_hops_per_sample", "")),
        *(_BORDERS if results.has_borders else ()),
        ("\nenergy", _shown("joules_per_sample", "joules")),
        ("epoch\ntime", _shown("seconds_per_epoch", "seconds")),
    ]
    target = results.summary.get("target_accuracy")
    if target is not None:
        goal = f"to {100 * float(target):.4g} %"
        columns += [
            (f"{goal}\nepochs", _shown("epochs_to_target", "", "not reached")),
            (f"{goal}\ntime", _shown("seconds_to_target", "seconds", "not reached")),
            (f"{goal}\nenergy", _shown("joules_to_target", "joules", "not reached")),
        ]
    return columns


def _error_columns(records: Sequence[Record]) -> list[Column]:
    columns: list[Column] = [
        ("rule", lambda row: str(row["rule"])),
        ("values per\nneuron", lambda row: _shortened(str(row["values_needed_per_neuron"]))),
        ("\nMACs", _shown("error_macs_per_sample", "")),
        ("memory\naccesses", _shown("error_memory_accesses_per_sample", "")),
        ("payload\nbits", _shown("error_payload_bits_per_sample", "")),
        ("\nbit-hops", _shown("error_bit_hops_per_sample", "")),
        ("\nenergy", _shown("error_joules_per_sample", "joules")),
    ]
    if any(record["transport_joules_per_sample"] > 0 for record in records):
        columns += [
            ("new-weight\nbit-hops", _unless_none("transport_bit_hops_per_sample", "")),
            ("new-weight\nenergy", _unless_none("transport_joules_per_sample", "joules")),
        ]
    return [*columns, ("messages\nwaiting", _shown("waiting_messages_most", ""))]


def _machine_columns(machines: pd.DataFrame) -> list[Column]:
    known = {part for parts in _GROUPS.values() for part in parts}
    others = tuple(
        part
        for column in machines.columns
        if column.endswith("_joules_per_sample")
        and (part := column.removesuffix("_joules_per_sample")) not in (*known, "total")
    )
    groups = _GROUPS | ({"\nother %": others} if others else {})
    return [
        ("chip", lambda row: str(row["chip"])),
        ("rule", lambda row: str(row["rule"])),
        ("energy\nper sample", _shown("total_joules_per_sample", "joules")),
        ("time\nper sample", _shown("seconds_per_sample", "seconds")),
        *((name, _share(parts)) for name, parts in groups.items()),
    ]


def _shown(name: str, unit: str, absent: str = _NOTHING) -> Callable[[Record], str]:
    return lambda row: absent if _is_absent(row[name]) else human(float(row[name]), unit)


def _unless_none(name: str, unit: str) -> Callable[[Record], str]:
    return lambda row: _shown(name, unit)(row) if row[name] else _NOTHING


def _shortened(values: str) -> str:
    """Write the values of many layers as the first, the second and the last."""
    parts = values.split("/")
    return "/".join([*parts[:2], "..", parts[-1]]) if len(parts) > 3 else values


def _share(parts: Sequence[str]) -> Callable[[Record], str]:
    def text(row: Record) -> str:
        values = [row.get(f"{part}_joules_per_sample", math.nan) for part in parts]
        whole = row["total_joules_per_sample"]
        return _fixed(100 * math.fsum(value for value in values if not _is_absent(value)) / whole, 1) if whole else "-"

    return text


def _test_accuracy(row: Record) -> str:
    spread = "" if _is_absent(row["test_accuracy_sd_percent"]) else f" ± {row['test_accuracy_sd_percent']:.2f}"
    return _fixed(row["test_accuracy_percent"]) + spread


def _fixed(value: float, places: int = 2) -> str:
    return _NOTHING if _is_absent(value) else f"{value:.{places}f}"


def _is_absent(value: Any) -> bool:
    return value is None or math.isnan(value)


_ACCURACY: tuple[Column, ...] = (
    ("test\naccuracy %", _test_accuracy),
    ("train\n%", lambda row: _fixed(row["train_accuracy_percent"])),
)
_LOSS: tuple[Column, ...] = (
    ("test\nloss", lambda row: _fixed(row["test_loss"], 4)),
    ("train\nloss", lambda row: _fixed(row["train_loss"], 4)),
)
"""What stands for the accuracy where there are no classes."""
_PUBLISHED: tuple[Column, ...] = (("published\ntest %", lambda row: _fixed(row["published_test_accuracy_percent"])),)
"""What others reached with the same recipe, where that is known."""
_BORDERS: tuple[Column, ...] = (
    ("border\nbit-hops", _shown("border_bit_hops_per_sample", "")),
    ("border\nenergy", _shown("border_joules_per_sample", "joules")),
)
"""What crosses from chip to chip, where there are several."""


def _plain(grid: Grid, width: int) -> str:
    """Write a table with spaces only; columns that a line has no room for follow below, with their labels again."""
    headings = [("\n" + column).split("\n")[-2:] for column in grid.columns]
    lines = [*zip(*headings, strict=True), *grid.rows]
    widths = [max(len(row[n]) for row in lines) for n in range(len(grid.columns))]
    labels = list(range(grid.labels))
    blocks = [labels.copy()]
    for number in range(grid.labels, len(grid.columns)):
        taken = sum(widths[n] + 2 for n in blocks[-1])
        if taken + widths[number] > width and blocks[-1] != labels:
            blocks.append(labels.copy())
        blocks[-1].append(number)
    return "\n\n".join(_block(lines, widths, block, grid.labels) for block in blocks)


def _block(lines: Sequence[Sequence[str]], widths: Sequence[int], block: Sequence[int], labels: int) -> str:
    """Write some columns of a table whose first two lines are its heading; labels are set to the left."""
    text = [
        "  ".join(row[n].ljust(widths[n]) if n < labels else row[n].rjust(widths[n]) for n in block).rstrip()
        for row in lines
    ]
    return "\n".join([*text[:2], "-" * max(map(len, text)), *text[2:]])
