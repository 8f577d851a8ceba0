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
from naive_maps import LayerMap, Part

from neurosim.chips import Chip
from neurosim.errors import PlacementError


def sizes(case: Case) -> dict[int, tuple[int, int]]:
    """Return {core: (neuron memory bits, synapse memory bits)} by listing what each core has to store."""
    used = sorted({core for owners in case.cores for core in owners})
    return {core: (_neuron_bits(case, core), _synapse_bits(case, core)) for core in used}


def _parts_of(case: Case, core: int) -> list[tuple[int, Part]]:
    """List the layers of which a core holds a slice, with that slice."""
    return [(layer, part) for layer in range(1, case.depth + 1) for part in case.parts(layer) if part.core == core]


def _training_bits(case: Case, layer: int, part: Part) -> int:
    """Bits of optimizer state and gradient that stand beside one weight or bias of a slice: state at owners only."""
    widths, bits = case.chip.widths, 0
    if case.trained(layer):
        if part.tile == 0:
            for _ in range(case.state_words):
                bits += widths.state_bits
        if len(case.samples()) > 1 or case.tiled(layer):
            bits += widths.accumulator_bits
    return bits


def _neuron_bits(case: Case, core: int) -> int:
    fixed = 0
    for layer, part in _parts_of(case, core):
        for _ in part.channels:
            fixed += case.chip.widths.bias_bits + _training_bits(case, layer, part)
        fixed += _line_buffer_bits(case, case.map(layer))
    in_flight = case.window if case.overlap == "exact" else 1
    return fixed + in_flight * case.microbatch * sum(_values_of_a_sample(case, core).values())


def _line_buffer_bits(case: Case, grid: LayerMap) -> int:
    """Bits of as many rows of the padded inputs as the kernel has, from which a filter takes its taps."""
    if not grid.shape.convolves:
        return 0
    bits, columns = 0, grid.shape.columns
    for _ in range(grid.shape.rows.kernel):
        for _ in range(columns.before + grid.inputs.columns + columns.after):
            bits += grid.inputs.channels * case.chip.widths.activation_bits
    return bits


def _values_of_a_sample(case: Case, core: int) -> dict[tuple[str | int, ...], int]:
    """Return {value: bits} of all that a core holds for one sample; a key that comes twice is stored once."""
    widths = case.chip.widths
    bits: dict[tuple[str | int, ...], int] = {}
    for layer, part in _parts_of(case, core):
        made = "map" if case.map(layer).pooled else "h"
        for i in part.needs:
            bits["h", layer - 1, i] = widths.activation_bits
        for j in part.map_units:
            bits[made, layer, j] = widths.activation_bits
            if case.has_error(layer):
                bits["delta", layer, j] = widths.error_bits
        if case.map(layer).pooled:
            bits |= _values_of_a_pool(case, layer, part)
    for layer, part in _parts_of(case, core):
        for key, each in _received_errors(case, layer, part).items():
            bits.setdefault(key, each)
    return bits


def _values_of_a_pool(case: Case, layer: int, part: Part) -> dict[tuple[str | int, ...], int]:
    """Return what a pool adds: what it hands on, units and windows of other tiles, errors and places of windows."""
    widths, grid = case.chip.widths, case.map(layer)
    bits: dict[tuple[str | int, ...], int] = {}
    for unit in part.units:
        bits["h", layer, unit] = widths.activation_bits
    for unit in grid.pooled_from(part):
        bits["map", layer, unit] = widths.activation_bits
    if case.has_error(layer):
        for window in {*part.units, *grid.windows_over(part)}:
            bits["pooled", layer, window] = widths.error_bits
            if grid.max_pooled:
                bits["place", layer, window] = case.argmax_bits
    return bits


def _received_errors(case: Case, layer: int, part: Part) -> dict[tuple[str | int, ...], int]:
    """Return the partial sums and source errors that a slice holds, its core's own errors too."""
    widths, rule = case.chip.widths, case.rule
    bits: dict[tuple[str | int, ...], int] = {}
    if rule.partial_sums and layer < case.depth and case.has_error(layer):
        for j in part.units:
            bits["sum", layer, j] = widths.accumulator_bits
    if rule.partial_sums and layer > 1 and case.has_error(layer - 1):
        for i in part.needs:
            bits["partial sum", layer - 1, i] = widths.accumulator_bits
    if rule.error == "target" or rule.partial_sums or layer == case.depth or not case.has_error(layer):
        return bits  # targets are labels, which take no room
    for k in case.error_values(layer, part):
        bits["delta", case.source_layer(layer), k] = 2 if rule.error == "output-sign" else widths.error_bits
    return bits


