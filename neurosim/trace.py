"""What was counted and when it happened: the facts from which costs are computed, and their storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.counts import COUNT_NAMES, MESSAGE_COUNTS, WORK_COLUMNS, IntArray
from neurosim.errors import RunError

DIRECTIONS = ("east", "west", "north", "south")
WAY_COLUMNS: tuple[str, ...] = tuple(
    f"{where}flit_hops_{direction}" for where in ("", "border_") for direction in DIRECTIONS
)
"""The flit_hops of each direction within chips, then those between chips: what may differ in energy."""

TRAFFIC_COLUMNS: tuple[str, ...] = (*MESSAGE_COUNTS, *WAY_COLUMNS)
"""Message counts, and the flit_hops of each kind of link."""

TRAFFIC_INDEX = {name: number for number, name in enumerate(TRAFFIC_COLUMNS)}
_COLUMNS_OF_COUNT = {name: [i for i, (count, _) in enumerate(WORK_COLUMNS) if count == name] for name in COUNT_NAMES}
CORE_STATES = ("computing", "memory", "network", "dependency", "idle")
"""What a core does with its cycles: computing, held up by a memory, waiting for a message, waiting for a task that has
not ended elsewhere, or done."""

DELIVERY_COLUMNS = ("timeline", "slot", "group", "from_core", "to_core", "entered_cycle", "delivered_cycle")

Place = tuple[str, int]


@dataclass(frozen=True)
class CountTable:
    """Counts by phase and layer: ``work`` [places, WORK_COLUMNS] and ``traffic`` [places, TRAFFIC_COLUMNS].

    int64 for a step; Python integers (dtype object) once scaled to an epoch.
    """

    places: tuple[Place, ...]
    work: NDArray[np.int64]
    traffic: NDArray[np.int64]

    @cached_property
    def _row_of(self) -> dict[Place, int]:
        return {place: row for row, place in enumerate(self.places)}

    def row(self, phase: str, layer: int) -> int:
        """Return the row of a phase and layer."""
        return self._row_of[phase, layer]

    def scaled(self, factor: int) -> CountTable:
        """Return the counts times ``factor``, exactly."""
        return CountTable(self.places, self.work.astype(object) * factor, self.traffic.astype(object) * factor)

    def plus(self, other: CountTable) -> CountTable:
        """Return the sum of two tables of the same places."""
        return CountTable(self.places, self.work + other.work, self.traffic + other.traffic)

    def count(self, name: str, rows: list[int] | None = None) -> int:
        """Return a count by its name, summed over kinds of value and over ``rows`` (default: all)."""
        if name in TRAFFIC_INDEX:
            values = self.traffic[:, TRAFFIC_INDEX[name]] if rows is None else self.traffic[rows, TRAFFIC_INDEX[name]]
        else:
            columns = _COLUMNS_OF_COUNT[name]
            values = self.work[:, columns] if rows is None else self.work[rows][:, columns]
        return int(values.sum())

    def counts(self, rows: list[int] | None = None) -> dict[str, int]:
        """Return every count of COUNT_NAMES, summed over ``rows`` (default: all)."""
        return {name: self.count(name, rows) for name in COUNT_NAMES}

    def phase_rows(self, phase: str) -> list[int]:
        """Return the rows of a phase."""
        return [i for i, place in enumerate(self.places) if place[0] == phase]


def empty_counts(depth: int) -> CountTable:
    """Return a table of zeros for a network of ``depth`` layers."""
    layers = range(1, depth + 1)
    phases = [(phase, layer) for phase in ("forward", "error", "update") for layer in layers]
    places: tuple[Place, ...] = (("io", 0), *phases)
    work = np.zeros((len(places), len(WORK_COLUMNS)), dtype=np.int64)
    return CountTable(places, work, np.zeros((len(places), len(TRAFFIC_COLUMNS)), dtype=np.int64))


@dataclass(frozen=True)
class GroupFacts:
    """What the network did with the messages of one group: phase and layer of the sender, what they carry, where to."""

    phase: str
    layer: int
    payload: str
    to_layer: int
    messages: int
    deliveries: int
    payload_bits: int
    flit_hops: int
    latency_sum_cycles: int
    latency_max_cycles: int


@dataclass(frozen=True)
class Timeline:
    """When the tasks of a simulated stretch ran: arrays [tasks run] in the order in which they started.

    ``task`` is the number in the plan's table, ``microbatch`` counts on through steps. A stretch stands for ``times``
    stretches of the run (overlap none: one microbatch of each kind; exact: the epoch, once). ``crossings`` is how often
    a link was granted to a message in what was simulated of it.
    """

    times: int
    makespan_cycles: int
    crossings: int
    task: IntArray
    microbatch: IntArray
    samples: IntArray
    start_cycle: IntArray
    end_cycle: IntArray


@dataclass(frozen=True)
class Trace:
    """The facts of a simulated run of ``steps`` steps and ``samples`` samples of a network with ``outputs`` outputs.

    ``structure`` is the chip's, on which all the rest hangs. ``core_work`` [cores, WORK_COLUMNS]; ``core_cycles``
    [cores, CORE_STATES]; ``link_busy_cycles`` and ``link_flits`` [links]; ``critical_path`` cycles by (phase,
    resource), and ``serial_path`` the part of it that more cores would not shorten; ``waiting_messages_most`` the
    high-water mark of messages that waited for a link. ``deliveries`` holds single ones by DELIVERY_COLUMNS, those of a
    timeline up to a limit; cycles are those of the timeline, io ports are numbered from the chip's cores on.
    ``network`` is the level at which messages moved, "event" or "flit".
    """

    counts: CountTable
    samples: int
    steps: int
    makespan_cycles: int
    barriers: int
    cores: int
    cores_used: int
    outputs: int
    argmax_bits: int
    structure: dict[str, str]
    core_work: IntArray
    core_cycles: IntArray
    link_busy_cycles: IntArray
    link_flits: IntArray
    groups: tuple[GroupFacts, ...]
    critical_path: dict[tuple[str, str], int]
    serial_path: dict[tuple[str, str], int]
    waiting_messages_most: int
    timelines: tuple[Timeline, ...]
    deliveries: dict[str, IntArray]
    network: str = "event"

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the facts as named arrays, for an .npz file; ``trace_from_arrays`` reads them again.

        Raises:
            RunError: a total of a long epoch passes 64 bits.
        """
        try:
            return self._as_arrays()
        except OverflowError:
            raise RunError(
                f"trace of {self.samples} samples: a total passes 64 bits and cannot be stored; simulate fewer samples"
            ) from None

    def _as_arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "places": np.array([f"{phase} {layer}" for phase, layer in self.counts.places]),
            "work": np.array(self.counts.work, dtype=np.int64),
            "traffic": np.array(self.counts.traffic, dtype=np.int64),
            "work_columns": np.array([" ".join(column) for column in WORK_COLUMNS]),
            "traffic_columns": np.array(TRAFFIC_COLUMNS),
            "core_work": np.array(self.core_work, dtype=np.int64),
            "core_states": np.array(CORE_STATES),
            "core_cycles": np.array(self.core_cycles, dtype=np.int64),
            "link_busy_cycles": np.array(self.link_busy_cycles, dtype=np.int64),
            "link_flits": np.array(self.link_flits, dtype=np.int64),
            "structure": np.array(list(self.structure)),
            "structure_values": np.array(list(self.structure.values())),
            "timelines": np.array(len(self.timelines)),
            "network": np.array(self.network),
        }
        arrays |= {name: np.array(getattr(self, name), dtype=np.int64) for name in _SCALARS}
        for name in _PATHS:
            path: dict[tuple[str, str], int] = getattr(self, name)
            arrays[name] = np.array([f"{phase} {resource}" for phase, resource in path], dtype=str)
            arrays[f"{name}_cycles"] = np.array(list(path.values()), dtype=np.int64)
        for column in fields(GroupFacts):
            arrays[f"group_{column.name}"] = np.array([getattr(group, column.name) for group in self.groups])
        arrays |= {f"delivery_{name}": values for name, values in self.deliveries.items()}
        for number, timeline in enumerate(self.timelines):
            for column in fields(Timeline):
                arrays[f"timeline_{number}_{column.name}"] = np.asarray(getattr(timeline, column.name))
        return arrays


