"""The owner of the event-level network's arrays: makes them, lets them grow, and calls the kernel on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.engine.task_network import TaskNetwork
from neurosim.errors import SimulationError
from neurosim.kernels import network_event, network_queue
from neurosim.kernels import network_layout as layout
from neurosim.kernels.network_layout import Integers, Records, Workspace

FIRST_RECORDS = 4096


class Grid(Protocol):
    """What a mesh must tell; `topology.Mesh` does, with the ids of links that are described there."""

    @property
    def columns(self) -> int: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def cores_per_router(self) -> int: ...  # noqa: D102
    @property
    def flit_bits(self) -> int: ...  # noqa: D102
    @property
    def port_cycles(self) -> int: ...  # noqa: D102
    @property
    def hop_cycles(self) -> Integers: ...  # noqa: D102
    @property
    def link_bits(self) -> Integers: ...  # noqa: D102


class Sets(Protocol):
    """What destination sets must tell; `topology.DestinationSets` does."""

    @property
    def x_min(self) -> Integers: ...  # noqa: D102
    @property
    def x_max(self) -> Integers: ...  # noqa: D102
    @property
    def column_min(self) -> Integers: ...  # noqa: D102
    @property
    def column_max(self) -> Integers: ...  # noqa: D102
    @property
    def member(self) -> NDArray[np.bool_]: ...  # noqa: D102


@dataclass(frozen=True)
class Messages:
    """The M messages of one microbatch, all int64 [M] but ``flits_by_class``, int64 [classes, M].

    ``injection`` is the link a message is sent by, ``group`` the number under which its facts are summed and its
    targets found, ``destination`` a core, or -1 for a multicast to set ``destination_set``, ``hops`` the links between
    routers of its route or tree. A message has ``flits_by_class[c]`` flits in a microbatch of class c.
    """

    injection: Integers
    group: Integers
    destination: Integers
    destination_set: Integers
    hops: Integers
    flits_by_class: Integers


@dataclass(frozen=True)
class Targets:
    """What arrivals make ready: for group g on core c the rows ``start[g cores + c]`` up to the next start.

    A row is a ``task`` and a ``slot_offset`` d: a message of slot s is an input of that task in slot (s + d) mod slots.
    ``start`` is int64 [groups cores + 1], ``task`` and ``slot_offset`` int64 [rows], ``durations_by_class`` int64
    [classes, tasks] in cycles.
    """

    start: Integers
    task: Integers
    slot_offset: Integers
    durations_by_class: Integers


class NetworkState(TaskNetwork):
    """A network in motion.

    ``slots`` microbatches are in flight at once, each in a slot; `start_slot` gives a slot to a microbatch. `send`
    enters messages, `run` lets time pass and returns the tasks whose inputs are complete. Inputs that do not come by
    message are taken off ``remaining`` by the caller, who then also keeps ``ready`` (a cycle) and ``cause`` (a message,
    or -2 - task).

    With ``log_rows`` up to so many rows are kept of ``deliveries`` (slot, message, core, entered, delivered) and of
    ``crossings`` (link, slot, message, granted, released), in the order of their grants.
    """

    _workspace: Workspace

    def __init__(
        self, grid: Grid, messages: Messages, *, sets: Sets, targets: Targets, slots: int, log_rows: int = 0
    ) -> None:
        """Make an empty network; raises SimulationError where a table passes what the kernel can count."""
        links = grid.hop_cycles.size
        cores = grid.columns * grid.rows * grid.cores_per_router
        _check_bounds(grid, messages, targets, slots)
        clock = np.zeros(layout.CLOCK_SIZE, dtype=np.int64)
        clock[[layout.NOW, layout.FREE_RECORD, layout.FREE_RANGE]] = -1
        clock[layout.NEXT_EVENT] = layout.NEVER
        clock[layout.UNIFORM] = np.ptp(grid.hop_cycles) == 0
        clock[layout.COLUMNS] = grid.columns
        clock[layout.CORES_PER_ROUTER] = grid.cores_per_router
        clock[layout.PORT_CYCLES] = grid.port_cycles
        clock[layout.FLIT_BITS] = grid.flit_bits
        clock[layout.MOST_TARGETS] = np.diff(targets.start).max(initial=0)
        words = -(-links // 64)
        self._clock, self._sent = clock, 0
        self._workspace = Workspace(
            links=idle_links(grid),
            pool=aligned(0, layout.RECORD),
            ranges=np.zeros(0, dtype=layout.RANGE),
            messages=templates(grid, messages, sets),
            flits=np.ascontiguousarray(messages.flits_by_class, dtype=np.int64),
            spans=spans(sets),
            member=np.ascontiguousarray(sets.member),
            target_start=np.ascontiguousarray(targets.start, dtype=np.int64),
            targets=np.stack([targets.task, targets.slot_offset], axis=1).astype(np.int32),
            tasks=np.zeros((slots, targets.durations_by_class.shape[1]), dtype=layout.TASK),
            slots=np.zeros(slots, dtype=layout.SLOT),
            durations=np.ascontiguousarray(targets.durations_by_class, dtype=np.int64),
            groups=np.zeros((targets.start.size - 1) // cores, dtype=layout.GROUP),
            wheel=np.zeros((layout.HORIZON + 1, words + max(-(-words // 64), layout.HORIZON // 64)), dtype=np.uint64),
            later=np.zeros(0, dtype=np.int64),
            clock=clock,
            sends=np.zeros((256, 4), dtype=np.int64),
            completions=np.zeros(64 + 64 * int(clock[layout.MOST_TARGETS]), dtype=layout.COMPLETION),
            deliveries=np.zeros(log_rows, dtype=layout.DELIVERY),
            crossings=np.zeros(log_rows, dtype=layout.CROSSING),
        )
        self._margin = 64 * (2 * grid.cores_per_router + 6)
        self._grow()

    def send(self, slot: int, first: int, last: int, time: int) -> None:
        """Enter messages ``first`` to ``last - 1`` of a slot, all of one injection link, at cycle ``time``.

        The times of successive calls never fall. Raises SimulationError for a time that has passed.
        """
        workspace = self._workspace
        if not 0 <= first < last < workspace.messages.size or not 0 <= slot < workspace.slots.size:
            raise SimulationError(f"messages {first} to {last} of slot {slot}: no such messages or no such slot")
        if not self._clock.item(layout.NOW) < time < layout.TIME_LIMIT:
            raise SimulationError(
                f"messages sent at cycle {time}: the network is past cycle {self._clock.item(layout.NOW)}, "
                f"and cycles end at {layout.TIME_LIMIT}"
            )
        if self._sent == workspace.sends.shape[0]:
            self._enter()
        workspace.sends[self._sent] = (slot, first, last, time)
        self._sent += 1

    def next_event_time(self) -> int:
        """Return the cycle of the earliest event, or ``network_layout.NEVER``."""
        self._enter()
        return self._clock.item(layout.NEXT_EVENT)

    def undelivered(self, slot: int) -> int:
        """Return how many deliveries of messages sent by ``slot`` are still due, those just sent among them."""
        self._enter()
        return super().undelivered(slot)

    def snapshot(self, since: int, relative: Integers) -> bytes:
        """Return the state of all links relative to cycle ``since``, with ``relative`` [slots] in place of the slots.

        Equal snapshots behave alike and add the same facts; the tasks and the classes of the slots are the
        caller's part. All events before ``since`` must have been processed.
        """
        self._enter()
        out = np.empty(1024, dtype=np.int64)
        size = network_queue.snapshot(self._table, out, since, relative)
        if size > out.size:
            out = np.empty(size, dtype=np.int64)
            network_queue.snapshot(self._table, out, since, relative)
        return out[:size].tobytes()

    def close(self) -> None:
        """Give back what only motion needs, when nothing moves any more: facts and logs stay, messages are refused."""
        large = ("pool", "ranges", "flits", "member", "later")
        empty = {name: getattr(self._workspace, name)[:0].copy() for name in large}
        self._replace(messages=self._workspace.messages[-1:].copy(), **empty)

    @property
    def waiting_most(self) -> int:
        """Most messages (branches of multicasts) in the network at once, those not yet injected included."""
        return self._clock.item(layout.WAITING_MOST)

    @property
    def crossings(self) -> Records:
        """The log of crossings, [up to log_rows]."""
        return self._workspace.crossings[: self._clock.item(layout.CROSSINGS_LOGGED)]

    def _advance(self, bound: int) -> int:
        """Let the kernel take what was sent, and process all events before ``bound``."""
        if self._sent:
            self._make_room_for_sends()
        sent, self._sent = self._sent, 0
        return int(network_event.run(self._table, sent, bound))

    def _enter(self) -> None:
        """Queue what was sent, without letting time pass."""
        if self._sent:
            self.run(-1)

    def _replace(self, **arrays: Any) -> None:
        """Put grown arrays in the place of old ones, and tell the kernel where they are."""
        self._workspace = self._workspace._replace(**arrays)
        self._table = layout.workspace_table(self._workspace)

    def _grow(self) -> None:
        """Double what has become short, the pool of records or the heap."""
        workspace, clock = self._workspace, self._clock
        if clock[layout.FREE_RECORDS] < self._margin:
            old = workspace.pool
            pool = aligned(max(2 * old.size, old.size + self._margin, FIRST_RECORDS), layout.RECORD)
            pool[: old.size] = old
            chain(pool, old.size, int(clock[layout.FREE_RECORD]))
            clock[layout.FREE_RECORD] = old.size
            clock[layout.FREE_RECORDS] += pool.size - old.size
            self._replace(pool=pool)
        if workspace.later.size - clock[layout.LATER] < self._margin + workspace.sends.shape[0]:
            later = np.zeros(2 * workspace.later.size + self._margin + workspace.sends.shape[0], dtype=np.int64)
            later[: workspace.later.size] = workspace.later
            self._replace(later=later)

    def _make_room_for_sends(self) -> None:
        """See to a range for each send, and to a place in the heap for the event it may bring."""
        if self._workspace.later.size - self._clock.item(layout.LATER) < self._sent:
            self._grow()
        if self._clock.item(layout.FREE_RANGES) >= self._sent:
            return
        old = self._workspace.ranges
        ranges = np.zeros(2 * old.size + self._workspace.sends.shape[0], dtype=layout.RANGE)
        ranges[: old.size] = old
        chain(ranges, old.size, int(self._clock[layout.FREE_RANGE]))
        self._clock[layout.FREE_RANGE] = old.size
        self._clock[layout.FREE_RANGES] += ranges.size - old.size
        self._replace(ranges=ranges)


def chain(rows: Records, start: int, behind: int) -> None:
    """Link the rows from ``start`` on to a free list that ends in ``behind``."""
    rows["next"][start:] = np.arange(start + 1, rows.size + 1)
    rows["next"][-1] = behind


def aligned(size: int, dtype: np.dtype[np.void]) -> Records:
    """Zeros whose rows do not straddle lines of the cache."""
    raw = np.zeros(size * dtype.itemsize + 64, dtype=np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size * dtype.itemsize].view(dtype)


def _check_bounds(grid: Grid, messages: Messages, targets: Targets, slots: int) -> None:
    """Refuse what would overflow a key or a field of the kernel."""
    links, most_flits = grid.hop_cycles.size, int(messages.flits_by_class.max(initial=1))
    longest = -(-most_flits * grid.flit_bits // int(grid.link_bits.min()))
    limits = (
        ("links of the mesh", links, layout.LINK_LIMIT),
        ("routers along a side", max(grid.columns, grid.rows), 1 << 15),
        ("messages of a microbatch", messages.injection.size, (1 << 31) - 1),
        ("flits of a message", most_flits, 1 << 31),
        ("cycles that a message holds a link", longest, layout.TIME_LIMIT >> 1),
        ("hop_cycles", int(grid.hop_cycles.max()), 1 << 15),
        ("link_bits", int(grid.link_bits.max()), 1 << 31),
        ("slots that an input lies ahead", int(targets.slot_offset.max(initial=0)), slots),
    )
    for what, value, limit in limits:
        if value >= limit:
            raise SimulationError(f"{what}: {value} is too many for the network kernel, which can take {limit - 1}")
    if min(grid.hop_cycles.min(), messages.flits_by_class.min(initial=1)) < 1 or targets.slot_offset.min(initial=0) < 0:
        raise SimulationError("hop_cycles and flits must be at least 1, and an input cannot lie in an earlier slot")


def idle_links(grid: Grid) -> Records:
    """Idle links, each with the router it leads to."""
    per_router, stride = grid.cores_per_router, 2 * grid.cores_per_router + 5
    links = aligned(grid.hop_cycles.size, layout.LINK)
    router, slot = np.divmod(np.arange(links.size), stride)
    y, x = np.divmod(router, grid.columns)
    direction = slot - per_router
    x = x + (direction == 1) - (direction == 2)
    y = y + (direction == 4) - (direction == 3)
    links["x"], links["y"] = x, y
    links["first_link"] = (y * grid.columns + x) * stride
    links["kind"] = np.where(direction <= 0, layout.INJECTION, layout.BETWEEN_ROUTERS)
    links["kind"][direction > 4] = layout.EJECTION
    links["head"] = links["event"] = -1
    links["hop_cycles"], links["link_bits"] = grid.hop_cycles, grid.link_bits
    return links


def templates(grid: Grid, messages: Messages, sets: Sets) -> Records:
    """One row per message and one more, whose deliveries_before closes the sums."""
    per_router, stride = grid.cores_per_router, 2 * grid.cores_per_router + 5
    rows = np.zeros(messages.injection.size + 1, dtype=layout.MESSAGE)
    unicast = messages.destination >= 0
    router, port = np.divmod(messages.destination, per_router)
    rows["injection"][:-1] = messages.injection
    rows["group"][:-1] = messages.group
    rows["hops"][:-1] = messages.hops
    rows["target"][:-1] = np.where(unicast, router * stride + per_router + 5 + port, -1 - messages.destination_set)
    rows["x"][:-1] = np.where(unicast, router % grid.columns, 0)
    rows["y"][:-1] = np.where(unicast, router // grid.columns, 0)
    multicast = np.flatnonzero(~unicast)
    chosen = messages.destination_set[multicast]
    from_router, from_port = np.divmod(messages.injection[multicast], stride)
    is_core = from_port < per_router
    own = sets.member[chosen, np.where(is_core, from_router * per_router + from_port, 0)]
    counts = np.ones(messages.injection.size, dtype=np.int64)
    counts[multicast] = sets.member.sum(axis=1)[chosen] - (is_core & own)
    rows["deliveries_before"][1:] = np.cumsum(counts)
    return rows


def spans(sets: Sets) -> NDArray[np.int32]:
    """Rows of the members in every column, and last the columns themselves."""
    least = np.concatenate([sets.column_min, sets.x_min[:, None]], axis=1)
    largest = np.concatenate([sets.column_max, sets.x_max[:, None]], axis=1)
    return np.ascontiguousarray(np.stack([least, largest], axis=2), dtype=np.int32)
