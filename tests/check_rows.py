"""Rows that are known beforehand: the contract's check rows, the case on paper, and golden counts of five networks."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from naive_case import Case
from naive_strategies import tiny_chip

from neurosim.networks.conv import Conv
from neurosim.networks.dense import Dense
from neurosim.networks.pool import Flatten, Pool
from neurosim.rules import RULES, Rule

COLUMNS = (
    "macs",
    "elementwise_ops",
    "synapse_reads",
    "feedback_and_mirror_reads",
    "gradient_reads",
    "neuron_reads",
    "neuron_writes",
)
CHECK_ROWS = {
    "bp": (639680000, 9121620, 20507200, 0, 11476800, 54299600, 21361100),
    "fa": (639680000, 4161620, 14027200, 6480000, 11476800, 50967600, 15825100),
    "dfa": (513280000, 4161620, 14027200, 160000, 11476800, 41171600, 10927100),
    "ssdfa": (510400000, 4161620, 14027200, 16000, 11476800, 41239600, 10927100),
    "drtp": (510080000, 4161620, 14027200, 320000, 11476800, 40932200, 10813700),
    "last-layer": (256640000, 664020, 12760000, 0, 72000, 20302000, 10465100),
}


def paper_case(rule: str | Rule, **changes: Any) -> Case:
    """Return 4-3-3-2 on cores 0, 1, 1 with four samples in microbatches of two."""
    fields: dict[str, Any] = {
        "widths": (4, 3, 3, 2),
        "rule": RULES[rule] if isinstance(rule, str) else rule,
        "chip": tiny_chip(),
        "cores": [[0], [1], [1]],
        "batch": 4,
        "microbatch": 2,
        "sparse": {1: [[0], [1], [0]], 2: [[1], [1], [0]]},
    }
    return Case(**{**fields, **changes})


def golden_rows() -> list[dict[str, str]]:
    """Rows of dense networks: widths as numbers, ``7x240`` written out."""
    with (Path(__file__).parent / "golden_counts.csv").open() as file:
        return [row for row in csv.DictReader(file) if "cnn" not in row["network"]]


def golden_widths(name: str) -> list[int]:
    """Return the widths of a row's network."""
    parts = [part.partition("x") for part in name.split("-")]
    return [int(size or times) for times, _, size in parts for _ in range(int(times) if size else 1)]


def conv_paper_case(rule: str | Rule, **changes: Any) -> Case:
    """Return an image of 4 x 4, two filters of 3 x 3 and a max pool of 2 x 2 on core 0, three outputs on core 2.

    One sample, plain SGD, lanes [1, 2] of two accumulators. The map is 2 x 4 x 4, 2 x 2 x 2 of it is handed on.
    """
    fields: dict[str, Any] = {
        "image": (1, 4, 4),
        "layers": (Conv(channels=2, kernel=3), Pool(kind="max_pool", kernel=2), Flatten(), Dense(units=3)),
        "rule": RULES[rule] if isinstance(rule, str) else rule,
        "chip": tiny_chip(grid=(3, 1)),
        "cores": [[0], [2]],
        "batch": 1,
        "microbatch": 1,
        "sparse": {1: [[unit % 3] for unit in range(8)]},
    }
    return Case(**{**fields, **changes})
