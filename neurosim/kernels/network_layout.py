"""The arrays of the event-level network: their rows, their constants and the one workspace that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Records = NDArray[np.void]
Integers = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

HORIZON = 256  # cycles on the wheel, a power of two
NEVER = 1 << 62
LINK_LIMIT = 1 << 24  # a heap key holds a link in its low 24 bits
TIME_LIMIT = 1 << 38

INJECTION, BETWEEN_ROUTERS, EJECTION = 0, 1, 2  # kinds of link
DONE, ROOM_NEEDED, TIME_EXCEEDED, BAD_RANGE = 0, 1, 2, 3  # what a call returns

# Places in Workspace.clock.
(
    NOW, NEXT_EVENT, BOUND, FREE_RECORD, FREE_RECORDS, FREE_RANGE, FREE_RANGES, WAITING, WAITING_MOST, LAST_DELIVERY,
    LATER, COMPLETIONS, DELIVERIES_LOGGED, CROSSINGS_LOGGED, UNIFORM, COLUMNS, CORES_PER_ROUTER, PORT_CYCLES, FLIT_BITS,
    MOST_TARGETS, CLOCK_SIZE,
) = range(21)  # fmt: skip

# One line of the cache (64 bytes) per link and per record. A link leads to router (x, y), whose links start at
# `first_link`.
LINK = np.dtype([
    ("free", "i8"), ("busy", "i8"), ("flits", "i8"), ("event", "i8"), ("messages", "i8"), ("head", "i4"),
    ("tail", "i4"), ("first_link", "i4"), ("link_bits", "i4"), ("hop_cycles", "i2"), ("x", "i2"), ("y", "i2"),
    ("kind", "i2"),
])  # fmt: skip
RECORD = np.dtype([
    ("arrival", "i8"), ("tail", "i8"), ("entered", "i8"), ("message", "i4"), ("slot", "i4"), ("flits", "i4"),
    ("group", "i4"), ("target", "i4"), ("x", "i2"), ("y", "i2"), ("came_from", "i4"), ("next", "i4"), ("before", "i4"),
    ("unused", "i4"),
])  # fmt: skip
RANGE = np.dtype([("entered", "i8"), ("slot", "i4"), ("first", "i4"), ("last", "i4"), ("next", "i4")])
# `target` is the ejection link of a unicast to a core of router (x, y), or -1 - set for a multicast.
MESSAGE = np.dtype([
    ("deliveries_before", "i8"), ("injection", "i4"), ("group", "i4"), ("target", "i4"), ("hops", "i4"),
    ("x", "i2"), ("y", "i2"), ("unused", "i4"),
])  # fmt: skip
TASK = np.dtype([("ready", "i8"), ("remaining", "i4"), ("cause", "i4")])
SLOT = np.dtype([("undelivered", "i8"), ("class", "i8")])
GROUP_FACTS = (
    "messages", "deliveries", "latency_sum_cycles", "latency_max_cycles", "flit_hops", "flit_routers",
)  # fmt: skip
GROUP = np.dtype([(name, "i8") for name in GROUP_FACTS])
COMPLETION = np.dtype([("slot", "i8"), ("task", "i8"), ("ready", "i8")])
DELIVERY = np.dtype([("slot", "i8"), ("message", "i8"), ("core", "i8"), ("entered", "i8"), ("delivered", "i8")])
CROSSING = np.dtype([("link", "i8"), ("slot", "i8"), ("message", "i8"), ("granted", "i8"), ("released", "i8")])

DTYPES = {
    "links": LINK, "pool": RECORD, "ranges": RANGE, "messages": MESSAGE, "spans": np.dtype(np.int32),
    "member": np.dtype(np.bool_), "targets": np.dtype(np.int32), "tasks": TASK, "slots": SLOT, "groups": GROUP,
    "wheel": np.dtype(np.uint64), "completions": COMPLETION, "deliveries": DELIVERY, "crossings": CROSSING,
}  # fmt: skip


class Workspace(NamedTuple):
    """All state of a network and the tables it reads.

    Rows have the dtypes above. links LINK [links]; pool RECORD, ranges RANGE [any]; messages MESSAGE [M + 1];
    flits int64 [classes, M]; spans int32 [sets, columns + 1, 2] (least and largest row of the members in each column,
    and last the least and largest column); member bool [sets, cores]; target_start int64 [groups x cores + 1];
    targets int32 [targets, 2] (task, slot offset); tasks TASK [slots, tasks]; slots SLOT [slots];
    durations int64 [classes, tasks]; groups GROUP [groups]; wheel uint64 [HORIZON + 1, summary words + words];
    later int64, a heap; clock int64 [CLOCK_SIZE]; sends int64 [any, 4] (slot, first, last, time);
    completions COMPLETION, deliveries DELIVERY, crossings CROSSING [any].
    """

    links: Records
    pool: Records
    ranges: Records
    messages: Records
    flits: Integers
    spans: NDArray[np.int32]
    member: NDArray[np.bool_]
    target_start: Integers
    targets: NDArray[np.int32]
    tasks: Records
    slots: Records
    durations: Integers
    groups: Records
    wheel: NDArray[np.uint64]
    later: Integers
    clock: Integers
    sends: Integers
    completions: Records
    deliveries: Records
    crossings: Records


def workspace_table(workspace: Any, dtypes: Mapping[str, np.dtype[Any]] = DTYPES) -> Integers:
    """Return what a kernel needs to find the arrays, int64 [fields, 4]: address and up to three sizes.

    Numba takes 0.1 us for each array it is handed, and counts references to it with an atomic instruction at each use,
    which costs more than the simulation. The table is one array, and what is made from its addresses is not counted:
    whoever calls a kernel keeps the workspace alive, and makes a new table when one of its arrays is replaced.
    """
    table = np.zeros((len(workspace), 4), dtype=np.int64)
    for row, (name, array) in enumerate(workspace._asdict().items()):
        expected = dtypes.get(name, np.dtype(np.int64))
        if array.dtype != expected or not array.flags.c_contiguous:
            raise TypeError(f"workspace.{name}: it is {array.dtype}, and must be {expected} and contiguous")
        table[row, 0] = array.ctypes.data
        table[row, 1 : 1 + array.ndim] = array.shape
    return table


def inlined_kernel(function: Function) -> Function:
    """Compile a part of a kernel into its caller: handing the workspace to a real call would copy all its fields.

    It cannot be called from Python: the wrappers that would unpack a workspace take longer to compile than the rest.
    """
    options: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled = numba.njit(nogil=True, error_model="numpy", **options)(function)
    return cast(Function, compiled)


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Position of the lowest bit set in a word that is not zero, as one instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, 1))

    return types.int64(types.uint64), generate


def _address_as_pointer(typing_context: Any, address: Any) -> Any:
    """An address as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), generate


