"""Messages, bits, hops and flits in closed form: sums over pairs of cores without making the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from neurosim.counts import SIGN_BITS, IntArray
from neurosim.placement import slice_starts
from neurosim.schedules.layout import Layout
from neurosim.schedules.traffic import outputs_used_by_layer
from neurosim.topology import Mesh, destination_sets
from neurosim.trace import TRAFFIC_COLUMNS, TRAFFIC_INDEX


@dataclass(frozen=True)
class Flow:
    """Messages from a set of cores to another in one phase and layer.

    A message from source i to destination j carries ``bits`` times the source's units, the destination's, or both
    (``pattern`` "source", "destination", "block"), per sample, or once a step where ``once``. ``source_cores`` are
    numbered from the chip's cores on for io ports. Where layers need different parts of what reaches them together,
    ``readers`` are the cores of each layer that wait for this flow.
    """

    phase: str
    layer: int
    source_cores: IntArray
    source_links: IntArray
    source_units: IntArray
    destinations: IntArray
    destination_units: IntArray
    bits: int
    pattern: str
    multicast: bool
    once: bool = False
    readers: Mapping[int, IntArray] = field(default_factory=dict)

    def payload(self, source_units: int, destination_units: int) -> int:
        """Payload bits of a message, per sample or (``once``) in all."""
        units = {"source": source_units, "destination": destination_units, "block": source_units * destination_units}
        return units[self.pattern] * self.bits


def flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Yield every flow of a step."""
    yield from _io_flows(layout, grid)
    multicast = layout.recipe.delivery == "multicast"
    bits = layout.chip.widths
    for layer in range(1, layout.depth):
        ends = (layout.cores(layer), layout.sizes(layer), layout.cores(layer + 1), layout.sizes(layer + 1))
        yield _flow(grid, ("forward", layer), ends, bits.activation_bits, ("source", multicast))
    if layout.exchanges_softmax:
        cores, ones = layout.cores(layout.depth), np.ones(len(layout.cores(layout.depth)), dtype=np.int64)
        ends = (cores, ones, cores, ones)
        yield _flow(grid, ("forward", layout.depth), ends, 2 * bits.accumulator_bits, ("source", multicast))
    if layout.rule.error == "next":
        yield from _next_flows(layout, grid)
    elif layout.rule.shares_source and layout.hidden_errors():
        yield from _output_flows(layout, grid)


Ends = tuple[IntArray, IntArray, IntArray, IntArray]


def _flow(grid: Mesh, place: tuple[str, int], ends: Ends, bits: int, how: tuple[str, bool]) -> Flow:
    source_cores, source_units, destinations, destination_units = ends
    links = source_cores // grid.cores_per_router * grid.stride + source_cores % grid.cores_per_router
    phase, layer = place
    pattern, multicast = how
    once = phase == "update"
    return Flow(
        phase, layer, source_cores, links, source_units, destinations, destination_units, bits, pattern, multicast, once
    )


def _io_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    ports = layout.ports
    slices = np.diff(slice_starts(layout.widths[0], ports))
    links = np.array([grid.io_link(port) for port in range(ports)], dtype=np.int64)
    cores = layout.chip.cores + np.arange(ports)
    bits, first = layout.chip.widths.activation_bits, layout.cores(1)
    ones = np.ones(len(first), dtype=np.int64)
    yield Flow("io", 0, cores, links, slices, first, ones, bits, "source", multicast=True)
    if not layout.sends_labels:
        return
    one, receivers = np.ones(1, dtype=np.int64), layout.target_cores()
    if layout.dense_targets and layout.rule.error != "target":
        last = layout.cores(layout.depth)
        sizes = layout.sizes(layout.depth)
        yield Flow("io", 0, cores[:1], links[:1], one, last, sizes, bits, "destination", multicast=False)
        return
    width = layout.outputs * bits if layout.dense_targets else layout.bits["label"]
    each = np.ones(len(receivers), dtype=np.int64)
    yield Flow("io", 0, cores[:1], links[:1], one, receivers, each, width, "source", multicast=True)


def _next_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    widths, rule = layout.chip.widths, layout.rule
    for layer in layout.hidden_errors():
        ends = (layout.cores(layer + 1), layout.sizes(layer + 1), layout.cores(layer), layout.sizes(layer))
        if rule.partial_sums:
            yield _flow(grid, ("error", layer), ends, widths.accumulator_bits, ("destination", False))
            continue
        multicast = layout.recipe.delivery == "multicast"
        yield _flow(grid, ("error", layer + 1), ends, widths.error_bits, ("source", multicast))
        if rule.mirrored and layout.trained[layer + 1]:
            each = 1 if rule.matrix == "sign" else widths.weight_bits
            yield _flow(grid, ("update", layer + 1), ends, each, ("block", False))


def _output_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    depth, multicast = layout.depth, layout.recipe.delivery == "multicast"
    bits = SIGN_BITS if layout.rule.error == "output-sign" else layout.chip.widths.error_bits
    place = ("error", depth)
    cores, sizes = layout.cores(depth), layout.sizes(depth)
    if not layout.rule.sparse:
        receivers = np.unique(np.concatenate([layout.cores(layer) for layer in layout.hidden_errors()]))
        ends = (cores, sizes, receivers, np.ones(len(receivers), dtype=np.int64))
        yield _flow(grid, place, ends, bits, ("source", multicast))
        return
    used = outputs_used_by_layer(layout)
    one = np.ones(1, dtype=np.int64)
    starts = layout.placement.starts[depth]
    for i in range(len(cores)):
        outputs = used[:, :, starts[i] : starts[i + 1]]
        parts = np.split(outputs, outputs.shape[2], axis=2) if multicast else [outputs]
        for part in parts:
            distinct = part.any(axis=0).sum(axis=1).astype(np.int64)
            receivers = np.flatnonzero(distinct)
            if len(receivers):
                ends = (cores[i : i + 1], one, receivers, distinct[receivers])
                flow = _flow(grid, place, ends, bits, ("source" if multicast else "destination", multicast))
                readers = {layer: np.flatnonzero(part[n].any(axis=1)) for n, layer in enumerate(layout.hidden_errors())}
                yield replace(flow, readers=readers)


