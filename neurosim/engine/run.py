"""simulate(): each distinct microbatch once where they add up, the whole epoch where they overlap."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import Any, get_args

import numpy as np

from neurosim.arguments import checked_choice
from neurosim.chips import Chip
from neurosim.counts import IntArray, weighted_sum
from neurosim.engine.facts import History, Repeat, core_counts, group_facts, microbatch_counts
from neurosim.engine.plan_network import Network
from neurosim.engine.replay import simulate_epoch_with_replay
from neurosim.engine.simulation import Simulation
from neurosim.errors import SimulationError
from neurosim.schedules import Microbatch, Plan, check_countable, microbatch_times
from neurosim.trace import CORE_STATES, DELIVERY_COLUMNS, CountTable, Timeline, Trace

MOST_LOGGED = 20_000_000
"""Single deliveries that a trace may hold: 40 bytes each."""

MOST_LISTED = 2_000_000
"""Microbatches of an epoch that overlaps."""


def simulate(
    plan: Plan, chip: Chip, *, samples: int | None = None, log_rows: int | None = 0, network: Network = "event"
) -> Trace:
    """Return the trace of an epoch of ``samples`` samples, or of one step of the recipe's batch.

    Without overlap the chip is empty between microbatches, so their times add up and each distinct one is simulated
    once; with overlap an epoch is one simulation. ``log_rows`` keeps that many single deliveries of each, None all.
    ``network`` "event" moves messages as trains of flits through unbounded queues, "flit" moves every flit through
    routers with virtual channels, buffers and credits; there an epoch that overlaps is simulated from end to end.

    Raises:
        SimulationError: the chip is not the plan's, it has no routers that "flit" can simulate, or a table passes what
            can be counted.
    """
    checked_choice("network", network, get_args(Network))
    if chip.model_dump(exclude={"name", "sources"}) != plan.layout.chip.model_dump(exclude={"name", "sources"}):
        raise SimulationError(
            f"chip {chip.name!r}: the plan was made for chip {plan.layout.chip.name!r}; place and schedule for this one"
        )
    batch = plan.layout.recipe.batch_size
    total = batch if samples is None else samples
    overlaps = plan.layout.recipe.overlap == "exact"
    check_countable(plan.layout, total if overlaps else batch)
    if log_rows is None:
        log_rows = _all_deliveries(plan, total)
    times = microbatch_times(plan.microbatch, batch, total)
    return (_simulate_epoch if overlaps else _simulate_apart)(plan, times, total, log_rows, network)


def _all_deliveries(plan: Plan, samples: int) -> int:
    """Rows that a log of every delivery can need: those of a microbatch, or with overlap of an epoch."""
    rows = int(plan.messages.copies.sum())
    if plan.layout.recipe.overlap == "exact":
        rows *= -(-samples // plan.microbatch)
    if rows > MOST_LOGGED:
        raise SimulationError(
            f"a full trace: up to {rows} deliveries, and at most {MOST_LOGGED} are kept; keep the first ones instead, "
            "or simulate fewer samples"
        )
    return rows


def _listed_steps(plan: Plan, times: dict[Microbatch, int], samples: int) -> list[list[Microbatch]]:
    """The microbatches of every step of an epoch that overlaps."""
    if sum(times.values()) > MOST_LISTED:
        raise SimulationError(
            f"samples = {samples}: an epoch under overlap 'exact' is listed microbatch by microbatch, and it has "
            f"{sum(times.values())}, of which at most {MOST_LISTED} are; take fewer samples or overlap 'none'"
        )
    full, short = divmod(samples, plan.layout.recipe.batch_size)
    return [plan.microbatches()] * full + ([plan.microbatches(short)] if short else [])


def _simulate_apart(plan: Plan, times: dict[Microbatch, int], samples: int, log_rows: int, network: Network) -> Trace:
    """Overlap none: simulate each distinct microbatch from an empty chip and add them up."""
    histories = [(_run(plan, batch, log_rows, network), count) for batch, count in times.items()]
    barriers = sum(times.values())
    makespan = sum(history.makespan * count for history, count in histories)
    path = _sum_paths([(history.critical_path(Repeat()), count) for history, count in histories])
    serial = _sum_paths([(history.serial_path(Repeat()), count) for history, count in histories])
    barrier_cycles = barriers * plan.layout.chip.barrier_cycles
    if barrier_cycles:
        path[plan.tasks.groups[-1].phase, "barrier"] = serial[plan.tasks.groups[-1].phase, "barrier"] = barrier_cycles
    waited = np.zeros((plan.layout.chip.cores, len(CORE_STATES)), dtype=np.int64)
    waited[:, -1] = plan.layout.chip.barrier_cycles
    core_cycles = weighted_sum([(waited, barriers), *((h.core_cycles(Repeat()), count) for h, count in histories)])
    link_facts = [(history.simulation.network.link_facts(), count) for history, count in histories]
    group = _sum_groups([(history.simulation.network.group_facts(), count) for history, count in histories])
    return _trace(
        plan,
        list(times.items()),
        samples=samples,
        steps=-(-samples // plan.layout.recipe.batch_size),
        makespan_cycles=makespan + barrier_cycles,
        network=network,
        barriers=barriers,
        core_cycles=core_cycles,
        link_busy_cycles=weighted_sum((facts["busy_cycles"], count) for facts, count in link_facts),
        link_flits=weighted_sum((facts["flits"], count) for facts, count in link_facts),
        groups=tuple(group_facts(plan, group, list(times.items()))),
        critical_path=path,
        serial_path=serial,
        waiting_messages_most=max(history.simulation.network.waiting_most for history, _ in histories),
        timelines=tuple(_timeline(history, count) for history, count in histories),
        deliveries=_deliveries([history for history, _ in histories]),
    )


def _run(plan: Plan, batch: Microbatch, log_rows: int, network: Network) -> History:
    simulation = Simulation(plan, [[batch]], log_rows=log_rows, network=network)
    while simulation.advance():
        pass
    simulation.network.close()  # those of a step's other microbatches need the room
    return History(simulation)


def _simulate_epoch(plan: Plan, times: dict[Microbatch, int], samples: int, log_rows: int, network: Network) -> Trace:
    """Overlap exact: one simulation, in which whole periods that repeat are skipped."""
    run = simulate_epoch_with_replay(plan, _listed_steps(plan, times, samples), log_rows, network)
    history, repeat = History(run.simulation), run.repeat
    group, links = run.group_facts(), run.link_facts()
    return _trace(
        plan,
        list(times.items()),
        samples=samples,
        steps=-(-samples // plan.layout.recipe.batch_size),
        makespan_cycles=history.makespan + repeat.times * (repeat.end - repeat.start),
        network=network,
        barriers=0,
        core_cycles=history.core_cycles(repeat),
        link_busy_cycles=links["busy_cycles"],
        link_flits=links["flits"],
        groups=tuple(group_facts(plan, group, list(times.items()))),
        critical_path=history.critical_path(repeat),
        serial_path=history.serial_path(repeat),
        waiting_messages_most=run.simulation.network.waiting_most,
        timelines=(_timeline(history, 1),),
        deliveries=_deliveries([history]),
    )


def _trace(plan: Plan, times: list[tuple[Microbatch, int]], **facts: Any) -> Trace:
    """Add the counts to the facts of time, and hold the one against the other."""
    works = [(batch, plan.tasks.work(batch), count) for batch, count in times]
    tables = [microbatch_counts(plan, batch, work).scaled(count) for batch, work, count in works]
    trace = Trace(
        counts=reduce(CountTable.plus, tables),
        core_work=np.sum([core_counts(plan, work).astype(object) * count for _, work, count in works], axis=0),
        cores=plan.layout.chip.cores,
        cores_used=plan.layout.placement.cores_used,
        outputs=plan.layout.outputs,
        argmax_bits=plan.layout.network.argmax_bits,
        structure=plan.layout.chip.structure,
        **facts,
    )
    _check_conserved(plan, trace)
    return trace


def _check_conserved(plan: Plan, trace: Trace) -> None:
    """What the network delivered and carried is what the plan sent: flits on links, hop by hop, and deliveries."""
    borders = int(trace.link_flits[plan.grid.border_links()].sum()), trace.counts.count("border_flit_hops")
    if borders[0] != borders[1]:
        raise SimulationError(
            f"border_flit_hops: links between chips carried {borders[0]}, the plan has {borders[1]}; please report this"
        )
    crossed = int(trace.link_flits[plan.grid.between_routers()].sum())
    seen = sum(group.flit_hops for group in trace.groups)
    planned = trace.counts.count("flit_hops")
    messages = sum(group.messages for group in trace.groups), trace.counts.count("messages")
    if not crossed == seen == planned or messages[0] != messages[1]:
        raise SimulationError(
            f"flit_hops: links carried {crossed}, messages {seen}, the plan has {planned}; messages sent and planned: "
            f"{messages[0]}, {messages[1]}; please report this"
        )


def _sum_groups(facts: list[tuple[dict[str, IntArray], int]]) -> dict[str, IntArray]:
    return {
        name: np.max([group[name] for group, _ in facts], axis=0)
        if name.endswith("_max_cycles")
        else weighted_sum((group[name], count) for group, count in facts)
        for name in facts[0][0]
    }


def _sum_paths(paths: list[tuple[dict[tuple[str, str], int], int]]) -> dict[tuple[str, str], int]:
    total: Counter[tuple[str, str]] = Counter()
    for path, count in paths:
        for key, cycles in path.items():
            total[key] += cycles * count
    return dict(total)


def _timeline(history: History, times: int) -> Timeline:
    rows = history.rows
    samples = np.array([batch.samples for batch in history.simulation.batches], dtype=np.int64)
    return Timeline(
        times=times,
        makespan_cycles=history.makespan,
        crossings=history.simulation.network.crossings_total,
        task=rows["task"],
        microbatch=rows["microbatch"],
        samples=samples[rows["microbatch"]],
        start_cycle=rows["start"],
        end_cycle=rows["end"],
    )


def _deliveries(histories: list[History]) -> dict[str, IntArray]:
    """Join the logs of single deliveries, each with the number of its timeline and of its message's group."""
    columns: dict[str, list[IntArray]] = {name: [] for name in DELIVERY_COLUMNS}
    for number, history in enumerate(histories):
        log = history.simulation.network.deliveries
        messages = history.plan.messages
        found = {
            "timeline": np.full(len(log), number, dtype=np.int64),
            "slot": log["slot"],
            "group": messages.group[log["message"]],
            "from_core": messages.source_core[log["message"]],
            "to_core": log["core"],
            "entered_cycle": log["entered"],
            "delivered_cycle": log["delivered"],
        }
        for name in DELIVERY_COLUMNS:
            columns[name].append(np.asarray(found[name], dtype=np.int64))
    return {name: np.concatenate(parts) for name, parts in columns.items()}
