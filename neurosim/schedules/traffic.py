"""Who sends what in a training step: inputs and labels, activations, errors of every rule, new weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosim.counts import SIGN_BITS, IntArray
from neurosim.placement import outputs_held, slice_starts
from neurosim.schedules.layout import Layout
from neurosim.schedules.messages import Group, MessageBuilder, Senders


def add_io(builder: MessageBuilder) -> None:
    """Inputs to C_1 from every port, multicast under either delivery; labels from port 0."""
    layout, widths = builder.layout, builder.layout.chip.widths
    slices = np.diff(slice_starts(layout.widths[0], layout.ports))
    tasks = np.arange(layout.ports, dtype=np.int64)
    links = np.array([builder.mesh.io_link(port) for port in range(layout.ports)], dtype=np.int64)
    cores = layout.chip.cores + tasks
    sources = Senders(tasks, cores, links, slices * widths.activation_bits, from_port=True)
    inputs = builder.add_group(Group("io", 0, "inputs", 1), [builder.task_of["forward", 1]])
    builder.send(inputs, sources, layout.cores(1), multicast=True)
    if layout.sends_labels:
        _add_labels(builder, _take(sources, tasks == 0))


def _add_labels(builder: MessageBuilder, port: Senders) -> None:
    layout, depth = builder.layout, builder.layout.depth
    waiting = [builder.task_of["error", depth]] if layout.errors[depth] else []
    if layout.rule.error == "target":
        waiting += [builder.task_of["error", layer] for layer in layout.hidden_errors()]
    group = _add_last_group(builder, Group("io", 0, "labels", depth), waiting)
    one = np.ones(1, dtype=np.int64)
    if layout.dense_targets and layout.rule.error != "target":
        bits = layout.sizes(depth)[None, :] * layout.chip.widths.activation_bits
        builder.send_blocks(group, port, layout.cores(depth), bits, fixed=False)
        return
    width = layout.outputs * layout.chip.widths.activation_bits if layout.dense_targets else layout.bits["label"]
    builder.send(group, _with_bits(port, one * width), layout.target_cores(), multicast=True)


def add_forward(builder: MessageBuilder) -> None:
    """h_l from the cores of every layer to those of the next, and the softmax exchange."""
    layout, bits = builder.layout, builder.layout.chip.widths
    multicast = layout.recipe.delivery == "multicast"
    for layer in range(1, layout.depth):
        group = Group("forward", layer, "activations", layer + 1)
        index = builder.add_group(group, [builder.task_of["forward", layer + 1]])
        sources = _senders(builder, "forward", layer, layout.sizes(layer) * bits.activation_bits)
        builder.send(index, sources, layout.cores(layer + 1), multicast)
    if layout.exchanges_softmax:
        waiting = [builder.task_of["error", layout.depth]] if layout.errors[layout.depth] else []
        index = _add_last_group(builder, Group("forward", layout.depth, "softmax sums", layout.depth), waiting)
        each = np.full(len(layout.cores(layout.depth)), 2 * bits.accumulator_bits)
        sources = _senders(builder, "forward", layout.depth, each)
        builder.send(index, sources, layout.cores(layout.depth), multicast)


def _add_last_group(builder: MessageBuilder, group: Group, waiting: Sequence[IntArray]) -> int:
    """Open a group for which error L waits, or, where there is none, the ports: a microbatch in flight may not be left.

    Without that edge nothing would wait for these messages, and where the network is slower than the cores any number
    of microbatches would be in flight.
    """
    layout = builder.layout
    if waiting or layout.recipe.overlap == "none":
        return builder.add_group(group, waiting)
    ports = [np.full(layout.chip.cores, port, dtype=np.int64) for port in builder.task_of["io", 0]]
    return builder.add_group(group, ports, [layout.recipe.window] * len(ports))


def add_errors(builder: MessageBuilder) -> None:
    """Errors on their way back: from the next layer, or from the output to every hidden layer at once."""
    layout = builder.layout
    if layout.rule.partial_sums:
        _add_partial_sums(builder)
    elif layout.rule.error == "next":
        _add_next_errors(builder)
    elif layout.rule.shares_source and layout.hidden_errors():
        (_add_sparse_errors if layout.rule.sparse else _add_output_errors)(builder)
    if layout.rule.mirrored:
        _add_transports(builder)


def _add_next_errors(builder: MessageBuilder) -> None:
    layout = builder.layout
    for layer in layout.hidden_errors():
        group = Group("error", layer + 1, "errors", layer)
        index = builder.add_group(group, [builder.task_of["error", layer]])
        bits = layout.sizes(layer + 1) * layout.chip.widths.error_bits
        sources = _senders(builder, "error", layer + 1, bits)
        builder.send(index, sources, layout.cores(layer), layout.recipe.delivery == "multicast")


def _add_partial_sums(builder: MessageBuilder) -> None:
    layout = builder.layout
    for layer in layout.hidden_errors():
        group = Group("error", layer, "partial sums", layer)
        index = builder.add_group(group, [builder.task_of["error", layer]])
        senders = len(layout.cores(layer + 1))
        sources = _senders(builder, "product", layer, np.zeros(senders, dtype=np.int64))
        bits = np.tile(layout.sizes(layer) * layout.chip.widths.accumulator_bits, (senders, 1))
        builder.send_blocks(index, sources, layout.cores(layer), bits, fixed=False)


def _add_output_errors(builder: MessageBuilder) -> None:
    """One message of each output core serves all hidden layers."""
    layout = builder.layout
    hidden = layout.hidden_errors()
    each = SIGN_BITS if layout.rule.error == "output-sign" else layout.chip.widths.error_bits
    completes = [builder.task_of["error", layer] for layer in hidden]
    index = builder.add_group(_shared_group(layout), completes)
    sources = _senders(builder, "error", layout.depth, layout.sizes(layout.depth) * each)
    destinations = np.unique(np.concatenate([layout.cores(layer) for layer in hidden]))
    builder.send(index, sources, destinations, layout.recipe.delivery == "multicast")


def _add_sparse_errors(builder: MessageBuilder) -> None:
    """Elements of the output error: only those that a core's neurons use are sent to it."""
    layout = builder.layout
    used = outputs_used_by_layer(layout)
    each = SIGN_BITS if layout.rule.error == "output-sign" else layout.chip.widths.error_bits
    held = outputs_held(layout.outputs, layout.cores(layout.depth), layout.placement.starts[layout.depth])
    for core, outputs in held.items():
        task = builder.task_of["error", layout.depth][core]
        link = builder.mesh.injection_link(core)
        task_at, core_at, link_at, bits = np.array([[task], [core], [link], [each]], dtype=np.int64)
        source = Senders(task_at, core_at, link_at, bits)
        if layout.recipe.delivery == "multicast":
            for output in sorted(outputs):
                _send_elements(builder, source, used[:, :, [output]], multicast=True)
        else:
            _send_elements(builder, source, used[:, :, sorted(outputs)], multicast=False)


