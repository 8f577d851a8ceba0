"""Training traffic at the flit level: the event level's counts, never under the bound, coupled to the cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from check_rows import paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import cases, chips, tiny_chip
from pipelines import Pipeline, core_counted, counted, examples

from neurosim.chips import Chip, LinkRates, Router
from neurosim.engine import simulate
from neurosim.engine.flit_state import FlitState
from neurosim.engine.plan_network import flit_router
from neurosim.errors import DescriptionError, SimulationError
from neurosim.kernels.network_layout import NEVER, NEXT_EVENT
from neurosim.pipeline import check_agreement
from neurosim.trace import Trace, trace_from_arrays


def with_routers(chip: Chip, router: Router) -> Chip:
    """Return the chip with links that such routers can have: long enough hops, no wider than a flit."""
    noc = chip.noc
    shift = router.routing_delay_cycles + 3

    def fitting(rates: LinkRates) -> LinkRates:
        bits = None if rates.link_bits is None else min(rates.link_bits, noc.flit_bits)
        hop = None if rates.hop_cycles is None else rates.hop_cycles + shift
        return LinkRates(link_bits=bits, hop_cycles=hop)

    changes: dict[str, Any] = {
        "router": router,
        "link_bits": min(noc.link_bits, noc.flit_bits),
        "hop_cycles": noc.hop_cycles + shift,
        "port_cycles": max(noc.port_cycles, 1),
        **{name: fitting(getattr(noc, name)) for name in ("east", "west", "north", "south", "border")},
    }
    return chip.model_copy(update={"noc": noc.model_copy(update=changes)})


@st.composite
def flit_chips(draw: st.DrawFn) -> Chip:
    """Draw a small mesh with any routers."""
    buffer = draw(st.integers(1, 8))
    router = Router(
        virtual_channels=draw(st.integers(1, 4)),
        vc_buffer_flits=buffer,
        routing_delay_cycles=draw(st.integers(0, 2)),
        credit_delay_cycles=draw(st.integers(0, 2)),
        multicast_packet_flits=draw(st.integers(1, buffer)),
    )
    return with_routers(draw(chips()), router)


def flit_trace(pipeline: Pipeline) -> Trace:
    return simulate(pipeline.plan, pipeline.drawn.chip, network="flit")


@examples(60)
@given(cases(chip=flit_chips()))
def test_the_counts_are_the_event_levels_and_the_makespan_keeps_its_bound(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    trace = flit_trace(pipeline)
    assert counted(trace.counts) == counted(pipeline.trace.counts)
    assert core_counted(trace) == core_counted(pipeline.trace)
    assert trace.link_flits.tolist() == pipeline.trace.link_flits.tolist()
    assert [g.deliveries for g in trace.groups] == [g.deliveries for g in pipeline.trace.groups]
    check_agreement(trace, pipeline.analysis)


@examples(25)
@given(cases(chip=flit_chips()))
def test_letting_the_network_run_ahead_changes_nothing(drawn: Case) -> None:
    """The kernel may pass the cycle of a task that is ready; here it stops whenever one becomes ready."""
    pipeline = Pipeline(drawn)
    ahead = flit_trace(pipeline)
    run = FlitState.run

    def step_by_step(state: FlitState, bound: int) -> list[tuple[int, int, int]]:
        completions = run(state, -1)
        while not completions and (time := state._clock.item(NEXT_EVENT)) < min(bound, NEVER):
            completions = run(state, time + 1)
        return completions

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlitState, "run", step_by_step)
        stepped = flit_trace(pipeline)
    for mine, theirs in zip(ahead.timelines, stepped.timelines, strict=True):
        assert mine.start_cycle.tolist() == theirs.start_cycle.tolist()
        assert mine.task.tolist() == theirs.task.tolist()
    assert ahead.makespan_cycles == stepped.makespan_cycles


@pytest.mark.parametrize("rule", ["bp", "dfa", "ssdfa", "bp-mirrored", "last-layer"])
@pytest.mark.parametrize("hop_cycles", [5, 9])
def test_messages_that_never_meet_take_as_long_as_at_the_event_level(rule: str, hop_cycles: int) -> None:
    chip = with_routers(tiny_chip(grid=(3, 1)), Router(vc_buffer_flits=32))  # room for what a long link holds
    chip = chip.model_copy(update={"noc": chip.noc.model_copy(update={"hop_cycles": hop_cycles})})
    pipeline = Pipeline(paper_case(rule, chip=chip, cores=[[0], [1], [2]], batch=2))
    assert flit_trace(pipeline).makespan_cycles == pipeline.trace.makespan_cycles


def test_an_epoch_that_overlaps_is_simulated_from_end_to_end() -> None:
    chip = with_routers(tiny_chip(grid=(2, 2)), Router(virtual_channels=1))
    case = paper_case("bp-mirrored", chip=chip, cores=[[0, 1], [2, 3], [1]], overlap="exact")
    pipeline = Pipeline(case)
    trace = simulate(pipeline.plan, chip, samples=4 * 20 + 3, network="flit")
    event = simulate(pipeline.plan, chip, samples=4 * 20 + 3)
    assert len(trace.timelines[0].task) == len(pipeline.plan.tasks) * 42 > len(event.timelines[0].task)
    assert counted(trace.counts) == counted(event.counts)
    check_agreement(trace, pipeline.analysis_of(4 * 20 + 3))


def test_fewer_buffers_and_channels_take_longer() -> None:
    generous, scarce = (
        with_routers(tiny_chip(grid=(3, 2)), Router(virtual_channels=v, vc_buffer_flits=b, multicast_packet_flits=1))
        for v, b in ((8, 16), (1, 1))
    )
    spans = []
    for chip in (generous, scarce):
        case = paper_case("bp", chip=chip, widths=(12, 18, 18, 6), cores=[[0, 1, 2], [3, 4], [5]])
        spans.append(flit_trace(Pipeline(replace(case, delivery="unicast"))).makespan_cycles)
    assert spans[0] < spans[1]


def test_a_trace_says_at_which_level_messages_moved_and_keeps_it() -> None:
    pipeline = Pipeline(paper_case("dfa", chip=with_routers(tiny_chip(), Router())))
    for trace, level in ((flit_trace(pipeline), "flit"), (pipeline.trace, "event")):
        arrays = trace.as_arrays()
        assert (trace.network, trace_from_arrays(arrays).network) == (level, level)
    del arrays["network"]  # as written before there were two levels
    assert trace_from_arrays(arrays).network == "event"


def test_packets_carry_their_header() -> None:
    noc = tiny_chip().noc.model_copy(update={"max_packet_flits": 6, "header_flits": 2})
    router = flit_router(tiny_chip().model_copy(update={"noc": noc}))
    assert (router.packet_flits, router.multicast_packet_flits) == (8, 8)


def test_what_cannot_be_simulated_is_refused_with_the_way_out() -> None:
    plan = Pipeline(paper_case("dfa")).plan
    with pytest.raises(SimulationError, match="to 5 or more; or take fidelity event"):
        simulate(plan, tiny_chip(), network="flit")
    noc = tiny_chip().noc.model_copy(update={"hop_cycles": 4, "port_cycles": 0})
    chip = tiny_chip().model_copy(update={"noc": noc})
    both = "noc.router.routing_delay_cycles to 0; noc.port_cycles: 0: at the flit level"
    with pytest.raises(SimulationError, match=both):
        simulate(Pipeline(paper_case("dfa", chip=chip)).plan, chip, network="flit")
    chip = with_routers(tiny_chip(), Router(vc_buffer_flits=4))
    with pytest.raises(
        SimulationError, match=r"set noc.router.multicast_packet_flits to 4 or noc.router.vc_buffer_flits to 8"
    ):
        simulate(Pipeline(paper_case("dfa", chip=chip)).plan, chip, network="flit")
    with pytest.raises(DescriptionError, match="allowed are event, flit"):
        simulate(plan, tiny_chip(), network="flits")  # type: ignore[arg-type]
