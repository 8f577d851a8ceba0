"""Flow: messages of one kind between two sets of cores, without making the messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh

Task = tuple[str, int]
"""Kind and layer of a group of tasks."""

_PHASES = {"product": "error", "unpool": "error", "pool": "forward"}


class Senders(NamedTuple):
    """Some tasks of a group: their places in it, their cores (io ports: numbers from the chip's on), their links."""

    places: IntArray
    cores: IntArray
    links: IntArray

    def take(self, chosen: IntArray | NDArray[np.bool_]) -> Senders:
        """Return some of them."""
        return Senders(self.places[chosen], self.cores[chosen], self.links[chosen])


class Payload(NamedTuple):
    """Bits of a unit of a message, per sample or (``once``) in a step's last microbatch; trees or single copies."""

    bits: int
    multicast: bool
    once: bool = False


@dataclass(frozen=True)
class Flow:
    """Messages from tasks ``sources`` of a group ``sender`` to the cores ``destinations``, of all to all of them.

    A message from source i to destination j carries the payload's bits times the source's units, the destination's, or
    both (``pattern`` "source", "destination", "block"). Under the pattern "pair" destination j, which may then occur
    more than once, gets its units from source ``source_of[j]`` and from no other; sources may then share a core, as
    those of several messages of one task. The groups ``waiting`` need what reaches their cores; where they need
    different parts of it, ``readers`` are, by layer, the places of the destinations that it needs.
    """

    sender: Task
    sources: Senders
    source_units: IntArray
    destinations: IntArray
    destination_units: IntArray
    pattern: Literal["source", "destination", "block", "pair"]
    payload: Payload
    waiting: tuple[Task, ...] = ()
    source_of: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    readers: Mapping[int, IntArray] = field(default_factory=dict)

    @property
    def phase(self) -> str:
        """The phase in which the flow is booked: its sender's."""
        return _PHASES.get(self.sender[0], self.sender[0])

    @property
    def layer(self) -> int:
        """The layer under which the flow is booked: its sender's."""
        return self.sender[1]

    @cached_property
    def own(self) -> tuple[IntArray, IntArray]:
        """Places of the sources that are destinations too, and of these: a core sends itself nothing."""
        if self.pattern == "pair":
            here = np.flatnonzero(self.sources.cores[self.source_of] == self.destinations)
            return self.source_of[here], here
        ends = (self.sources.cores, self.destinations)
        _, sources, destinations = np.intersect1d(*ends, assume_unique=True, return_indices=True)
        return sources.astype(np.int64), destinations.astype(np.int64)

    def to_itself(self, mine: IntArray, theirs: IntArray) -> tuple[IntArray, IntArray]:
        """Return, for some sources and some destinations, 1 where a core is one of both, else 0."""
        if not len(self.own[0]):
            return np.zeros_like(mine), np.zeros_like(theirs)
        sources, destinations = self.sources.cores[mine], self.destinations[theirs]
        return np.isin(sources, destinations).astype(np.int64), np.isin(destinations, sources).astype(np.int64)

    @cached_property
    def classes(self) -> list[tuple[int, IntArray, IntArray]]:
        """(bits, sources, destinations) of all messages of equal payload, ends as places in their arrays.

        Under the pattern "pair" the sources are those of the destinations, one by one.
        """
        return list(self._classes())

    def _classes(self) -> Iterator[tuple[int, IntArray, IntArray]]:
        if self.pattern == "pair":
            away = self.sources.cores[self.source_of] != self.destinations
            for units in np.unique(self.destination_units[away]).tolist():
                theirs = np.flatnonzero((self.destination_units == units) & away)
                yield units * self.payload.bits, self.source_of[theirs], theirs
            return
        for units in np.unique(self.destination_units).tolist():
            theirs = np.flatnonzero(self.destination_units == units)
            for source_units in np.unique(self.source_units).tolist():
                carried = {"source": source_units, "destination": units, "block": source_units * units}[self.pattern]
                if carried > 0:
                    mine = np.flatnonzero(self.source_units == source_units)
                    yield carried * self.payload.bits, mine, theirs


def cores_of(layout: Layout, task: Task) -> IntArray:
    """Return the cores of a group of tasks: products of errors are where the weights are."""
    kind, layer = task
    return layout.cores(layer + 1 if kind == "product" else layer)


def senders_of(layout: Layout, grid: Mesh, task: Task) -> Senders:
    """Return all tasks of a group as senders."""
    if task[0] == "io":
        ports = np.arange(layout.ports, dtype=np.int64)
        links = np.array(grid.io_routers[: layout.ports], dtype=np.int64) * grid.stride + grid.cores_per_router
        return Senders(ports, layout.chip.cores + ports, links)
    cores = cores_of(layout, task)
    links = cores // grid.cores_per_router * grid.stride + cores % grid.cores_per_router
    return Senders(np.arange(len(cores), dtype=np.int64), cores, links)


def spread(
    sender: Task, sources: Senders, units: IntArray, cores: IntArray, payload: Payload, *waiting: Task
) -> Iterator[Flow]:
    """Yield the flow in which every source sends its units, if it has any, to all ``cores``."""
    some = units > 0
    if some.any() and len(cores):
        ones = np.ones(len(cores), dtype=np.int64)
        yield Flow(sender, sources.take(some), units[some], cores, ones, "source", payload, waiting)


def one_to_one(
    sender: Task, sources: Senders, ends: tuple[IntArray, IntArray, IntArray], payload: Payload, *waiting: Task
) -> Flow:
    """Return the flow in which destination j gets its units from one source: ``ends`` = (sources, cores, units)."""
    source_of, cores, units = ends
    ones = np.ones(len(sources.cores), dtype=np.int64)
    return Flow(sender, sources, ones, cores, units, "pair", payload, waiting, source_of)