def _synapse_bits(case: Case, core: int) -> int:
    widths, rule, bits = case.chip.widths, case.rule, 0
    for layer, part in _parts_of(case, core):
        for _ in part.channels:
            for _ in case.map(layer).kernel:
                bits += widths.weight_bits + _training_bits(case, layer, part)
                held_with_weights = rule.partial_sums and case.magnitudes() and not case.generated
                if held_with_weights and layer > 1 and case.has_error(layer - 1):
                    bits += widths.feedback_bits
        if layer == case.depth or not case.has_error(layer) or rule.partial_sums:
            continue
        for _ in range(_connections(case, layer, part)):
            if rule.mirrored:
                bits += 1 if rule.matrix == "sign" else widths.weight_bits
            if case.magnitudes() and not case.generated:
                bits += widths.feedback_bits
                bits += index_bits(case.widths[case.source_layer(layer)]) if rule.sparse else 0
    return bits


def _connections(case: Case, layer: int, part: Part) -> int:
    """Count the connections of a slice's hidden errors: of each unit, or of each channel with a filter after it."""
    if case.rule.error == "next" and case.map(layer + 1).shape.convolves:
        after = case.map(layer + 1)
        return sum(1 for _ in part.channels for _ in range(after.map.channels) for c, *_ in after.kernel if c == 0)
    return sum(len(case.terms(layer, unit)) for unit in part.units)


def fits(case: Case) -> bool:
    """Whether both memories of every core hold what they must; capacity is not checked behind a channel."""
    neuron, synapse = case.chip.core.neuron_memory, case.chip.core.synapse_memory
    return case.chip.behind_channel or all(
        bits <= 8 * neuron.capacity_bytes and synapse_bits <= 8 * synapse.capacity_bytes
        for bits, synapse_bits in sizes(case).values()
    )


def auto_microbatch(case: Case) -> int:
    """Return the largest m <= min(N, R A) with which every core fits (all N behind a channel); arrays know no R A."""
    if case.chip.behind_channel:
        return case.batch
    rows, _ = case.chip.core.lanes
    held = case.batch if case.chip.core.systolic else rows * case.chip.core.accumulators_per_lane
    for microbatch in range(min(case.batch, held), 0, -1):
        if fits(replace(case, microbatch=microbatch)):
            return microbatch
    raise PlacementError("no microbatch fits")


Cut = tuple[int, int]  # tiles of rows, slices of channels


def least_cut(case: Case, layer: int) -> Cut | None:
    """Return the fewest tiles with which one channel a core fits at m = 1, the layer alone; then the fewest slices."""
    grid = case.map(layer).handed
    for tiles in range(1, (grid.rows if case.map(layer).shape.convolves else 1) + 1):
        if _fits_alone(case, layer, (tiles, grid.channels)):
            return tiles, next(each for each in range(1, grid.channels + 1) if _fits_alone(case, layer, (tiles, each)))
    return None


def _fits_alone(case: Case, layer: int, shape: Cut) -> bool:
    if case.chip.behind_channel:
        return True
    count = shape[0] * shape[1]
    cores: list[Sequence[int]] = [[count + other] for other in range(case.depth)]
    cores[layer - 1] = range(count)
    tiles = [1] * case.depth
    tiles[layer - 1] = shape[0]
    alone = replace(case, cores=cores, tiles=tiles, microbatch=1)
    neuron, synapse = case.chip.core.neuron_memory, case.chip.core.synapse_memory
    return all(
        _neuron_bits(alone, core) <= 8 * neuron.capacity_bytes
        and _synapse_bits(alone, core) <= 8 * synapse.capacity_bytes
        for core in range(count)
    )


def cores_needed(case: Case, layer: int) -> int:
    """Return lo_l: the cores of the least cut with which a layer alone fits at m = 1 (n_l + 1 if none does)."""
    least = least_cut(case, layer)
    return case.widths[layer] + 1 if least is None else least[0] * least[1]


def cut_of(cores: int, channels: int, least_tiles: int) -> Cut:
    """Return the tiles and slices of channels of so many cores; some may be left over."""
    tiles = least_tiles
    while tiles * channels < cores:
        tiles += 1
    return tiles, cores // tiles


def usable_counts(channels: int, rows: int, least: Cut) -> list[int]:
    """Return all numbers of cores, from the least on, that are cut without one being left over."""
    counts = []
    for cores in range(least[0] * least[1], channels * rows + 1):
        tiles, slices = cut_of(cores, channels, least[0])
        if tiles * slices == cores:
            counts.append(cores)
    return counts


def apportion(widths: Sequence[int], cores: int, lows: Sequence[int]) -> list[int]:
    """Return c_1..c_L of a dense network: quotas by forward MACs, at least ``lows``, at most one core a neuron."""
    macs = [before * after for before, after in zip(widths, widths[1:], strict=False)]
    return apportion_counts(macs, cores, [range(low, width + 1) for low, width in zip(lows, widths[1:], strict=True)])


