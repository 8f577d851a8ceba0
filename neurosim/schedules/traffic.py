"""Who sends what in a training step: inputs and labels, activations, errors of every rule, new weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurosim.counts import SIGN_BITS, IntArray
from neurosim.placement import outputs_held, overlaps
from neurosim.schedules.error_work import mirror_columns
from neurosim.schedules.layout import Layout
from neurosim.schedules.messages import Group, MessageBuilder, Senders
from neurosim.schedules.pool_work import unpool_halo_bits


def add_io(builder: MessageBuilder) -> None:
    """Inputs to C_1 from every port, multicast under either delivery; labels from port 0."""
    layout, widths = builder.layout, builder.layout.chip.widths
    tasks = np.arange(layout.ports, dtype=np.int64)
    links = np.array([builder.mesh.io_link(port) for port in range(layout.ports)], dtype=np.int64)
    cores = layout.chip.cores + tasks
    sources = Senders(tasks, cores, links, layout.port_inputs() * widths.activation_bits, from_port=True)
    inputs = builder.add_group(Group("io", 0, "inputs", 1), [builder.task_of["forward", 1]])
    if layout.shape(1).convolves:
        image = layout.map(0)
        shared = overlaps(layout.port_rows(), layout.partition.needs(1))
        bits = shared * image.columns * image.channels * widths.activation_bits
        _send_to_tiles(builder, inputs, sources, (1, bits), multicast=True)
    else:
        builder.send(inputs, sources, layout.cores(1), multicast=True)
    if layout.sends_labels:
        _add_labels(builder, _take(sources, tasks == 0))


def _send_to_tiles(
    builder: MessageBuilder, group: int, sources: Senders, what: tuple[int, IntArray], *, multicast: bool
) -> None:
    """Send to each tile of a layer what it needs: ``what`` is the layer and the bits a sample [sources, tiles]."""
    layer, bits = what
    cut, cores = builder.layout.cut(layer), builder.layout.cores(layer)
    for tile in range(cut.tiles):
        some = _take(_with_bits(sources, bits[:, tile]), bits[:, tile] > 0)
        builder.send_away(group, some, cores[cut.tile == tile], multicast)


def _add_labels(builder: MessageBuilder, port: Senders) -> None:
    layout, depth = builder.layout, builder.layout.depth
    waiting = [builder.task_of["error", depth]] if layout.errors[depth] else []
    if layout.rule.error == "target":
        waiting += [builder.task_of["error", layer] for layer in layout.hidden_errors()]
    group = _add_last_group(builder, Group("io", 0, "labels", depth), waiting)
    one = np.ones(1, dtype=np.int64)
    if layout.dense_targets and layout.rule.error != "target":
        bits = layout.sizes(depth)[None, :] * layout.chip.widths.activation_bits
        builder.send_blocks(group, port, layout.cores(depth), bits)
        return
    width = layout.outputs * layout.chip.widths.activation_bits if layout.dense_targets else layout.bits["label"]
    builder.send(group, _with_bits(port, one * width), layout.target_cores(), multicast=True)


def add_forward(builder: MessageBuilder) -> None:
    """h_l from the cores of every layer to those of the next, and the softmax exchange."""
    layout, bits = builder.layout, builder.layout.chip.widths
    multicast = layout.recipe.delivery == "multicast"
    for layer in range(1, layout.depth):
        if layout.pooled(layer):
            _add_pool_halo(builder, layer)
        group = Group("forward", layer, "activations", layer + 1)
        index = builder.add_group(group, [builder.task_of["forward", layer + 1]])
        sources = _senders(builder, layout.forward_end(layer), layer, layout.units(layer) * bits.activation_bits)
        if not layout.shape(layer + 1).convolves:
            builder.send(index, sources, layout.cores(layer + 1), multicast)
            continue
        builder.add_local_edges(index, sources, layout.cores(layer + 1))
        shared = layout.partition.sums(layer).T[layout.cut(layer).tile] * layout.sizes(layer)[:, None]
        _send_to_tiles(builder, index, sources, (layer + 1, shared * bits.activation_bits), multicast=multicast)
    if layout.exchanges_softmax:
        waiting = [builder.task_of["error", layout.depth]] if layout.errors[layout.depth] else []
        index = _add_last_group(builder, Group("forward", layout.depth, "softmax sums", layout.depth), waiting)
        each = np.full(len(layout.cores(layout.depth)), 2 * bits.accumulator_bits)
        sources = _senders(builder, "forward", layout.depth, each)
        builder.send(index, sources, layout.cores(layout.depth), multicast)


def _add_pool_halo(builder: MessageBuilder, layer: int) -> None:
    """Rows of a map that the windows of other tiles read."""
    layout = builder.layout
    index = builder.add_group(Group("forward", layer, "pool halo", layer), [builder.task_of["pool", layer]])
    each = layout.shape(layer).map.columns * layout.chip.widths.activation_bits
    _send_between_tiles(builder, index, ("forward", layer), layout.partition.map_halo(layer) * each)


def _add_unpool_halo(builder: MessageBuilder, layer: int) -> None:
    """Errors of windows that reach into the rows of other tiles."""
    layout = builder.layout
    index = builder.add_group(Group("error", layer, "unpool halo", layer), [builder.task_of["unpool", layer]])
    each = layout.map(layer).columns * unpool_halo_bits(layout, layer)
    _send_between_tiles(builder, index, ("error", layer), layout.partition.window_halo(layer) * each)


def _send_between_tiles(builder: MessageBuilder, group: int, sender: tuple[str, int], bits: IntArray) -> None:
    """Send ``bits`` [from tile, to tile] for each channel of a sample between equal slices of channels."""
    kind, layer = sender
    layout = builder.layout
    cut, cores = layout.cut(layer), layout.cores(layer)
    for to_tile in range(cut.tiles):
        sources = _senders(builder, kind, layer, bits[:, to_tile][cut.tile] * layout.sizes(layer))
        some = sources.bits > 0
        same_slice = to_tile * cut.channel_slices + np.arange(cut.slices) % cut.channel_slices
        builder.send_pairs(group, _take(sources, some), cores[same_slice][some])


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
    for layer in layout.hidden_errors():
        if layout.pooled(layer):
            _add_unpool_halo(builder, layer)
    for layer in range(1, layout.depth + 1):
        if layout.trained[layer] and layout.cut(layer).tiled:
            _add_copies(builder, layer)
    if layout.rule.mirrored:
        _add_transports(builder)


def _add_next_errors(builder: MessageBuilder) -> None:
    layout, multicast = builder.layout, builder.layout.recipe.delivery == "multicast"
    for layer in layout.hidden_errors():
        group = Group("error", layer + 1, "errors", layer)
        index = builder.add_group(group, [builder.task_of["error", layer]])
        cut, shape = layout.cut(layer + 1), layout.shape(layer + 1)
        bits = cut.map_units * layout.chip.widths.error_bits
        sources = _senders(builder, layout.error_end(layer + 1), layer + 1, bits)
        if not shape.convolves:
            builder.send(index, sources, layout.cores(layer), multicast)
            continue
        builder.add_local_edges(index, sources, layout.cores(layer))
        rows = overlaps(layout.partition.map_rows(layer + 1), layout.partition.readers(layer))[cut.tile]
        each = cut.channels[:, None] * shape.map.columns * layout.chip.widths.error_bits
        _send_to_tiles(builder, index, sources, (layer, rows * each), multicast=multicast)


def _add_partial_sums(builder: MessageBuilder) -> None:
    layout = builder.layout
    for layer in layout.hidden_errors():
        group = Group("error", layer, "partial sums", layer)
        index = builder.add_group(group, [builder.task_of["error", layer]])
        own, following = layout.cut(layer), layout.cut(layer + 1)
        sources = _senders(builder, "product", layer, np.zeros(following.slices, dtype=np.int64))
        positions = layout.partition.sums(layer)[following.tile][:, own.tile]
        bits = positions * own.channels * layout.chip.widths.accumulator_bits
        builder.send_blocks(index, sources, layout.cores(layer), bits)


def _add_copies(builder: MessageBuilder, layer: int) -> None:
    """With a step's last microbatch: sums of a filter's copies to its owner, and new weights back to the copies."""
    layout, widths = builder.layout, builder.layout.chip.widths
    cut, cores, taps = layout.cut(layer), layout.cores(layer), layout.shape(layer).fan_in
    owners, slices = cores[cut.owners], np.arange(cut.slices) % cut.channel_slices
    group = Group("update", layer, "partial gradients", layer)
    index = builder.add_group(group, [_only_on(builder.task_of["update", layer], owners)])
    sums = cut.channels * (taps + 1) * widths.accumulator_bits
    sources = replace(_senders(builder, "update", layer, sums), sent="with_last")
    builder.send_pairs(index, _take(sources, cut.tile > 0), owners[slices][cut.tile > 0])
    later = range(1, layout.recipe.window + 1) if layout.recipe.overlap == "exact" else range(0)
    waiting = [_only_on(builder.task_of["forward", layer], cores[cut.tile > 0])] * len(later)
    index = builder.add_group(Group("update", layer, "new copies", layer), waiting, later)
    learned = cut.channels * (taps * widths.weight_bits + widths.bias_bits)
    sources = replace(_senders(builder, "update", layer, learned), sent="with_last")
    multicast = layout.recipe.delivery == "multicast"
    for number in cut.owners:
        copies = cores[(slices == number) & (cut.tile > 0)]
        builder.send_away(index, _take(sources, np.arange(cut.slices) == number), copies, multicast)


def _only_on(tasks: IntArray, cores: IntArray) -> IntArray:
    """Return the tasks on some cores, and none on the others [cores of the chip]."""
    kept = np.full(len(tasks), -1, dtype=np.int64)
    kept[cores] = tasks[cores]
    return kept


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
    held = outputs_held(layout.partition)
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
    builder.send_blocks(index, source, destinations, distinct[None, :] * source.bits[:, None])


def outputs_used_by_layer(layout: Layout) -> NDArray[np.bool_]:
    """Return [hidden layers, cores, outputs]: whether the neurons of a layer on a core use an output error."""
    hidden = layout.hidden_errors()
    used = np.zeros((len(hidden), layout.chip.cores, layout.outputs), dtype=np.bool_)
    for i, layer in enumerate(hidden):
        owners, connections = layout.partition.owner_of_units(layer), layout.placement.connections[layer]
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
    held = outputs_held(layout.partition)
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
        owners = layout.cut(layer + 1).owners
        sources = _senders(builder, "update", layer + 1, np.zeros(len(layout.cores(layer + 1)), dtype=np.int64))
        sources = replace(_take(sources, layout.cut(layer + 1).tile == 0), sent="triggered")
        bits = layout.sizes(layer + 1)[owners, None] * mirror_columns(layout, layer + 1)[None, :] * each
        builder.send_blocks(index, sources, layout.cores(layer), bits)


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
    return Senders(*arrays, from_port=senders.from_port, sent=senders.sent)


def _with_bits(senders: Senders, bits: IntArray) -> Senders:
    return replace(senders, bits=bits)
