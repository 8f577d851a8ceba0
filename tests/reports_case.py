"""Small results of a run, for the tests of reports: costs of 4-3-3-2 on tiny, and a history made up by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from neurosim.pipeline import cost

NETWORK, BATCH, SAMPLES = "4-3-3-2", 4, 8
RULES = ("bp", "bp-mirrored", "ssdfa")
MACHINES = (("tiny", "multicast"), ("tiny", "unicast"), ("von_neumann", "multicast"))
_EXACT = ("bp", "bp-mirrored")
_SHARE = {"bp-mirrored": 0.5}
_FIRST_LOSS = {"ssdfa": 1.01}
NEEDED = {"bp": {1: 6, 2: 4}, "bp-mirrored": {1: 6, 2: 4}, "ssdfa": {1: 1, 2: 1}}


@cache
def one_cost(rule: str, chip: str, delivery: str) -> pd.DataFrame:
    """Return the costs of a step of one rule on one machine, with the values that a neuron needs."""
    priced = cost(NETWORK, rule=rule, chip=chip, batch_size=BATCH, delivery=delivery)
    needed = [(rule, "error", layer, "values_needed", "count", value) for layer, value in NEEDED[rule].items()]
    frame = pd.concat([priced.frame, pd.DataFrame(needed, columns=priced.frame.columns)], ignore_index=True)
    return frame.assign(chip=chip, delivery=delivery, per="step")


def costs(rules: tuple[str, ...] = RULES) -> pd.DataFrame:
    """Return the costs of some rules on every machine."""
    return pd.concat([one_cost(rule, *machine) for rule in rules for machine in MACHINES], ignore_index=True)


def crossing(found: pd.DataFrame) -> pd.DataFrame:
    """Return costs as if half of what moves over links went from one chip to another."""
    halved = found.copy()
    for whole, part in (("bit_hops", "border_bit_hops"), ("link_energy_pj", "border_energy_pj")):
        values = found[found["quantity"] == whole]["value"].to_numpy() / 2
        halved.loc[halved["quantity"] == part, "value"] = values
    halved.loc[halved["quantity"] == "link_energy_pj", "value"] /= 2
    return halved


def history(rules: tuple[str, ...] = RULES, seeds: int = 2, epochs: int = 2) -> pd.DataFrame:
    """Return 50, 70, 90 % test accuracy for seed 0, 2 points more for each further one; 1 s and 2 J an epoch.

    Mirrored bp learns the same in half the time; ssdfa differs from both in its training loss.
    """
    rows = [
        {
            "rule": rule, "seed": seed, "epoch": epoch, "lr": 0.1,
            "train_loss": _FIRST_LOSS.get(rule, 1.0) / (1 + epoch),
            "train_accuracy": 0.55 + 0.2 * epoch + 0.02 * seed,
            "test_loss": 1.1 / (1 + epoch), "test_accuracy": 0.5 + 0.2 * epoch + 0.02 * seed,
            "seconds": _SHARE.get(rule, 1.0) * epoch, "joules": 2.0 * epoch, "bit_hops": 100 * epoch,
            "delta_angle_deg_1": 0.0 if rule in _EXACT else 80.0 - 10 * epoch,
            "delta_angle_deg_3": 0.0,
            "feedback_angle_deg_1": float("nan") if rule in _EXACT else 60.0,
        }
        for rule in rules for seed in range(seeds) for epoch in range(epochs + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def summary(**changes: Any) -> dict[str, Any]:
    """Return a summary with some keys changed."""
    never = {"epochs": None, "seconds": None, "joules": None, "bit_hops": None}
    reached = {"epochs": 2, "seconds": 2.0, "joules": 4.0, "bit_hops": 200}
    return {
        "network": NETWORK, "chip": "tiny", "dataset": "digits", "delivery": "multicast", "overlap": "none",
        "batch_size": BATCH, "epochs": 2, "seeds": [0, 1], "microbatch": 2, "cores_per_layer": [1, 1, 1],
        "target_accuracy": 0.9, "samples_per_epoch": SAMPLES, "init": "uniform", "optimizer": "adam",
        "lr": {"bp": 0.1, "bp-mirrored": 0.1, "ssdfa": 0.2},
        "assumed": ["tiny.clock_mhz: round"], "notes": ["A note of the run."],
        "to_target": {"bp": reached, "bp-mirrored": reached | {"seconds": 1.0}, "ssdfa": never},
    } | changes  # fmt: skip
