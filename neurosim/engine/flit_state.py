"""The owner of the flit-level network's arrays, with the interface of the event level's `NetworkState`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.engine.flit_tables import FlitGrid, check_messages, check_router, empty_clock, empty_workspace
from neurosim.engine.network_state import Messages, Sets, Targets, aligned, chain
from neurosim.errors import SimulationError
from neurosim.kernels import network_flit
from neurosim.kernels import network_flit_layout as flit_layout
from neurosim.kernels import network_layout as layout
from neurosim.kernels.network_flit_layout import FLIT_DTYPES
from neurosim.kernels.network_layout import Integers, Records

FIRST_ROWS = 1024


class FlitState:
    """A flit-level network in motion; `send`, `run` and the facts are those of `NetworkState`.

    A link holds one flit for ceil(flit_bits / link_bits) cycles. A hop of ``hop_cycles`` is the routing delay, three
    cycles of the router and the rest on the link, where credits take as long; ``port_cycles`` is the link to a core.
    There is no log of crossings.
    """

    def __init__(
        self, mesh: FlitGrid, messages: Messages, *, sets: Sets, targets: Targets, slots: int, log_rows: int = 0
    ) -> None:
        """Make an empty network; raises SimulationError where the mesh, its router or a message cannot be simulated."""
        grid, router = mesh.grid, mesh.router
        check_router(grid, router)
        check_messages(router, messages, targets, slots)
        self._clock = empty_clock(grid, router, sets, targets)
        self._workspace = empty_workspace(mesh, messages, sets, targets, slots)
        self._clock[flit_layout.ROW_MASK] = self._workspace.due.shape[0] - 1
        self._workspace = self._workspace._replace(
            clock=self._clock, deliveries=np.zeros(log_rows, dtype=layout.DELIVERY)
        )
        self._grow()

    @property
    def remaining(self) -> NDArray[np.int32]:
        """Inputs that the tasks still wait for; a writable view [slots, tasks]."""
        return self._workspace.tasks["remaining"]

    @property
    def ready(self) -> Integers:
        """Cycle of the last input so far; a writable view [slots, tasks]."""
        return self._workspace.tasks["ready"]

    @property
    def cause(self) -> NDArray[np.int32]:
        """What the last input so far was, a message or what the caller wrote; a writable view [slots, tasks]."""
        return self._workspace.tasks["cause"]

    def start_slot(self, slot: int, microbatch_class: int, remaining: Integers) -> None:
        """Give ``slot`` to a microbatch of a class whose tasks wait for ``remaining`` [tasks] inputs each.

        Raises SimulationError if messages of the microbatch before are still on their way.
        """
        due = self.undelivered(slot)
        if due:
            raise SimulationError(f"slot {slot}: {due} deliveries are due; give it away when there are none")
        self._workspace.slots[slot]["class"] = microbatch_class
        self.remaining[slot] = remaining
        self.ready[slot] = 0
        self.cause[slot] = -1

    def send(self, slot: int, first: int, last: int, time: int) -> None:
        """Enter messages ``first`` to ``last - 1`` of a slot, all of one injection link, at cycle ``time``.

        The times of successive calls never fall. Raises SimulationError for a time that has passed.
        """
        self.send_all(np.array([[slot, first, last, time]], dtype=np.int64))

    def send_all(self, sends: Integers) -> None:
        """Enter many sends at once: rows (slot, first, last, time) of `send`, int64 [any, 4], by time."""
        workspace, clock = self._workspace, self._clock
        slot, first, last, time = sends.T
        known = (first >= 0) & (first < last) & (last < workspace.messages.size)
        if not (known & (slot >= 0) & (slot < workspace.slots.size)).all():
            raise SimulationError("messages sent: no such messages or no such slot")
        end = int(clock[flit_layout.PENDING_END])
        latest = max(int(clock[layout.NOW]) + 1, int(workspace.pending[end - 1, 3]) if end else 0)
        if sends.size and (time.min() < latest or (np.diff(time) < 0).any() or time.max() >= layout.TIME_LIMIT):
            raise SimulationError(
                f"messages sent at cycle {int(time.min())}: the network has come to cycle {latest}, times may not "
                f"fall, and cycles end at {layout.TIME_LIMIT}"
            )
        self._make_room_for_sends(len(sends))
        workspace, end = self._workspace, int(clock[flit_layout.PENDING_END])
        workspace.pending[end : end + len(sends)] = sends
        clock[flit_layout.PENDING_END] = end + len(sends)
        before = workspace.messages["deliveries_before"]
        np.add.at(workspace.slots["undelivered"], slot, before[last] - before[first])

    def run(self, bound: int) -> list[tuple[int, int, int]]:
        """Let all cycles before ``bound`` pass and return (slot, task, ready cycle) of each task made ready.

        A task made ready lowers the bound to its ready cycle plus its duration: before that it can cause nothing.
        """
        status = network_flit.run(self._table, bound)
        completions = self._take_completions()
        while status == layout.ROOM_NEEDED:
            self._grow()
            status = network_flit.run(self._table, self._clock.item(layout.BOUND))
            completions += self._take_completions()
        if status == layout.TIME_EXCEEDED:
            raise SimulationError(f"the network passed cycle {layout.TIME_LIMIT}: simulate fewer or shorter steps")
        if status == layout.BAD_RANGE:
            raise SimulationError("messages sent together must share their injection link")
        if status == flit_layout.STALLED:
            raise SimulationError(
                f"no flit has moved for {flit_layout.STALL_CYCLES} cycles at cycle {self._clock.item(layout.NOW)}; "
                "please report this"
            )
        return completions

    def next_event_time(self) -> int:
        """Return the next cycle in which something may happen, or ``network_layout.NEVER``."""
        self.run(-1)
        return self._clock.item(layout.NEXT_EVENT)

    def undelivered(self, slot: int) -> int:
        """Return how many deliveries of messages sent by ``slot`` are still due."""
        return int(self._workspace.slots[slot]["undelivered"])

    def snapshot(self, since: int, relative: Integers) -> bytes:
        """Return a state that equals no other: whose turn it is at every arbiter hardly ever comes back."""
        return f"{id(self)} {since} {self._clock.item(layout.NOW)}".encode()

    def close(self) -> None:
        """Give back what only motion needs, when nothing moves any more: facts and logs stay, messages are refused."""
        large = ("packets", "transfers", "ranges", "counters", "landings", "credits", "routings", "flits", "member")
        empty = {name: getattr(self._workspace, name)[:0].copy() for name in large}
        self._replace(messages=self._workspace.messages[-1:].copy(), **empty)

    def group_facts(self) -> dict[str, Integers]:
        """Return, per group, messages, deliveries, latency_{sum,max}_cycles, flit_hops and flit_routers; [groups]."""
        return {name: self._workspace.groups[name].copy() for name in layout.GROUP_FACTS}

    def link_facts(self) -> dict[str, Integers]:
        """Return, per link, busy_cycles, flits and messages (packets); int64 [links]."""
        links = self._workspace.links
        names = {"busy_cycles": "busy", "flits": "flits", "messages": "messages"}
        return {name: links[field].astype(np.int64) for name, field in names.items()}

    @property
    def flits_in_network(self) -> int:
        """Flits in buffers and on the links to them; those on an ejection link have left."""
        on_links = self._workspace.due[:, flit_layout.LANDINGS].sum()
        return int(self._workspace.channels["count"].sum(dtype=np.int64) + on_links)

    @property
    def flits_injected(self) -> int:
        """Flits that sources have sent so far."""
        return self._clock.item(flit_layout.INJECTED_FLITS)

    @property
    def flits_ejected(self) -> int:
        """Flits that have left by an ejection link so far."""
        return self._clock.item(flit_layout.EJECTED_FLITS)

    @property
    def crossings_total(self) -> int:
        """Links crossed by packets so far."""
        return int(self._workspace.links["messages"].sum(dtype=np.int64))

    @property
    def last_delivery(self) -> int:
        """Cycle of the last delivery known so far."""
        return self._clock.item(layout.LAST_DELIVERY)

    @property
    def waiting_most(self) -> int:
        """Most deliveries that were due at once, of messages not yet injected, too."""
        return self._clock.item(layout.WAITING_MOST)

    @property
    def deliveries(self) -> Records:
        """The log of deliveries, [up to log_rows]."""
        return self._workspace.deliveries[: self._clock.item(layout.DELIVERIES_LOGGED)]

    def _take_completions(self) -> list[tuple[int, int, int]]:
        count = self._clock.item(layout.COMPLETIONS)
        if not count:
            return []
        self._clock[layout.COMPLETIONS] = 0
        taken: list[tuple[int, int, int]] = self._workspace.completions[:count].tolist()
        return taken

    def _replace(self, **arrays: Any) -> None:
        """Put grown arrays in the place of old ones, and tell the kernel where they are."""
        self._workspace = self._workspace._replace(**arrays)
        self._table = layout.workspace_table(self._workspace, FLIT_DTYPES)

    def _make_room_for_sends(self, count: int) -> None:
        """Drop the sends that have been entered, and grow if that is not enough."""
        clock, pending = self._clock, self._workspace.pending
        first, end = int(clock[flit_layout.PENDING_FIRST]), int(clock[flit_layout.PENDING_END])
        if end + count <= len(pending):
            return
        rest = pending[first:end].copy()
        if len(rest) + count > len(pending) // 2:
            pending = np.zeros((2 * (len(rest) + count), 4), dtype=np.int64)
            self._replace(pending=pending)
        pending[: len(rest)] = rest
        clock[flit_layout.PENDING_FIRST], clock[flit_layout.PENDING_END] = 0, len(rest)

    def _grow(self) -> None:
        """Double the pools that have become short."""
        clock, workspace = self._clock, self._workspace
        sources = int(clock[flit_layout.SOURCES]) + 1
        pools = {
            "packets": (flit_layout.FREE_PACKET, flit_layout.FREE_PACKETS),
            "transfers": (flit_layout.FREE_TRANSFER, flit_layout.FREE_TRANSFERS),
            "ranges": (layout.FREE_RANGE, layout.FREE_RANGES),
        }
        for name, (first, left) in pools.items():
            if clock[left] >= sources:
                continue
            old = getattr(workspace, name)
            new = aligned(max(2 * old.size, old.size + sources, FIRST_ROWS), old.dtype)
            new[: old.size] = old
            chain(new, old.size, int(clock[first]))
            clock[first] = old.size
            clock[left] += new.size - old.size
            self._replace(**{name: new})
        need = sources * int(clock[flit_layout.MOST_COUNTERS])
        if workspace.counters.size - clock[flit_layout.COUNTERS_USED] < need:
            counters = np.zeros(2 * workspace.counters.size + need, dtype=np.int64)
            counters[: workspace.counters.size] = workspace.counters
            self._replace(counters=counters)