def _send_elements(
    builder: MessageBuilder,
    source: Senders,
    used: NDArray[np.bool_],
    multicast: bool,
) -> None:
    """Send some outputs of one core; ``used`` [hidden layers, cores, outputs] says where each is needed."""
    layout = builder.layout
    needed = np.asarray(used.any(axis=2))
    destinations = np.flatnonzero(needed.any(axis=0))
    if len(destinations) == 0:
        return
    hidden = layout.hidden_errors()
    tasks = [np.where(needed[i], builder.task_of["error", layer], -1) for i, layer in enumerate(hidden)]
    index = builder.add_group(_shared_group(layout), tasks)
    if multicast:
        builder.send(index, source, destinations, multicast=True)
        return
    distinct = used.any(axis=0).sum(axis=1)[destinations]
    builder.send_blocks(index, source, destinations, distinct[None, :] * source.bits[:, None], fixed=False)


def outputs_used_by_layer(layout: Layout) -> NDArray[np.bool_]:
    """Return [hidden layers, cores, outputs]: whether the neurons of a layer on a core use an output error."""
    hidden = layout.hidden_errors()
    used = np.zeros((len(hidden), layout.chip.cores, layout.outputs), dtype=np.bool_)
    for i, layer in enumerate(hidden):
        owners = np.repeat(layout.cores(layer), layout.sizes(layer))
        connections = layout.placement.connections[layer]
        used[i, np.repeat(owners, connections.shape[1]), connections.ravel()] = True
    return used


def sparse_arrivals(layout: Layout) -> dict[int, IntArray]:
    """Return, per hidden layer, the distinct output errors that arrive at each of its cores for it [c_l].

    A value that already reached the core for a hidden layer nearer the output, or is the core's own, is not sent again.
    """
    hidden = layout.hidden_errors()
    used = np.ones((len(hidden), layout.chip.cores, layout.outputs), dtype=np.bool_)
    if layout.rule.sparse:
        used = outputs_used_by_layer(layout)
    there = np.zeros((layout.chip.cores, layout.outputs), dtype=np.bool_)
    held = outputs_held(layout.outputs, layout.cores(layout.depth), layout.placement.starts[layout.depth])
    for core, outputs in held.items():
        there[core, list(outputs)] = True
    arrivals = {}
    for i, layer in enumerate(hidden):
        cores = layout.cores(layer)
        arrivals[layer] = (used[i, cores] & ~there[cores]).sum(axis=1).astype(np.int64)
        there[cores] |= used[i, cores]
    return arrivals


def _add_transports(builder: MessageBuilder) -> None:
    """New weights of W_(l+1) to the mirrors at the cores of layer l, with a step's last microbatch."""
    layout = builder.layout
    each = 1 if layout.rule.matrix == "sign" else layout.chip.widths.weight_bits
    for layer in layout.hidden_errors():
        if not layout.trained[layer + 1]:
            continue
        later = range(1, layout.recipe.window + 1) if layout.recipe.overlap == "exact" else range(0)
        completes = [builder.task_of["error", layer]] * len(later)
        index = builder.add_group(Group("update", layer + 1, "new weights", layer), completes, later)
        senders = np.zeros(len(layout.cores(layer + 1)), dtype=np.int64)
        sources = _senders(builder, "update", layer + 1, senders)
        bits = layout.sizes(layer + 1)[:, None] * layout.sizes(layer)[None, :] * each
        builder.send_blocks(index, sources, layout.cores(layer), bits, fixed=True)


def _shared_group(layout: Layout) -> Group:
    return Group("error", layout.depth, "output errors", layout.hidden_errors()[0])


def _senders(builder: MessageBuilder, kind: str, layer: int, bits: IntArray) -> Senders:
    layout = builder.layout
    owner = layer + 1 if kind == "product" else layer
    cores = layout.cores(owner)
    links = np.array([builder.mesh.injection_link(int(core)) for core in cores], dtype=np.int64)
    return Senders(builder.task_of[kind, layer][cores], cores, links, bits)


def _take(senders: Senders, keep: NDArray[np.bool_]) -> Senders:
    arrays = (senders.tasks[keep], senders.cores[keep], senders.links[keep], senders.bits[keep])
    return Senders(*arrays, from_port=senders.from_port)


def _with_bits(senders: Senders, bits: IntArray) -> Senders:
    return Senders(senders.tasks, senders.cores, senders.links, bits, senders.from_port)
