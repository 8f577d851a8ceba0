"""The messages of a microbatch: which task sends what to which cores, over how many links, and what it completes.

A *group* is a set of messages that are booked together and complete the same kind of task: on core c a delivery of
group g counts one input of every task in ``targets[g][:, c]``, of the sender's microbatch or, where
``target_offsets[g]`` says so, of a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh, deliveries, destination_sets, route_crossings, tree_crossings


@dataclass(frozen=True)
class Group:
    """Where a group of messages is booked: phase and layer of the sender, what it carries, the layers it reaches."""

    phase: str
    layer: int
    payload: str
    to_layer: int


@dataclass(frozen=True)
class Messages:
    """Messages [M] in the order in which their sources let them go.

    ``destination`` is a core, or -1 for a multicast to destination set ``set_index``; ``bits_per_sample`` and
    ``bits_fixed`` give payload_bits = samples * bits_per_sample + bits_fixed; ``crossings`` [ways, M] are the links of
    the route or tree between routers, by direction, those between chips apart; ``copies`` the cores that get one;
    ``last_only`` messages are sent with a step's last microbatch only, and of these ``triggered`` ones wait for more
    than their source's end.
    """

    group: IntArray
    source_task: IntArray
    source_core: IntArray
    source_link: IntArray
    destination: IntArray
    set_index: IntArray
    bits_per_sample: IntArray
    bits_fixed: IntArray
    crossings: IntArray
    copies: IntArray
    last_only: NDArray[np.bool_]
    triggered: NDArray[np.bool_]
    groups: tuple[Group, ...]
    targets: tuple[IntArray, ...]
    target_offsets: tuple[tuple[int, ...], ...]
    sets: tuple[IntArray, ...]

    def payload_bits(self, samples: int) -> IntArray:
        """Payload of every message [M] for a microbatch of ``samples``."""
        return samples * self.bits_per_sample + self.bits_fixed


@dataclass
class MessageBuilder:
    """Collects the messages of a plan; ``task_of[kind, layer]`` [cores] is the task on each core, or -1."""

    layout: Layout
    mesh: Mesh
    task_of: dict[tuple[str, int], IntArray]
    groups: list[Group] = field(default_factory=list)
    targets: list[IntArray] = field(default_factory=list)
    offsets: list[tuple[int, ...]] = field(default_factory=list)
    sets: list[IntArray] = field(default_factory=list)
    columns: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    local_edges: list[IntArray] = field(default_factory=list)

    def build(self) -> Messages:
        """Return all messages, those of one source task side by side: every microbatch's first, then the last one's."""
        # Column by column, each given up as it is joined: there may be millions of messages.
        joined = {name: self._join(name) for name in ("last_only", "triggered", "source_task")}
        rank = joined["last_only"].astype(np.int64) + joined["triggered"]
        order = np.lexsort((rank, joined["source_task"]))
        arrays = {name: values[order] for name, values in joined.items()}
        arrays |= {name: self._join(name)[..., order] for name in list(self.columns[0])}
        return Messages(
            **arrays,
            groups=tuple(self.groups),
            targets=tuple(self.targets),
            target_offsets=tuple(self.offsets),
            sets=tuple(self.sets),
        )

    def _join(self, name: str) -> NDArray[Any]:
        """Return one column of all messages and forget it."""
        return np.concatenate([columns.pop(name) for columns in self.columns], axis=-1)

    def add_group(self, group: Group, completes: Sequence[IntArray], offsets: Sequence[int] | None = None) -> int:
        """Open a group whose deliveries are inputs of the tasks ``completes``, arrays [cores] of task or -1.

        ``offsets`` says how many microbatches later each of those tasks runs (default: the same microbatch).
        """
        self.groups.append(group)
        none = np.zeros((0, self.layout.chip.cores), dtype=np.int64)
        self.targets.append(np.stack(completes) if completes else none)
        self.offsets.append(tuple(offsets) if offsets is not None else (0,) * len(completes))
        return len(self.groups) - 1

    def send(self, group: int, sources: Senders, destinations: IntArray, multicast: bool) -> None:
        """Let every source send its payload to all ``destinations`` but its own core, one tree or one copy each."""
        self.add_local_edges(group, sources, destinations)
        self.send_away(group, sources, destinations, multicast)

    def send_away(self, group: int, sources: Senders, destinations: IntArray, multicast: bool) -> None:
        """Send as ``send`` does, without the edges of what a core needs from itself."""
        if multicast:
            self._multicast(group, sources, np.unique(destinations))
            return
        each = np.sort(np.unique(destinations))
        from_index, to_index = np.nonzero(sources.cores[:, None] != each[None, :])
        self._unicast(group, sources, from_index, each[to_index], sources.bits[from_index])

    def send_blocks(self, group: int, sources: Senders, destinations: IntArray, bits: IntArray) -> None:
        """Let source i send ``bits[i, j]`` to core ``destinations[j]``: another payload to each."""
        self.add_local_edges(group, sources, destinations)
        order = np.argsort(destinations, kind="stable")
        away = (sources.cores[:, None] != destinations[order][None, :]) & (bits[:, order] > 0)
        from_index, to_index = np.nonzero(away)
        self._unicast(group, sources, from_index, destinations[order][to_index], bits[:, order][from_index, to_index])

    def send_pairs(self, group: int, sources: Senders, destinations: IntArray) -> None:
        """Let source i send its payload to core ``destinations[i]`` alone; no pair shares a core."""
        self._unicast(group, sources, np.arange(len(destinations)), destinations, sources.bits)

    def add_local_edges(self, group: int, sources: Senders, destinations: IntArray) -> None:
        """What a core needs from itself is there when the source ends: an edge and no message."""
        here = np.isin(sources.cores, destinations)
        for tasks, offset in zip(self.targets[group], self.offsets[group], strict=True):
            if offset == 0 and sources.tasks.size and not sources.from_port:
                found = tasks[sources.cores[here]]
                pairs = np.stack([sources.tasks[here], found], axis=1)[found >= 0]
                self.local_edges.append(pairs)

    def _unicast(
        self,
        group: int,
        sources: Senders,
        from_index: IntArray,
        to_cores: IntArray,
        bits: IntArray,
    ) -> None:
        links = sources.links[from_index]
        zeros = np.zeros(len(to_cores), dtype=np.int64)
        self.columns.append(
            {
                "group": zeros + group,
                "source_task": sources.tasks[from_index],
                "source_core": sources.cores[from_index],
                "source_link": links,
                "destination": to_cores,
                "set_index": zeros - 1,
                "bits_per_sample": bits * (sources.sent == "always"),
                "bits_fixed": bits * (sources.sent != "always"),
                "crossings": route_crossings(self.mesh, links, to_cores),
                "copies": zeros + 1,
                **_when(sources, len(zeros)),
            }
        )

    def _multicast(self, group: int, sources: Senders, destinations: IntArray) -> None:
        self.sets.append(destinations)
        tables = destination_sets(self.mesh, [destinations.tolist()])
        copies = deliveries(self.mesh, sources.links, tables, np.zeros(len(sources.links), dtype=np.int64))
        keep = copies > 0
        zeros = np.zeros(int(keep.sum()), dtype=np.int64)
        self.columns.append(
            {
                "group": zeros + group,
                "source_task": sources.tasks[keep],
                "source_core": sources.cores[keep],
                "source_link": sources.links[keep],
                "destination": zeros - 1,
                "set_index": zeros + len(self.sets) - 1,
                "bits_per_sample": sources.bits[keep] * (sources.sent == "always"),
                "bits_fixed": sources.bits[keep] * (sources.sent != "always"),
                "crossings": tree_crossings(self.mesh, sources.links[keep], tables, zeros),
                "copies": copies[keep],
                **_when(sources, len(zeros)),
            }
        )


@dataclass(frozen=True)
class Senders:
    """The sending tasks, their cores (io ports: numbers from the chip's cores on), injection links, and bits.

    ``bits`` are per sample where messages are ``sent`` "always". "with_last", and "triggered" by more than the end of
    their task, they are sent with a step's last microbatch only, and ``bits`` are all there are.
    """

    tasks: IntArray
    cores: IntArray
    links: IntArray
    bits: IntArray
    from_port: bool = False
    sent: Literal["always", "with_last", "triggered"] = "always"


def _when(sources: Senders, count: int) -> dict[str, NDArray[Any]]:
    """Return the columns that say in which microbatches ``count`` messages are sent."""
    return {
        "last_only": np.full(count, sources.sent != "always"),
        "triggered": np.full(count, sources.sent == "triggered"),
    }
