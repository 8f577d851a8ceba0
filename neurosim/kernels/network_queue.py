"""The event queue and the link FIFOs of the event-level network.

The grant of the head of a FIFO is an *event*; a busy link has exactly one. Events of the next HORIZON cycles are bits
of a wheel (one row of bits per cycle, over all links), which gives them back in order of link id at the cost of a bit
scan; later ones wait in a heap of ``time << 24 | link``.
"""

from __future__ import annotations

import numpy as np

from neurosim.kernels import kernel
from neurosim.kernels.network_layout import (
    FREE_RECORD,
    FREE_RECORDS,
    HORIZON,
    INJECTION,
    LATER,
    LINK_LIMIT,
    NEVER,
    NOW,
    UNIFORM,
    WAITING,
    Integers,
    Workspace,
    inlined_kernel,
    lowest_bit,
    open_workspace,
)  # fmt: skip


@kernel
def heap_push(heap: Integers, size: int, key: int) -> None:
    """Add ``key`` to a binary heap of ``size`` keys."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent] <= key:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = key


@kernel
def heap_pop(heap: Integers, size: int) -> int:
    """Take the least key from a binary heap of ``size`` keys."""
    least = heap[0]
    last = heap[size - 1]
    size -= 1
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= last:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = last
    return int(least)


@inlined_kernel
def set_bit(w: Workspace, link: int, time: int) -> None:
    """Put an event on the wheel: in its row, in the row's summary (first words), in the summary of rows (last row)."""
    row = time & (HORIZON - 1)
    word = link >> 6
    summary_words = (((w.links.size + 63) >> 6) + 63) >> 6
    w.wheel[row, summary_words + word] |= np.uint64(1) << np.uint64(link & 63)
    w.wheel[row, word >> 6] |= np.uint64(1) << np.uint64(word & 63)
    w.wheel[HORIZON, row >> 6] |= np.uint64(1) << np.uint64(row & 63)


@inlined_kernel
def clear_bit(w: Workspace, link: int, time: int) -> None:
    """Take an event off the wheel, and with the last one of a word or row its marks in the summaries."""
    row = time & (HORIZON - 1)
    word = link >> 6
    summary_words = (((w.links.size + 63) >> 6) + 63) >> 6
    w.wheel[row, summary_words + word] &= ~(np.uint64(1) << np.uint64(link & 63))
    if w.wheel[row, summary_words + word] == np.uint64(0):
        w.wheel[row, word >> 6] &= ~(np.uint64(1) << np.uint64(word & 63))
    for summary in range(summary_words):
        if w.wheel[row, summary] != np.uint64(0):
            return
    w.wheel[HORIZON, row >> 6] &= ~(np.uint64(1) << np.uint64(row & 63))


@inlined_kernel
def schedule(w: Workspace, link: int, time: int) -> None:
    """Make ``time`` the time at which the head of ``link`` is granted."""
    w.links[link]["event"] = time
    if time - w.clock[NOW] < HORIZON:
        set_bit(w, link, time)
    else:
        heap_push(w.later, w.clock[LATER], time << 24 | link)
        w.clock[LATER] += 1


@inlined_kernel
def next_time(w: Workspace) -> int:
    """Return the time of the earliest event, or NEVER."""
    clock = w.clock
    # Only where hop_cycles differ does an event in the heap become void, when an earlier request overtakes its link's.
    while clock[LATER] > 0 and w.links[w.later[0] & (LINK_LIMIT - 1)]["event"] != w.later[0] >> 24:
        heap_pop(w.later, clock[LATER])
        clock[LATER] -= 1
    now = clock[NOW]
    start = now & (HORIZON - 1)
    words = HORIZON >> 6
    rows = w.wheel[HORIZON]
    bits = rows[start >> 6] >> np.uint64(start & 63)
    if bits != np.uint64(0):
        return int(now + lowest_bit(bits))
    for step in range(1, words + 1):
        index = (start >> 6) + step & (words - 1)
        if rows[index] != np.uint64(0):
            return int(now + ((index << 6) + lowest_bit(rows[index]) - start & (HORIZON - 1)))
    return int(w.later[0] >> 24) if clock[LATER] > 0 else NEVER


@inlined_kernel
def advance(w: Workspace, time: int) -> None:
    """Set the clock and move the events that have come within the horizon from the heap to the wheel."""
    clock = w.clock
    clock[NOW] = time
    while clock[LATER] > 0 and (w.later[0] >> 24) - time < HORIZON:
        key = heap_pop(w.later, clock[LATER])
        clock[LATER] -= 1
        link = key & (LINK_LIMIT - 1)
        if w.links[link]["event"] == key >> 24:
            set_bit(w, link, key >> 24)


