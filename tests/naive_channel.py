"""Slow twin of a machine whose memories lie behind a channel: every tile is tried, every crossing added."""

from __future__ import annotations

from naive_case import Case, index_bits


def tile(shape: tuple[int, int, int], bits: tuple[int, int, int], cache_bits: int) -> tuple[int, int, int]:
    """Return (operand traffic in bits, i, j) of the best tile of a product [p x r][r x q].

    ``shape`` is (p, r, q); ``bits`` are the widths of the left operand, the right operand and the accumulators.
    """
    p, r, q = shape
    left, right, accumulator = bits
    best: tuple[int, int, int] | None = None
    for i in range(1, p + 1):
        for j in range(1, q + 1):
            if i * j * accumulator + i * left + j * right > cache_bits:
                break
            traffic = p * r * -(-q // j) * left + r * q * -(-p // i) * right
            if best is None or (traffic, -j, -i) < (best[0], -best[2], -best[1]):
                best = (traffic, i, j)
    if best is None:
        raise ValueError("the cache holds no tile at all")
    return best


def _operands(case: Case, shape: tuple[int, int, int], left: int, right: int) -> int:
    assert case.chip.channel is not None
    bits = (left, right, case.chip.widths.accumulator_bits)
    return tile(shape, bits, 8 * case.chip.channel.cache_bytes)[0]


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


def forward_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in forward ``layer``; biases are small and not counted."""
    widths, fan_in, width = case.chip.widths, case.widths[layer - 1], case.widths[layer]
    if _ideal(case):
        inputs = case.batch * fan_in * widths.activation_bits if layer == 1 else 0
        return width * fan_in * widths.weight_bits + inputs
    shape = (case.batch, fan_in, width)
    outputs = case.batch * width * widths.activation_bits
    return _operands(case, shape, widths.activation_bits, widths.weight_bits) + outputs


def output_error_bits(case: Case) -> int:
    """Return the bits that cross in error L: h and labels in, the error out."""
    widths, labels = case.chip.widths, case.batch * case.label_bits
    if _ideal(case):
        return labels
    return labels + case.batch * case.widths[-1] * (widths.activation_bits + widths.error_bits)


def product_bits(case: Case, layer: int) -> int:
    """Return the bits of a hidden error's operands and outputs (all but the read of h)."""
    widths, width, source = case.chip.widths, case.widths[layer], case.widths[case.source_layer(layer)]
    if _ideal(case):
        return _stored_once_bits(case, layer)
    outputs = case.batch * width * widths.error_bits
    if case.one_hot_target:  # a column that a label has selected stays in the cache for the task
        column = 0 if case.generated else width * widths.feedback_bits
        return min(case.batch, source) * column + case.batch * case.label_bits + outputs
    source_bits = {"target": widths.activation_bits, "output-sign": 2}.get(case.rule.error, widths.error_bits)
    if case.rule.sparse:
        return case.batch * source * source_bits + _stored_once_bits(case, layer) + outputs
    return _operands(case, (case.batch, source, width), source_bits, _connection_bits(case)) + outputs


def _stored_once_bits(case: Case, layer: int) -> int:
    """Bits of the feedback that is kept for a hidden layer (a mirror too; W itself is booked in forward)."""
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


def combine_bits(case: Case, layer: int) -> int:
    """Return the bits of the read of h in a hidden error."""
    return 0 if _ideal(case) else case.batch * case.widths[layer] * case.chip.widths.activation_bits


def update_bits(case: Case, layer: int) -> int:
    """Return the bits that cross in update ``layer``: gradients stay in the accumulators."""
    widths, fan_in, width = case.chip.widths, case.widths[layer - 1], case.widths[layer]
    weights = fan_in * width
    bits = weights * (widths.weight_bits + 2 * case.state_words * widths.state_bits)
    if case.rule.mirrored and layer > 1 and case.has_error(layer - 1):  # the mirror is a memory behind the channel too
        bits += weights * mirror_bits(case)
    if _ideal(case):
        return bits
    operands = _operands(case, (width, case.batch, fan_in), widths.error_bits, widths.activation_bits)
    return bits + weights * widths.weight_bits + operands