_PATHS = ("critical_path", "serial_path")
_SCALARS = (
    "samples", "steps", "makespan_cycles", "barriers", "cores", "cores_used", "outputs", "argmax_bits",
    "waiting_messages_most",
)  # fmt: skip


def trace_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Trace:
    """Return the trace whose ``as_arrays`` were kept: it can be priced again without simulating.

    Raises:
        RunError: arrays are missing or damaged, or were written for other counts than this version knows.
    """
    try:
        if list(arrays["work_columns"]) != [" ".join(c) for c in WORK_COLUMNS] or list(
            arrays["traffic_columns"]
        ) != list(TRAFFIC_COLUMNS):
            raise RunError("trace: was written for other counts than this version has; simulate again")
        places = tuple((phase, int(layer)) for phase, layer in (place.split() for place in arrays["places"].tolist()))
        trace = Trace(
            counts=CountTable(places, arrays["work"], arrays["traffic"]),
            core_work=arrays["core_work"],
            core_cycles=arrays["core_cycles"],
            link_busy_cycles=arrays["link_busy_cycles"],
            link_flits=arrays["link_flits"],
            critical_path=_path_of(arrays, "critical_path"),
            serial_path=_path_of(arrays, "serial_path"),
            structure=dict(zip(arrays["structure"].tolist(), arrays["structure_values"].tolist(), strict=True)),
            groups=tuple(_rows_of(GroupFacts, "group", arrays)),
            deliveries={name: arrays[f"delivery_{name}"] for name in DELIVERY_COLUMNS},
            network=str(arrays["network"]) if "network" in arrays else "event",  # written since there are two
            timelines=tuple(_timeline_of(arrays, number) for number in range(int(arrays["timelines"]))),
            **{name: int(arrays[name]) for name in _SCALARS},
        )
        _check_shapes(trace)
    except KeyError as error:
        raise RunError(f"trace: has no {error}; it is damaged or no trace of neurosim's") from None
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise RunError(f"trace: is damaged ({error}); simulate again") from None
    return trace


