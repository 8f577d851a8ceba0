"""Slow twin of durations: how many cycles a task takes on its core or port."""

from __future__ import annotations

from naive_case import Case, index_bits
from naive_machine import Task


def kind_bits(case: Case, name: str, kind: str) -> int:
    """Return the bits of one value of a kind, as stored."""
    if kind == "sign":
        return 1 if name.startswith("mirror") else 2
    if kind == "index":
        return index_bits(case.widths[-1])
    if kind == "label":
        return case.label_bits
    if kind == "argmax":
        return case.argmax_bits
    return int(getattr(case.chip.widths, f"{kind}_bits"))


def duration_cycles(case: Case, task: Task) -> int:
    """Return how long a task takes: its slowest resource, and the pipeline."""
    core, chip = case.chip.core, case.chip
    if task.name == "io":
        return max(1, -(-task.counts["offchip_bits", ""] // chip.io.io_bits_per_cycle))
    words = {"neuron": 0, "synapse": 0}
    for (name, kind), values in task.counts.items():
        if name.endswith(("_reads", "_writes")):
            memory = "neuron" if name.startswith("neuron") else "synapse"
            word_bits = getattr(core, f"{memory}_memory").word_bits
            words[memory] += values * -(-kind_bits(case, name, kind) // word_bits)
    generated = sum(values for (name, _), values in task.counts.items() if name.endswith("_generated"))
    phase = getattr(core, task.phase)
    rate = phase.elementwise_per_cycle or core.elementwise_per_cycle
    slowest = max(
        task.mac_cycles * (phase.mac_cycles or core.mac_cycles),
        -(-words["neuron"] // core.neuron_memory.words_per_cycle),
        -(-words["synapse"] // core.synapse_memory.words_per_cycle),
        -(-(task.counts["elementwise_ops", ""] + task.gathered_macs) // rate)
        * (phase.elementwise_cycles or core.elementwise_cycles),
        -(-generated // core.generate_per_cycle),
    )
    crossing = 0  # bounds a task from outside its pipeline
    if chip.channel is not None and chip.behind_channel:
        crossing = -(-task.counts["channel_bits", ""] // chip.channel.channel_bits_per_cycle)
    return max(1, slowest + core.pipeline_cycles, crossing)
