"""schedule(): a training step as arrays of tasks, messages and edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosim.counts import IntArray
from neurosim.errors import SimulationError
from neurosim.networks import Network
from neurosim.placement import Placement
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.schedules import traffic
from neurosim.schedules.edges import Edges, build_edges
from neurosim.schedules.layout import Layout
from neurosim.schedules.messages import MessageBuilder, Messages
from neurosim.schedules.tasks import TaskTable, build_tasks
from neurosim.schedules.work import Microbatch
from neurosim.topology import Mesh

LONGEST_PERIOD = 8
"""Steps of the longest period that is looked for in an epoch whose steps overlap."""

MOST_STEPS = 32
"""Steps within which the period must show: else the whole epoch is simulated."""


@dataclass(frozen=True)
class Plan:
    """A training step of one network and rule on one placement: what happens, where, after what.

    Deliveries that a task waits for [T]: ``expected_messages`` of its own microbatch, ``expected_gradients`` too if
    that is a step's last (sums of copies) and, where microbatches overlap, ``expected_transports`` of the last one of
    the step before (new weights for mirrors and copies) and ``expected_drains`` of the one a window before (what ends a
    microbatch that has no error).
    """

    layout: Layout
    grid: Mesh
    tasks: TaskTable
    messages: Messages
    edges: Edges
    expected_messages: IntArray
    expected_gradients: IntArray
    expected_transports: IntArray
    expected_drains: IntArray

    @property
    def microbatch(self) -> int:
        """m."""
        return self.layout.placement.microbatch

    def microbatches(self, batch_size: int | None = None) -> list[Microbatch]:
        """Return the microbatches of a step of ``batch_size`` samples (default: the recipe's)."""
        return step_microbatches(self.microbatch, self.layout.recipe.batch_size if batch_size is None else batch_size)


def step_microbatches(microbatch: int, batch_size: int) -> list[Microbatch]:
    """Return M = ceil(N/m) microbatches of ``microbatch`` samples; the last has what is left."""
    count = -(-batch_size // microbatch)
    samples = [microbatch] * (count - 1) + [batch_size - (count - 1) * microbatch]
    return [Microbatch(p, q == 0, q == count - 1) for q, p in enumerate(samples)]


def microbatch_times(microbatch: int, batch_size: int, samples: int) -> dict[Microbatch, int]:
    """Return how often each distinct microbatch occurs in ``samples`` samples, in order of first occurrence."""
    full, short = divmod(samples, batch_size)
    times: dict[Microbatch, int] = {}
    for size, steps in ((batch_size, full), (short, 1)):
        if size and steps:
            count = -(-size // microbatch)
            # A step is its first, its middle and its last microbatch: three of them say it all.
            found = step_microbatches(microbatch, size - max(count - 3, 0) * microbatch)
            repeats = [1] * len(found) if count <= 3 else [1, count - 2, 1]
            for batch, repeat in zip(found, repeats, strict=True):
                times[batch] = times.get(batch, 0) + steps * repeat
    return times


def microbatch_slots(recipe: Recipe) -> int:
    """Return the microbatches whose state a simulation keeps at once: those in flight, and what waits around them."""
    return 1 if recipe.overlap == "none" else 3 * recipe.microbatches_in_flight + 4


def check_countable(layout: Layout, samples: int) -> None:
    """Refuse a stretch of ``samples`` samples whose sums could pass 64 bits: a step, or an epoch that overlaps.

    Raises:
        SimulationError: values x links x bits or flits, the largest of all products, are too many.
    """
    if largest_count(layout, samples) >= 1 << 62:
        raise SimulationError(
            f"{samples} samples: the counts of what is simulated at once could pass 64 bits; take a smaller batch_size"
            + (", fewer samples or overlap 'none'" if layout.recipe.overlap == "exact" else "")
        )


def largest_count(layout: Layout, samples: int) -> int:
    """Return what no count of ``samples`` samples passes, and no link's cycles: values x links x bits of a value."""
    products = sum(shape.macs for shape in layout.network.shapes)
    values = samples * (products + _values_sent(layout)) + _filters_sent(layout)
    return values * (layout.chip.columns + layout.chip.rows + 2) * _most_bits(layout)


def _values_sent(layout: Layout) -> int:
    """Return at least the values of a sample that are sent, each for every core that gets it: to layers beside."""
    cores = [0, *layout.placement.cores_per_layer, 0]
    sent = layout.widths[0] * cores[1]
    for layer in range(1, layout.depth + 1):
        shape = layout.shape(layer)
        units = shape.outputs.units + (shape.map.units if shape.pool is not None else 0)
        sent += units * sum(cores[layer - 1 : layer + 2])
    everywhere = layout.rule.shares_source or layout.rule.error == "target"
    return sent + everywhere * layout.outputs * layout.placement.cores_used


def _filters_sent(layout: Layout) -> int:
    """Return at least the weights and biases that are sent to copies and mirrors of filters, sums included."""
    tiles = [1, *(layout.cut(layer).tiles for layer in range(1, layout.depth + 1))]
    learned = [shape.weights + shape.channels for shape in layout.network.shapes]
    return sum(each * (before + own) for each, before, own in zip(learned, tiles, tiles[1:], strict=False))


def _most_bits(layout: Layout) -> int:
    """Return the most bits of one value on a link: two values travel together at most, and each could fill flits."""
    noc = layout.chip.noc
    widest = 2 * max(int(bits) for bits in layout.chip.widths.model_dump().values())
    return max(widest, -(-widest // noc.flit_bits) * (1 + noc.header_flits) * noc.flit_bits)


def schedule(network: Network, rule: Rule, placement: Placement, recipe: Recipe, *, forward_only: bool = False) -> Plan:
    """Return the plan of a training step (or, ``forward_only``, of inference: no labels, errors or updates)."""
    layout = Layout(network, rule, placement, recipe, forward_only)
    tasks = build_tasks(layout)
    builder = MessageBuilder(layout, layout.grid, tasks.task_of)
    traffic.add_io(builder)
    traffic.add_forward(builder)
    if not forward_only:
        traffic.add_errors(builder)
    messages = builder.build()
    expected = _expected(messages, len(tasks), placement.chip.cores)
    edges = build_edges(layout, tasks.task_of, builder.local_edges)
    return Plan(layout, layout.grid, tasks, messages, edges, *expected)


def _expected(messages: Messages, tasks: int, cores: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return the deliveries each task waits for [T], as ``Plan`` lists them."""
    own, gradients, transports, drains = (np.zeros(tasks, dtype=np.int64) for _ in range(4))
    for group, (targets, offsets) in enumerate(zip(messages.targets, messages.target_offsets, strict=True)):
        received = _received(messages, group, cores)
        once = bool(messages.last_only[messages.group == group].any())
        for row, offset in zip(targets, offsets, strict=True):
            if once and offset > 1:
                continue  # the same deliveries, for a later microbatch of the step
            within = gradients if once else own
            into = within if offset == 0 else transports if once else drains
            np.add.at(into, row[row >= 0], received[row >= 0])
    return own, gradients, transports, drains


def _received(messages: Messages, group: int, cores: int) -> IntArray:
    """Return how many copies of a group's messages reach each core [cores]."""
    mine = messages.group == group
    received = np.bincount(messages.destination[mine & (messages.destination >= 0)], minlength=cores)
    for index in np.unique(messages.set_index[mine & (messages.set_index >= 0)]):
        sources = messages.source_core[mine & (messages.set_index == index)]
        members = messages.sets[index]
        own = np.bincount(sources[sources < cores], minlength=cores)
        received[members] += len(sources) - own[members]
    return received
