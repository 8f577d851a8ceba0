"""What the networks of both levels share: slots, the inputs that tasks wait for, completions and facts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import SimulationError
from neurosim.kernels import network_layout as layout
from neurosim.kernels.network_flit_layout import FlitWorkspace
from neurosim.kernels.network_layout import Integers, Records, Workspace


class TaskNetwork:
    """A network in motion, of either level, as the engine knows it; `NetworkState` says what its parts mean.

    A level has its own ``_workspace`` and ``_clock``, lets a kernel run on them (`_advance`) and makes room (`_grow`).
    """

    _workspace: Workspace | FlitWorkspace
    _clock: Integers

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

    def run(self, bound: int) -> list[tuple[int, int, int]]:
        """Let all that happens before cycle ``bound`` happen, and return (slot, task, ready) of each task made ready.

        A task made ready lowers the bound to its ready cycle plus its duration: before that it can cause nothing.
        """
        status = self._advance(bound)
        completions = self._take_completions()
        while status == layout.ROOM_NEEDED:
            self._grow()
            status = self._advance(self._clock.item(layout.BOUND))
            completions += self._take_completions()
        if status == layout.TIME_EXCEEDED:
            raise SimulationError(f"the network passed cycle {layout.TIME_LIMIT}: simulate fewer or shorter steps")
        if status == layout.BAD_RANGE:
            raise SimulationError("messages sent together must share their injection link")
        return completions

    def undelivered(self, slot: int) -> int:
        """Return how many deliveries of messages sent by ``slot`` are still due."""
        return int(self._workspace.slots[slot]["undelivered"])

    def group_facts(self) -> dict[str, Integers]:
        """Return, per group, messages, deliveries, latency_{sum,max}_cycles, flit_hops and flit_routers; [groups]."""
        return {name: self._workspace.groups[name].copy() for name in layout.GROUP_FACTS}

    def link_facts(self) -> dict[str, Integers]:
        """Return, per link, busy_cycles, flits and messages (at the flit level packets); int64 [links]."""
        links = self._workspace.links
        names = {"busy_cycles": "busy", "flits": "flits", "messages": "messages"}
        return {name: links[field].astype(np.int64) for name, field in names.items()}

    @property
    def crossings_total(self) -> int:
        """Links crossed by messages (at the flit level by packets) so far."""
        return int(self._workspace.links["messages"].sum(dtype=np.int64))

    @property
    def last_delivery(self) -> int:
        """Cycle of the last delivery known so far."""
        return self._clock.item(layout.LAST_DELIVERY)

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

    def _advance(self, bound: int) -> int:
        """Let the kernel run on until ``bound`` or until it needs something, and return which."""
        raise NotImplementedError

    def _grow(self) -> None:
        """Make room where the kernel needs it."""
        raise NotImplementedError
