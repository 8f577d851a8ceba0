"""Transports: new weights leave for a mirror when they are written and nobody reads the old ones any more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules import Plan


class Transports:
    """The messages of a mirrored rule that wait for two ends: the update of their source, the errors of their target.

    The new weights of W_(l+1) for a core of layer l leave with a step's last microbatch, after that core's error(l, q)
    of every q of the step; the errors of microbatches further back than the ``window`` are over by then.
    """

    def __init__(self, plan: Plan, window: int) -> None:
        self.window = window
        messages = plan.messages
        self._ids = np.flatnonzero(messages.triggered)
        self._source_link = messages.source_link
        self._waits: dict[int, IntArray] = {}
        self._of_source: dict[int, IntArray] = {}
        self._of_target: dict[int, IntArray] = {}
        if not len(self._ids):
            return
        places = np.arange(len(self._ids))
        self._of_source = _by_key(messages.source_task[self._ids], places)
        errors = np.full(len(self._ids), -1, dtype=np.int64)
        for group, what in enumerate(messages.groups):
            mine = messages.group[self._ids] == group
            if mine.any():
                task_of = plan.tasks.task_of["error", what.to_layer]
                errors[mine] = task_of[messages.destination[self._ids][mine]]
        self._of_target = _by_key(errors, places)

    def finish(self, microbatch: int, task: int, step: range) -> Iterator[tuple[int, int]]:
        """Yield the ranges [first, behind) of messages that may leave now that a task has ended.

        ``step`` holds the microbatches of the step; its messages wait for the last of them.
        """
        last = step[-1]
        if not len(self._ids) or last - microbatch >= self.window:
            return
        for found, counts in ((self._of_source, microbatch == last), (self._of_target, True)):
            places = found.get(task)
            if places is None or not counts:
                continue
            waits = self._waits_of(step)
            waits[places] -= 1
            yield from self._ranges(self._ids[places[waits[places] == 0]])

    def pending(self, microbatch: int) -> bool:
        """Whether messages of ``microbatch`` have not left yet."""
        waits = self._waits.get(microbatch)
        if waits is None:
            return False
        if (waits <= 0).all():
            del self._waits[microbatch]
            return False
        return True

    def state(self, since: int) -> dict[int, bytes]:
        """Return what waits, by microbatch relative to ``since``."""
        return {q - since: waits.tobytes() for q, waits in self._waits.items()}

    def _waits_of(self, step: range) -> IntArray:
        """How many ends every message of the step still waits for: one update, and the errors within the window."""
        if step[-1] not in self._waits:
            ends = 1 + min(self.window, len(step))
            self._waits[step[-1]] = np.full(len(self._ids), ends, dtype=np.int64)
        return self._waits[step[-1]]

    def _ranges(self, ids: IntArray) -> Iterator[tuple[int, int]]:
        """Cut message numbers into runs of one source."""
        if not len(ids):
            return
        cuts = np.flatnonzero((np.diff(ids) != 1) | (np.diff(self._source_link[ids]) != 0)) + 1
        for run in np.split(ids, cuts):
            yield int(run[0]), int(run[-1]) + 1


def _by_key(keys: IntArray, values: IntArray) -> dict[int, IntArray]:
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return {int(keys[part[0]]): values[part] for part in np.split(order, cuts)}
