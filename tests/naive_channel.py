"""Slow twin of a machine whose memories lie behind a channel: every tile is tried, every crossing added."""

from __future__ import annotations

from naive_case import Case, index_bits


def tile(
    shape: tuple[int, int, int],
    bits: tuple[int, int, int],
    cache_bits: int,
    distinct: tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """Return (operand traffic in bits, i, j) of the best tile of a product [p x r][r x q].

    ``shape`` is (p, r, q); ``bits`` are the widths of the left operand, the right operand and the accumulators;
    ``distinct`` how many values the operands are made of, where a window's values come again in the next window.
    """
    p, r, q = shape
    left, right, accumulator = bits
    left_values, right_values = distinct or (p * r, r * q)
    best: tuple[int, int, int] | None = None
    for i in range(1, p + 1):
        for j in range(1, q + 1):
            if i * j * accumulator + i * left + j * right > cache_bits:
                break
            traffic = left_values * -(-q // j) * left + right_values * -(-p // i) * right
            if best is None or (traffic, -j, -i) < (best[0], -best[2], -best[1]):
                best = (traffic, i, j)
    if best is None:
        raise ValueError("the cache holds no tile at all")
    return best


def _operands(
    case: Case, shape: tuple[int, int, int], left: int, right: int, distinct: tuple[int, int] | None = None
) -> int:
    assert case.chip.channel is not None
    bits = (left, right, case.chip.widths.accumulator_bits)
    return tile(shape, bits, 8 * case.chip.channel.cache_bytes, distinct)[0]


def _ideal(case: Case) -> bool:
    return case.chip.channel is not None and case.chip.channel.reuse == "ideal"


def _connection_bits(case: Case) -> int:
    """Bits of one connection of a dense hidden error that cross the channel: generated ones do not."""
    widths = case.chip.widths
    bits = 0
    if case.rule.matrix in ("weights", "sign"):
        bits += 1 if case.rule.mirrored and case.rule.matrix == "sign" else widths.weight_bits
    if case.magnitudes() and not case.generated:
        bits += widths.feedback_bits
    return bits


def _weights(case: Case, layer: int) -> int:
    """Weights of a layer, filter by filter."""
    weights = 0
    for part in case.parts(layer):
        for _ in part.channels:
            weights += len(case.map(layer).kernel)
    return weights


def _needed(case: Case, layer: int) -> int:
    """Values of a sample that a layer reads, on the one core."""
    return len({unit for part in case.parts(layer) for unit in part.needs})


def _map_units(case: Case, layer: int) -> int:
    return sum(len(part.map_units) for part in case.parts(layer))


def forward_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in forward ``layer``; biases are small and not counted."""
    widths, samples, grid = case.chip.widths, case.batch, case.map(layer)
    if _ideal(case):
        inputs = samples * case.widths[0] * widths.activation_bits if layer == 1 else 0
        return _weights(case, layer) * widths.weight_bits + inputs
    taps, positions = len(grid.kernel), len(grid.positions(case.parts(layer)[0]))
    shape = (samples * positions, taps, grid.map.channels)
    distinct = (samples * _needed(case, layer), _weights(case, layer))
    outputs = samples * _map_units(case, layer) * widths.activation_bits
    return _operands(case, shape, widths.activation_bits, widths.weight_bits, distinct) + outputs


def pool_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in pool ``layer``: the map in, what is handed on and its places out."""
    if _ideal(case):
        return 0
    activation_bits = case.chip.widths.activation_bits
    bits = case.batch * (_map_units(case, layer) + case.widths[layer]) * activation_bits
    if case.remembers_largest(layer):
        bits += case.batch * case.widths[layer] * case.argmax_bits
    return bits


def unpool_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in unpool ``layer``: errors of windows and h in, errors of the map out."""
    if _ideal(case):
        return 0
    widths = case.chip.widths
    windows = case.widths[layer] * (widths.error_bits + (case.argmax_bits if case.map(layer).max_pooled else 0))
    return case.batch * (windows + _map_units(case, layer) * (widths.activation_bits + widths.error_bits))


def output_error_bits(case: Case) -> int:
    """Return the bits that cross in error L: h and labels in, the error out."""
    widths, labels = case.chip.widths, case.batch * case.label_bits
    if _ideal(case):
        return labels
    return labels + case.batch * case.widths[-1] * (widths.activation_bits + widths.error_bits)


def product_bits(case: Case, layer: int) -> int:
    """Return the bits of a hidden error's operands."""
    widths, width, source = case.chip.widths, case.widths[layer], case.widths[case.source_layer(layer)]
    if _ideal(case):
        return _stored_once_bits(case, layer)
    if case.one_hot_target:  # a column that a label has selected stays in the cache for the task
        column = 0 if case.generated else width * widths.feedback_bits
        return min(case.batch, source) * column + case.batch * case.label_bits
    source_bits = {"target": widths.activation_bits, "output-sign": 2}.get(case.rule.error, widths.error_bits)
    if case.rule.sparse:
        return case.batch * source * source_bits + _stored_once_bits(case, layer)
    if case.rule.error == "next":
        after, part = case.map(layer + 1), case.parts(layer + 1)[0]
        shape = (case.batch * len(after.positions(part)), after.map.channels, len(after.kernel))
        distinct = (case.batch * _map_units(case, layer + 1), _weights(case, layer + 1))
        return _operands(case, shape, source_bits, _connection_bits(case), distinct)
    return _operands(case, (case.batch, source, width), source_bits, _connection_bits(case))


def _stored_once_bits(case: Case, layer: int) -> int:
    """Bits of the feedback that is kept for a hidden layer (a mirror too; W itself is booked in forward)."""
    if case.rule.error == "next":
        connections = _weights(case, layer + 1)
    else:
        connections = sum(len(case.terms(layer, neuron)) for neuron in range(case.widths[layer]))
    bits = 0
    if case.magnitudes() and not case.generated:
        bits += case.chip.widths.feedback_bits
        bits += index_bits(case.widths[case.source_layer(layer)]) if case.rule.sparse else 0
    if case.rule.mirrored:
        bits += mirror_bits(case)
    return connections * bits


def mirror_bits(case: Case) -> int:
    """Return the bits of one mirrored weight: a sign needs one."""
    return 1 if case.rule.matrix == "sign" else case.chip.widths.weight_bits


def around_bits(case: Case, layer: int) -> int:
    """Return the bits around a hidden error's product: h in (a pool's error task reads none), the error out."""
    if _ideal(case):
        return 0
    widths = case.chip.widths
    bits = widths.error_bits if case.map(layer).pooled else widths.activation_bits + widths.error_bits
    return case.batch * case.widths[layer] * bits


def update_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in update ``layer``: gradients stay in the accumulators."""
    widths, samples, grid = case.chip.widths, case.batch, case.map(layer)
    weights = _weights(case, layer)
    bits = weights * (widths.weight_bits + 2 * case.state_words * widths.state_bits)
    if case.rule.mirrored and layer > 1 and case.has_error(layer - 1):  # the mirror is a memory behind the channel too
        bits += weights * mirror_bits(case)
    if _ideal(case):
        return bits
    positions = len(grid.positions(case.parts(layer)[0]))
    shape = (grid.map.channels, samples * positions, len(grid.kernel))
    distinct = (samples * _map_units(case, layer), samples * _needed(case, layer))
    operands = _operands(case, shape, widths.error_bits, widths.activation_bits, distinct)
    return bits + weights * widths.weight_bits + operands
