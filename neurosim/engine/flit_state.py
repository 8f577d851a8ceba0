"""The owner of the flit-level network's arrays, with the interface of the event level's `NetworkState`."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.engine.flit_tables import FlitGrid, check_messages, check_router, empty_clock, empty_workspace
from neurosim.engine.network_state import Messages, Sets, Targets, aligned, chain
from neurosim.engine.task_network import TaskNetwork
from neurosim.errors import SimulationError
from neurosim.kernels import network_flit
from neurosim.kernels import network_flit_layout as flit_layout
from neurosim.kernels import network_layout as layout
from neurosim.kernels.network_flit_layout import FLIT_DTYPES, FlitWorkspace
from neurosim.kernels.network_layout import Integers

FIRST_ROWS = 1024


class FlitState(TaskNetwork):
    """A flit-level network in motion; `send`, `run` and the facts are those of `NetworkState`.

    A link holds one flit for ceil(flit_bits / link_bits) cycles. A hop of ``hop_cycles`` is the routing delay, three
    cycles of the router and the rest on the link, where credits take as long; ``port_cycles`` is the link to a core.
    There is no log of crossings.
    """

    _workspace: FlitWorkspace

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

    def next_event_time(self) -> int:
        """Return the next cycle in which something may happen, or ``network_layout.NEVER``."""
        self.run(-1)
        return self._clock.item(layout.NEXT_EVENT)

    def snapshot(self, since: int, relative: Integers) -> bytes:
        """Return a state that equals no other: whose turn it is at every arbiter hardly ever comes back."""
        return f"{id(self)} {since} {self._clock.item(layout.NOW)}".encode()

    def close(self) -> None:
        """Give back what only motion needs, when nothing moves any more: facts and logs stay, messages are refused."""
        large = ("packets", "transfers", "ranges", "counters", "landings", "credits", "routings", "flits", "member")
        empty = {name: getattr(self._workspace, name)[:0].copy() for name in large}
        self._replace(messages=self._workspace.messages[-1:].copy(), **empty)

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
    def waiting_most(self) -> int:
        """Most deliveries that were due at once, of messages not yet injected, too."""
        return self._clock.item(layout.WAITING_MOST)

    def _advance(self, bound: int) -> int:
        """Let all cycles before ``bound`` pass."""
        status = int(network_flit.run(self._table, bound))
        if status == flit_layout.STALLED:
            raise SimulationError(
                f"no flit has moved for {flit_layout.STALL_CYCLES} cycles at cycle {self._clock.item(layout.NOW)}; "
                "please report this"
            )
        return status

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