def apportion_counts(macs: Sequence[int], cores: int, allowed: Sequence[Sequence[int]]) -> list[int]:
    """Return c_1..c_L: quotas by forward MACs, each from its allowed numbers, which rise."""
    if not all(allowed) or sum(each[0] for each in allowed) > cores:
        raise PlacementError("the layers need more cores than there are")
    quotas = [Fraction(cores * each, sum(macs)) for each in macs]
    counts = [
        max([n for n in each if n <= quota], default=each[0]) for each, quota in zip(allowed, quotas, strict=True)
    ]
    while sum(counts) > cores:
        shrinking = [i for i, count in enumerate(counts) if count > allowed[i][0]]
        chosen = max(shrinking, key=lambda i: (counts[i] - quotas[i], i))
        counts[chosen] = max(n for n in allowed[chosen] if n < counts[chosen])
    while True:
        steps = {i: min([n for n in allowed[i] if n > count], default=0) for i, count in enumerate(counts)}
        growing = [i for i, step in steps.items() if step and sum(counts) - counts[i] + step <= cores]
        if not growing:
            return counts
        chosen = max(growing, key=lambda i: (quotas[i] - counts[i], -i))
        counts[chosen] = steps[chosen]


def share(widths: Sequence[int], cores: int) -> list[int]:
    """Return the core (0, 1, ...) of each layer of a dense network when there are fewer cores than layers."""
    return share_macs([before * after for before, after in zip(widths, widths[1:], strict=False)], cores)


def share_macs(macs: Sequence[int], cores: int) -> list[int]:
    """Return the core of each layer by trying all cuts."""
    best: tuple[int, tuple[int, ...]] | None = None
    for cuts in combinations(range(1, len(macs)), cores - 1):
        ends = [0, *cuts, len(macs)]
        largest = max(sum(macs[a:b]) for a, b in zip(ends, ends[1:], strict=False))
        if best is None or largest < best[0]:
            best = (largest, cuts)
    assert best is not None
    return [sum(layer >= at for at in best[1]) for layer in range(len(macs))]


def core_order(chip: Chip) -> list[int]:
    """Return all cores, one row of chips after the other: to the right, in the next one to the left.

    In a row of chips column by column, y rising in one and falling in the next; within a router by number.
    """
    order = []
    for down in range(chip.chips[1]):
        rows = range(down * chip.grid[1], (down + 1) * chip.grid[1])
        for x in range(chip.columns) if down % 2 == 0 else reversed(range(chip.columns)):
            reached = len(order) // (chip.grid[1] * chip.noc.cores_per_router)
            for y in rows if reached % chip.columns % 2 == 0 else reversed(rows):
                first = (y * chip.columns + x) * chip.noc.cores_per_router
                order += list(range(first, first + chip.noc.cores_per_router))
    return order


def forward_macs(case: Case, layer: int) -> int:
    """Return the MACs of a sample's forward pass, every tap counted."""
    grid = case.map(layer)
    return sum(len(grid.kernel) for _ in range(grid.map.channels * grid.map.rows * grid.map.columns))


def place(case: Case, least: Mapping[int, Cut] | None = None) -> list[list[int]]:
    """Return the cores of each layer on the whole chip (``case.cores`` is not looked at)."""
    return [list(cores) for cores in placed(case, least).cores]


def placed(case: Case, least: Mapping[int, Cut] | None = None) -> Case:
    """Return the case on the whole chip.

    ``least`` are the least tiles and slices by layer where ``compare`` takes them over its rules; the default is this
    rule's own.
    """
    order, depth = core_order(case.chip), len(case.shapes)
    layers = range(1, depth + 1)
    case = replace(case, cores=[[layer] for layer in layers], tiles=())
    macs = [forward_macs(case, layer) for layer in layers]
    if len(order) < depth:
        return replace(case, cores=[[order[group]] for group in share_macs(macs, len(order))])
    allowed, tiles = [], []
    for layer in layers:
        grid, found = case.map(layer).handed, least_cut(case, layer) if least is None else least[layer]
        allowed.append([] if found is None else usable_counts(grid.channels, grid.rows, found))
        tiles.append(1 if found is None else found[0])
    parts, start = [], 0
    counts = apportion_counts(macs, len(order), allowed)
    for count in counts:
        parts.append(order[start : start + count])
        start += count
    cuts = [cut_of(count, case.map(at).handed.channels, tiles[at - 1]) for at, count in enumerate(counts, 1)]
    return replace(case, cores=parts, tiles=[found[0] for found in cuts])