def flits_of(layout: Layout, payload_bits: int) -> int:
    """Flits of a message: payload and one set of headers per packet."""
    noc = layout.chip.noc
    payload = -(-payload_bits // noc.flit_bits)
    return payload + noc.header_flits * -(-payload // noc.max_packet_flits)


def flow_totals(layout: Layout, grid: Mesh, flow: Flow, batch_size: int) -> IntArray:
    """Return the TRAFFIC_COLUMNS of a flow summed over the microbatches of a step of ``batch_size`` samples."""
    total = np.zeros(len(TRAFFIC_COLUMNS), dtype=np.int64)
    microbatch = layout.placement.microbatch
    before_last = (batch_size - 1) // microbatch
    repeats = [(microbatch, before_last), (batch_size - before_last * microbatch, 1)]
    for source_units, destination_units, pairs in _classes(grid, flow):
        payload = flow.payload(source_units, destination_units)
        for samples, times in [(1, 1)] if flow.once else repeats:
            total += times * _totals(layout, pairs, samples * payload)
    return total


def _totals(layout: Layout, pairs: Pairs, payload_bits: int) -> IntArray:
    """TRAFFIC_COLUMNS of equal messages of ``payload_bits``."""
    flits = flits_of(layout, payload_bits)
    links = int(pairs.crossings.sum())
    values = {
        "messages": pairs.messages,
        "payload_bits": pairs.messages * payload_bits,
        "delivered_bits": pairs.copies * payload_bits,
        "bit_hops": links * payload_bits,
        "flits": pairs.messages * flits,
        "flit_hops": links * flits,
        "flit_routers": (links + pairs.messages) * flits,
    }
    total = np.zeros(len(TRAFFIC_COLUMNS), dtype=np.int64)
    for name, value in values.items():
        total[TRAFFIC_INDEX[name]] = value
    total[TRAFFIC_INDEX["flit_hops_east"] :] = pairs.crossings * flits
    return total


@dataclass(frozen=True)
class Pairs:
    """Messages of equal payload: how many, how many copies arrive, links crossed by direction [4] in all."""

    messages: int
    copies: int
    crossings: IntArray


def _classes(grid: Mesh, flow: Flow) -> Iterator[tuple[int, int, Pairs]]:
    """Yield (source units, destination units, pairs) for every class of messages with equal payload."""
    for source_units in np.unique(flow.source_units):
        mine = flow.source_units == source_units
        if flow.multicast:
            yield int(source_units), 1, _trees(grid, flow, mine)
            continue
        for destination_units in np.unique(flow.destination_units):
            theirs = flow.destinations[flow.destination_units == destination_units]
            if flow.payload(int(source_units), int(destination_units)) > 0:
                yield int(source_units), int(destination_units), _pairs(grid, flow, mine, theirs)


def _trees(grid: Mesh, flow: Flow, mine: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Pairs:
    links = flow.source_links[mine]
    own = np.isin(flow.source_cores[mine], flow.destinations)
    copies = len(flow.destinations) - own.astype(np.int64)
    links, copies = links[copies > 0], copies[copies > 0]
    sets = destination_sets(grid, [flow.destinations.tolist()])
    y, x = np.divmod(links // grid.stride, grid.columns)
    rows = np.arange(grid.rows)[:, None]
    north = np.maximum(rows - sets.column_min[0], 0).sum(axis=1)
    south = np.maximum(sets.column_max[0] - rows, 0).sum(axis=1)
    east = np.maximum(sets.x_max[0] - x, 0)
    west = np.maximum(x - sets.x_min[0], 0)
    crossings = np.array([east.sum(), west.sum(), north[y].sum(), south[y].sum()], dtype=np.int64)
    return Pairs(len(links), int(copies.sum()), crossings)


def _pairs(grid: Mesh, flow: Flow, mine: np.ndarray[tuple[int], np.dtype[np.bool_]], theirs: IntArray) -> Pairs:
    from_y, from_x = np.divmod(flow.source_links[mine] // grid.stride, grid.columns)
    to_y, to_x = np.divmod(theirs // grid.cores_per_router, grid.columns)
    same = len(np.intersect1d(flow.source_cores[mine], theirs))
    count = int(mine.sum()) * len(theirs) - same
    east, west = _crossed(from_x, to_x, grid.columns)
    south, north = _crossed(from_y, to_y, grid.rows)
    return Pairs(count, count, np.array([east, west, north, south], dtype=np.int64))


def _crossed(sources: IntArray, destinations: IntArray, length: int) -> tuple[int, int]:
    """Return the unit steps up and down between all pairs: a step is crossed by the pairs on its two sides."""
    before = np.cumsum(np.bincount(sources, minlength=length))[:-1]
    reached = np.cumsum(np.bincount(destinations, minlength=length))[:-1]
    up = (before * (len(destinations) - reached)).sum()
    down = ((len(sources) - before) * reached).sum()
    return int(up), int(down)