@inlined_kernel
def new_record(w: Workspace) -> int:
    """Take a record off the free list; `has_room` saw to it that there is one."""
    record = w.clock[FREE_RECORD]
    w.clock[FREE_RECORD] = w.pool[record]["next"]
    w.clock[FREE_RECORDS] -= 1
    return int(record)


@inlined_kernel
def free_record(w: Workspace, record: int) -> None:
    """Give a record back."""
    w.pool[record]["next"] = w.clock[FREE_RECORD]
    w.clock[FREE_RECORD] = record
    w.clock[FREE_RECORDS] += 1
    w.clock[WAITING] -= 1


@inlined_kernel
def append(w: Workspace, link: int, record: int) -> None:
    """Queue a request behind all others: where all hop_cycles are equal, requests are made in order of arrival."""
    queue = w.links[link]
    moved = w.pool[record]
    moved["next"] = -1
    tail = queue["tail"]
    moved["before"] = tail
    queue["tail"] = record
    if queue["head"] < 0:
        queue["head"] = record
        schedule(w, link, max(moved["arrival"], queue["free"]))
    else:
        w.pool[tail]["next"] = record


@inlined_kernel
def insert(w: Workspace, link: int, record: int) -> None:
    """Queue a request by (arrival, link it comes from), looking for its place from the tail."""
    queue = w.links[link]
    moved = w.pool[record]
    behind = -1
    before = queue["tail"] if queue["head"] >= 0 else -1
    while before >= 0:
        other = w.pool[before]
        if other["arrival"] < moved["arrival"]:
            break
        if other["arrival"] == moved["arrival"] and other["came_from"] < moved["came_from"]:
            break
        behind = before
        before = -1 if before == queue["head"] else other["before"]
    moved["before"] = before
    moved["next"] = behind
    if behind < 0:
        queue["tail"] = record
    else:
        w.pool[behind]["before"] = record
    if before >= 0:
        w.pool[before]["next"] = record
        return
    queue["head"] = record
    time = max(moved["arrival"], queue["free"])
    if behind >= 0 and time != queue["event"] and queue["event"] - w.clock[NOW] < HORIZON:
        clear_bit(w, link, queue["event"])
    if behind < 0 or time != queue["event"]:
        schedule(w, link, time)


@inlined_kernel
def request(w: Workspace, link: int, record: int) -> None:
    """Queue a record, whose arrival is set, at a link."""
    if w.clock[UNIFORM]:
        append(w, link, record)
    else:
        insert(w, link, record)


@inlined_kernel
def _write(out: Integers, place: int, value: int) -> int:
    """Write a number if there is room, and count it anyway."""
    if place < out.size:
        out[place] = value
    return place + 1


@inlined_kernel
def _write_records(w: Workspace, out: Integers, place: int, link: int, since: int, relative: Integers) -> int:
    """Write the FIFO of a link; what lies before ``since`` and can no longer matter is written as 0."""
    record = w.links[link]["head"]
    while record >= 0:
        row = w.pool[record]
        arrival = max(row["arrival"] - since, 0)
        place = _write(out, place, row["message"])
        place = _write(out, place, relative[row["slot"]])
        place = _write(out, place, row["flits"])
        place = _write(out, place, row["entered"] - since)
        place = _write(out, place, arrival)
        place = _write(out, place, max(row["tail"] - since, 0))
        place = _write(out, place, row["came_from"] if arrival > 0 else 0)
        record = row["next"]
    return place


@inlined_kernel
def _write_ranges(w: Workspace, out: Integers, place: int, link: int, since: int, relative: Integers) -> int:
    """Write what still waits to be injected at a link."""
    index = w.links[link]["head"]
    while index >= 0:
        row = w.ranges[index]
        place = _write(out, place, row["first"])
        place = _write(out, place, row["last"])
        place = _write(out, place, relative[row["slot"]])
        place = _write(out, place, row["entered"] - since)
        index = row["next"]
    return place


@kernel
def snapshot(table: Integers, out: Integers, since: int, relative: Integers) -> int:
    """Write the state of all links relative to the cycle ``since`` and return how many numbers that took.

    ``relative`` [slots] is written in place of a slot. A link that is free and empty is left out; of the others come
    the link, the cycles until it is free, its FIFO from the head, and -1. If more numbers are returned than ``out``
    holds, call again with more room.
    """
    w = open_workspace(table)
    place = 0
    for link in range(w.links.size):
        row = w.links[link]
        if row["head"] < 0 and row["free"] <= since:
            continue
        place = _write(out, place, link)
        place = _write(out, place, max(row["free"] - since, 0))
        if row["kind"] == INJECTION:
            place = _write_ranges(w, out, place, link, since, relative)
        else:
            place = _write_records(w, out, place, link, since, relative)
        place = _write(out, place, -1)
    return place
