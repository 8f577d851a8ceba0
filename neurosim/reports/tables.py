"""Tables: the rules beside each other, accuracy with cycles, energy, data movement, memory accesses and MACs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from neurosim.counts import MEMORY_ACCESS_COUNTS
from neurosim.reports.results import Results, number_of
from neurosim.reports.transports import transport_count, transport_energy_pj


def comparison_table(history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per rule: what it learned and what it cost.

    Accuracies are percent, means over seeds after each seed's last epoch; ``test_accuracy_sd_percent`` is the sample
    standard deviation over seeds (NaN for one). Costs are those of the run's chip and delivery: counts and joules per
    sample (a step's over its samples), ``seconds_per_epoch`` of the simulated training, joules and seconds until the
    target accuracy (NaN: never reached). ``border_`` is what crosses from chip to chip, out of all bit-hops and all
    energy: 0 on one chip, NaN in runs that did not tell it apart. Columns with ``error_`` are the error phase alone,
    without static power; they contain the transport of new weights of a mirrored rule, which ``transport_`` shows
    apart.
    ``values_needed_per_neuron`` lists, by hidden layer, the values that one neuron needs for its error of one sample.
    ``waiting_messages_most`` is the most messages that waited in the network at once.
    Where some rule's recipe is one with published results, ``published_`` columns hold them: accuracies in percent, the
    epochs after which they were reached, their source, and whether they were confirmed there.

    Raises:
        RunError: the tables lack what is needed, or are damaged.
    """
    results = Results(history, costs, summary)
    return pd.DataFrame([_row(results, rule) for rule in results.rules])


def von_neumann_table(history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> pd.DataFrame:
    """Return the energy by component in joules per sample of every rule on every machine, the run's chip first.

    Columns: chip, rule, ``<component>_joules_per_sample`` and that of their total, seconds_per_sample.

    Raises:
        RunError: the tables lack what is needed, or are damaged.
    """
    results = Results(history, costs, summary)
    rows = []
    for machine in results.compared:
        for rule in (rule for rule in results.rules if results.has(rule, machine)):
            parts = {
                f"{part}_joules_per_sample": results.of_sample(rule, f"{part}_energy_pj", machine=machine) * 1e-12
                for part in (*results.energy_components, "total")
            }
            seconds = results.of_sample(rule, "seconds", machine=machine)
            rows.append({"chip": machine[0], "rule": rule, **parts, "seconds_per_sample": seconds})
    return pd.DataFrame(rows)


def _row(results: Results, rule: str) -> dict[str, Any]:
    target = results.to_target(rule)
    return {
        "rule": rule,
        "init": results.setting("init", rule),
        "optimizer": results.setting("optimizer", rule),
        "learning_rate": results.setting("lr", rule),
        **_accuracy(results, rule),
        **_published(results, rule),
        **_whole_step(results, rule),
        **_per_epoch(results, rule),
        "epochs_to_target": target["epochs"],
        "seconds_to_target": target["seconds"],
        "joules_to_target": target["joules"],
        "bit_hops_to_target": target["bit_hops"],
        **_error_phase(results, rule),
        "waiting_messages_most": results.of_step(rule, "waiting_messages_most"),
    }


def _accuracy(results: Results, rule: str) -> dict[str, Any]:
    last = results.last_epochs(rule)
    test, train = last["test_accuracy"] * 100, last["train_accuracy"] * 100
    return {
        "seeds": len(last),
        "epochs": int(last["epoch"].max()) if len(last) else 0,
        "test_accuracy_percent": test.mean(),
        "test_accuracy_sd_percent": test.std(ddof=1),
        "test_accuracy_least_percent": test.min(),
        "test_accuracy_most_percent": test.max(),
        "train_accuracy_percent": train.mean(),
        "train_loss": last["train_loss"].mean(),
        "test_loss": last["test_loss"].mean(),
    }


def _published(results: Results, rule: str) -> dict[str, Any]:
    if not results.published:
        return {}
    found = results.published.get(rule, {})
    return {
        "published_test_accuracy_percent": number_of(found.get("test_accuracy_percent")),
        "published_train_accuracy_percent": number_of(found.get("train_accuracy_percent")),
        "published_epochs": number_of(found.get("epochs")),
        "published_source": found.get("source", ""),
        "published_confirmed": found.get("confirmed", ""),
    }


def _whole_step(results: Results, rule: str) -> dict[str, float]:
    return {
        "macs_per_sample": results.of_sample(rule, "macs"),
        "memory_accesses_per_sample": memory_accesses(results, rule) / results.batch_size,
        "payload_bits_per_sample": results.of_sample(rule, "payload_bits"),
        "bit_hops_per_sample": results.of_sample(rule, "bit_hops"),
        "border_bit_hops_per_sample": results.of_sample(rule, "border_bit_hops"),
        "joules_per_sample": results.of_sample(rule, "total_energy_pj") * 1e-12,
        "border_joules_per_sample": results.of_sample(rule, "border_energy_pj") * 1e-12,
    }


def _per_epoch(results: Results, rule: str) -> dict[str, float]:
    last = results.last_epochs(rule)
    run = last[last["epoch"] > 0]
    joules = run["joules"] / run["epoch"] if "joules" in run else pd.Series(dtype=float)
    return {"seconds_per_epoch": (run["seconds"] / run["epoch"]).mean(), "joules_per_epoch": joules.mean()}


def _error_phase(results: Results, rule: str) -> dict[str, Any]:
    samples = results.batch_size
    transport_joules = transport_energy_pj(results, rule) * 1e-12 / samples
    moved = {
        f"{name}_per_sample": (results.of_step(rule, name, phase="error") + transport_count(results, rule, name))
        / samples
        for name in ("payload_bits", "bit_hops")
    }
    accesses = memory_accesses(results, rule, phase="error") + transport_count(results, rule, "mirror_writes")
    needed = results.of_layers(rule, "values_needed", phase="error")
    return {
        "values_needed_per_neuron": "/".join(f"{needed[layer]:g}" for layer in sorted(needed)),
        "error_macs_per_sample": results.of_sample(rule, "macs", phase="error"),
        "error_memory_accesses_per_sample": accesses / samples,
        **{f"error_{name}": value for name, value in moved.items()},
        "error_joules_per_sample": _phase_pj(results, rule, "error") * 1e-12 / samples + transport_joules,
        "transport_bit_hops_per_sample": transport_count(results, rule, "bit_hops") / samples,
        "transport_joules_per_sample": transport_joules,
    }


def memory_accesses(results: Results, rule: str, *, phase: str | None = None) -> float:
    """Return the values that a step reads from and writes to the cores' memories."""
    return _total(results.of_step(rule, name, phase=phase) for name in MEMORY_ACCESS_COUNTS)


def _phase_pj(results: Results, rule: str, phase: str) -> float:
    return _total(results.of_step(rule, f"{part}_energy_pj", phase=phase) for part in results.energy_components)


def _total(values: Any) -> float:
    """Add up; what has no phase, such as static power, is NaN there and adds nothing."""
    return math.fsum(value for value in values if not math.isnan(value))
