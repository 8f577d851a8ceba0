"""Counts: multiply-accumulates and feedback words of published networks, from shapes alone."""

from __future__ import annotations

import csv
from pathlib import Path

import neurosim as ns
from validation.section import EXACT, Extent, Row, Section, text_of

GOLDEN = Path(__file__).parents[2] / "tests" / "golden_counts.csv"
SHIPPED = {"cifar10-cnn-same": "cifar10-cnn"}
"""Names of the file that go by another name in neurosim."""


def validate(extent: Extent) -> Section:
    """Compare the MACs of a sample, in all three phases together, of every network and rule of the file."""
    rows = []
    with GOLDEN.open(encoding="utf-8") as file:
        for golden in csv.DictReader(file):
            name = golden["network"]
            chip = "von_neumann"
            found = ns.cost(
                SHIPPED.get(name, name), rule=golden["rule"], chip=chip, batch_size=1, optimizer="sgd",
                fidelity="analytic",
            )  # fmt: skip
            what = f"MACs a sample, {name}, {golden['rule']}"
            source = "arithmetic on the shapes"
            rows.append(Row(what, int(golden["macs_total"]), found.counts["macs"], source, limit=EXACT))
    return Section("Counts", text_of("counts"), rows)
