"""Slow twin of the placement: stored values are enumerated, splits are searched, nothing is a closed form.

A layer without an error task stores no error, receives none and keeps no feedback: a value has room only if some task
of a training step touches it. Forward-only runs use the placement of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

from naive_case import Case, index_bits

from neurosim.chips import Chip
from neurosim.errors import PlacementError


def sizes(case: Case) -> dict[int, tuple[int, int]]:
    """Return {core: (neuron memory bits, synapse memory bits)} by listing what each core has to store."""
    used = sorted({core for owners in case.cores for core in owners})
    return {core: (_neuron_bits(case, core), _synapse_bits(case, core)) for core in used}


def _layers_of(case: Case, core: int) -> list[tuple[int, range]]:
    """List the layers of which a core owns neurons, with those neurons."""
    return [(layer, own) for layer in range(1, case.depth + 1) for at, own in case.slices(layer).items() if at == core]


def _training_bits(case: Case, layer: int) -> int:
    """Bits of optimizer state and gradient that stand beside one weight or bias of a layer."""
    widths, bits = case.chip.widths, 0
    if case.trained(layer):
        for _ in range(case.state_words):
            bits += widths.state_bits
        if len(case.samples()) > 1:
            bits += widths.accumulator_bits
    return bits


def _neuron_bits(case: Case, core: int) -> int:
    biases = sum(
        case.chip.widths.bias_bits + _training_bits(case, layer) for layer, own in _layers_of(case, core) for _ in own
    )
    in_flight = case.window if case.overlap == "exact" else 1
    return biases + in_flight * case.microbatch * sum(_values_of_a_sample(case, core).values())


def _values_of_a_sample(case: Case, core: int) -> dict[tuple[str | int, ...], int]:
    """Return {value: bits} of all that a core holds for one sample; a key that comes twice is stored once."""
    widths, rule = case.chip.widths, case.rule
    bits: dict[tuple[str | int, ...], int] = {}
    for layer, own in _layers_of(case, core):
        for i in range(case.widths[layer - 1]):
            bits["h", layer - 1, i] = widths.activation_bits
        for j in own:
            bits["h", layer, j] = widths.activation_bits
            if case.has_error(layer):
                bits["delta", layer, j] = widths.error_bits
    for layer, own in _layers_of(case, core):
        if rule.partial_sums and layer < case.depth and case.has_error(layer):
            for j in own:
                bits["sum", layer, j] = widths.accumulator_bits
        if rule.partial_sums and layer > 1 and case.has_error(layer - 1):
            for i in range(case.widths[layer - 1]):
                bits["partial sum", layer - 1, i] = widths.accumulator_bits
        if rule.error == "target" or rule.partial_sums or layer == case.depth or not case.has_error(layer):
            continue  # targets are labels, which take no room
        for j in own:
            for k in case.terms(layer, j):
                received_bits = 2 if rule.error == "output-sign" else widths.error_bits
                bits.setdefault(("delta", case.source_layer(layer), k), received_bits)
    return bits


def _synapse_bits(case: Case, core: int) -> int:
    widths, rule, bits = case.chip.widths, case.rule, 0
    for layer, own in _layers_of(case, core):
        for _ in own:
            for _ in range(case.widths[layer - 1]):
                bits += widths.weight_bits + _training_bits(case, layer)
                held_with_weights = rule.partial_sums and case.magnitudes() and not case.generated
                if held_with_weights and layer > 1 and case.has_error(layer - 1):
                    bits += widths.feedback_bits
        if layer == case.depth or not case.has_error(layer) or rule.partial_sums:
            continue
        for j in own:
            for _ in case.terms(layer, j):
                if rule.mirrored:
                    bits += 1 if rule.matrix == "sign" else widths.weight_bits
                if case.magnitudes() and not case.generated:
                    bits += widths.feedback_bits
                    bits += index_bits(case.widths[case.source_layer(layer)]) if rule.sparse else 0
    return bits


def fits(case: Case) -> bool:
    """Whether both memories of every core hold what they must; capacity is not checked behind a channel."""
    neuron, synapse = case.chip.core.neuron_memory, case.chip.core.synapse_memory
    return case.chip.behind_channel or all(
        bits <= 8 * neuron.capacity_bytes and synapse_bits <= 8 * synapse.capacity_bytes
        for bits, synapse_bits in sizes(case).values()
    )


def auto_microbatch(case: Case) -> int:
    """Return the largest m <= min(N, R A) with which every core fits (all N behind a channel)."""
    if case.chip.behind_channel:
        return case.batch
    rows, _ = case.chip.core.lanes
    for microbatch in range(min(case.batch, rows * case.chip.core.accumulators_per_lane), 0, -1):
        if fits(replace(case, microbatch=microbatch)):
            return microbatch
    raise PlacementError("no microbatch fits")


def cores_needed(case: Case, layer: int) -> int:
    """Return lo_l: the fewest cores on which a layer alone fits at m = 1 (n_l + 1 if none do)."""
    elsewhere = range(case.widths[layer], case.widths[layer] + case.depth)
    for count in range(1, case.widths[layer] + 1):
        cores: list[Sequence[int]] = [[core] for core in elsewhere]
        cores[layer - 1] = range(count)
        alone = replace(case, cores=cores, microbatch=case.batch if case.chip.behind_channel else 1)
        neuron, synapse = case.chip.core.neuron_memory, case.chip.core.synapse_memory
        if case.chip.behind_channel or all(
            _neuron_bits(alone, core) <= 8 * neuron.capacity_bytes
            and _synapse_bits(alone, core) <= 8 * synapse.capacity_bytes
            for core in range(count)
        ):
            return count
    return case.widths[layer] + 1


def apportion(widths: Sequence[int], cores: int, lows: Sequence[int]) -> list[int]:
    """Return c_1..c_L: quotas by forward MACs, at least ``lows``, at most one core a neuron."""
    neurons = list(widths[1:])
    if any(low > width for low, width in zip(lows, neurons, strict=True)) or sum(lows) > cores:
        raise PlacementError("the layers need more cores than there are")
    macs = [before * after for before, after in zip(widths, neurons, strict=False)]
    quotas = [Fraction(cores * each, sum(macs)) for each in macs]
    counts = [min(width, max(low, int(quota))) for width, low, quota in zip(neurons, lows, quotas, strict=True)]
    while sum(counts) < cores and (growing := [i for i, c in enumerate(counts) if c < neurons[i]]):
        counts[max(growing, key=lambda i: (quotas[i] - counts[i], -i))] += 1
    while sum(counts) > cores:
        shrinking = [i for i, c in enumerate(counts) if c > lows[i]]
        counts[max(shrinking, key=lambda i: (counts[i] - quotas[i], i))] -= 1
    return counts


def share(widths: Sequence[int], cores: int) -> list[int]:
    """Return the core (0, 1, ...) of each layer when there are fewer cores than layers, by trying all cuts."""
    macs = [before * after for before, after in zip(widths, widths[1:], strict=False)]
    best: tuple[int, tuple[int, ...]] | None = None
    for cuts in combinations(range(1, len(macs)), cores - 1):
        ends = [0, *cuts, len(macs)]
        largest = max(sum(macs[a:b]) for a, b in zip(ends, ends[1:], strict=False))
        if best is None or largest < best[0]:
            best = (largest, cuts)
    assert best is not None
    return [sum(layer >= at for at in best[1]) for layer in range(len(macs))]


def core_order(chip: Chip) -> list[int]:
    """Return all cores column by column, y rising in one and falling in the next; within a router by number."""
    order = []
    for x in range(chip.columns):
        for y in range(chip.rows) if x % 2 == 0 else range(chip.rows - 1, -1, -1):
            first = (y * chip.columns + x) * chip.noc.cores_per_router
            order += list(range(first, first + chip.noc.cores_per_router))
    return order


def place(case: Case, lows: Mapping[int, int] | None = None) -> list[list[int]]:
    """Return the cores of each layer on the whole chip (``case.cores`` is not looked at).

    ``lows`` are lo_l by layer where ``compare`` takes them over its rules; the default is this rule's own.
    """
    order, depth = core_order(case.chip), case.depth
    if len(order) < depth:
        return [[order[group]] for group in share(case.widths, len(order))]
    layers = range(1, depth + 1)
    needed = [cores_needed(case, layer) if lows is None else lows[layer] for layer in layers]
    counts = apportion(case.widths, len(order), needed)
    parts, start = [], 0
    for count in counts:
        parts.append(order[start : start + count])
        start += count
    return parts