# Typed by hand: Numba's decorators hide what a function takes.
lowest_bit = cast("Callable[[np.uint64], int]", intrinsic(_lowest_bit))
as_pointer = cast("Callable[[np.int64], Any]", intrinsic(_address_as_pointer))
carray: Callable[..., Any] = vars(numba)["carray"]


@inlined_kernel
def open_workspace(t: Integers) -> Workspace:
    """Return the workspace that a table was made from; for kernels."""
    return Workspace(
        carray(as_pointer(t[0, 0]), (t[0, 1],), LINK),
        carray(as_pointer(t[1, 0]), (t[1, 1],), RECORD),
        carray(as_pointer(t[2, 0]), (t[2, 1],), RANGE),
        carray(as_pointer(t[3, 0]), (t[3, 1],), MESSAGE),
        carray(as_pointer(t[4, 0]), (t[4, 1], t[4, 2]), np.int64),
        carray(as_pointer(t[5, 0]), (t[5, 1], t[5, 2], t[5, 3]), np.int32),
        carray(as_pointer(t[6, 0]), (t[6, 1], t[6, 2]), np.bool_),
        carray(as_pointer(t[7, 0]), (t[7, 1],), np.int64),
        carray(as_pointer(t[8, 0]), (t[8, 1], t[8, 2]), np.int32),
        carray(as_pointer(t[9, 0]), (t[9, 1], t[9, 2]), TASK),
        carray(as_pointer(t[10, 0]), (t[10, 1],), SLOT),
        carray(as_pointer(t[11, 0]), (t[11, 1], t[11, 2]), np.int64),
        carray(as_pointer(t[12, 0]), (t[12, 1],), GROUP),
        carray(as_pointer(t[13, 0]), (t[13, 1], t[13, 2]), np.uint64),
        carray(as_pointer(t[14, 0]), (t[14, 1],), np.int64),
        carray(as_pointer(t[15, 0]), (t[15, 1],), np.int64),
        carray(as_pointer(t[16, 0]), (t[16, 1], t[16, 2]), np.int64),
        carray(as_pointer(t[17, 0]), (t[17, 1],), COMPLETION),
        carray(as_pointer(t[18, 0]), (t[18, 1],), DELIVERY),
        carray(as_pointer(t[19, 0]), (t[19, 1],), CROSSING),
    )