def _check_shapes(trace: Trace) -> None:
    """Raise ValueError unless the tables of a trace are of whole numbers and as large as its places and cores."""
    counts, cores = trace.counts, trace.cores
    for name, values, shape in (
        ("work", counts.work, (len(counts.places), len(WORK_COLUMNS))),
        ("traffic", counts.traffic, (len(counts.places), len(TRAFFIC_COLUMNS))),
        ("core_work", trace.core_work, (cores, len(WORK_COLUMNS))),
        ("core_cycles", trace.core_cycles, (cores, len(CORE_STATES))),
        ("link_flits", trace.link_flits, trace.link_busy_cycles.shape),
    ):
        if values.shape != shape or not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} is {values.dtype} {list(values.shape)}, not whole numbers {list(shape)}")


def _rows_of(kind: type[GroupFacts], prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Iterator[GroupFacts]:
    names = [column.name for column in fields(kind)]
    columns = [arrays[f"{prefix}_{name}"].tolist() for name in names]
    for row in zip(*columns, strict=True):
        yield kind(**dict(zip(names, row, strict=True)))


def _path_of(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[tuple[str, str], int]:
    keys = [(phase, resource) for phase, resource in (key.split() for key in arrays[name].tolist())]
    return dict(zip(keys, arrays[f"{name}_cycles"].tolist(), strict=True))


def _timeline_of(arrays: Mapping[str, NDArray[Any]], number: int) -> Timeline:
    found: dict[str, Any] = {column.name: arrays[f"timeline_{number}_{column.name}"] for column in fields(Timeline)}
    found |= {name: int(found[name]) for name in ("times", "makespan_cycles", "crossings")}
    return Timeline(**found)
