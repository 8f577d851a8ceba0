"""Requirements on links, routes and multicast trees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import topology
from neurosim.chips import Chip, Core, Io, LinkRates, Memory, Noc
from neurosim.topology import Mesh


def chip(columns: int = 4, rows: int = 3, cores_per_router: int = 2) -> Chip:
    memory = Memory(capacity_bytes=1024, words_per_cycle=1, read_pj_per_word=1.0, write_pj_per_word=1.0)
    core = Core(
        lanes=(1, 1), accumulators_per_lane=1, elementwise_per_cycle=1, generate_per_cycle=1, mac_pj=1.0,
        elementwise_pj=1.0, generate_pj=1.0, neuron_memory=memory, synapse_memory=memory,
    )  # fmt: skip
    noc = Noc(
        cores_per_router=cores_per_router, flit_bits=64, link_bits=32, hop_cycles=5, link_pj_per_flit=2.0,
        router_pj_per_flit=1.0, east=LinkRates(link_bits=8, hop_cycles=9), north=LinkRates(link_pj_per_flit=7.0),
    )  # fmt: skip
    io = Io(ports=((0, 0), (3, 2)), io_bits_per_cycle=64, offchip_pj_per_bit=1.0)
    return Chip(name="grid", clock_mhz=100.0, grid=(columns, rows), core=core, noc=noc, io=io)


def plain(columns: int, rows: int, cores_per_router: int) -> Mesh:
    links = columns * rows * (2 * cores_per_router + 5)
    ones = np.ones(links, dtype=np.int64)
    return Mesh(columns, rows, cores_per_router, (0,), 64, 1, 5 * ones, 64 * ones, ones.astype(np.float64))


@st.composite
def trees(draw: st.DrawFn) -> tuple[Mesh, int, list[int]]:
    chips = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    columns, rows = (count * draw(st.integers(1, 6 // count)) for count in chips)
    mesh = replace(plain(columns, rows, draw(st.integers(1, 3))), chips=chips)
    router = draw(st.integers(0, mesh.routers - 1))
    source = router * mesh.stride + draw(st.integers(0, mesh.cores_per_router))
    return mesh, source, sorted(draw(st.sets(st.integers(0, mesh.cores - 1), min_size=1)))


def by_way(mesh: Mesh, links: Iterable[int]) -> list[int]:
    """Count links by direction, and where there are several chips those at borders apart."""
    border, found = mesh.border_links(), [0] * mesh.ways
    for link in links:
        way = link % mesh.stride - mesh.cores_per_router - 1
        if 0 <= way < 4:
            found[way + 4 * int(border[link])] += 1
    return found


def test_links_of_a_router_are_numbered_injections_io_directions_ejections() -> None:
    mesh = topology.mesh(chip())
    names = [mesh.link_name(6 * mesh.stride + slot).removeprefix("(2, 1) ") for slot in range(mesh.stride)]
    assert names == ["injection 0", "injection 1", "io", "east", "west", "north", "south", "ejection 0", "ejection 1"]
    assert mesh.link_name(mesh.io_link(1)) == "(3, 2) io"
    assert mesh.link_name(mesh.injection_link(13)) == "(2, 1) injection 1"
    assert mesh.link_name(mesh.ejection_link(13)) == "(2, 1) ejection 1"


def test_a_direction_overrides_the_rates_of_its_own_links_only() -> None:
    mesh = topology.mesh(chip())
    east, north = mesh.direction_link(6, "east"), mesh.direction_link(6, "north")
    assert (mesh.hop_cycles[east], mesh.link_bits[east], mesh.link_pj_per_flit[east]) == (9, 8, 2.0)
    assert (mesh.hop_cycles[north], mesh.link_bits[north], mesh.link_pj_per_flit[north]) == (5, 32, 7.0)
    ports = ~mesh.between_routers()
    assert set(mesh.link_bits[ports]) == {32}
    assert mesh.links == mesh.hop_cycles.size == 12 * mesh.stride


def test_links_between_chips_have_the_rates_of_the_border_or_their_directions() -> None:
    rates = LinkRates(hop_cycles=20, link_bits=4)
    noc = chip().noc.model_copy(update={"border": rates})
    mesh = topology.mesh(chip().model_copy(update={"grid": (2, 3), "chips": (2, 1), "noc": noc}))
    borders = {mesh.link_name(link) for link in np.flatnonzero(mesh.border_links()).tolist()}
    assert borders == {f"({x}, {y}) {way}" for x, way in ((1, "east"), (2, "west")) for y in range(3)}
    east = [mesh.direction_link(router, "east") for router in (0, 1, 2)]
    assert mesh.hop_cycles[east].tolist() == [9, 20, 9]
    assert mesh.link_bits[east].tolist() == [8, 4, 8]
    assert set(mesh.link_pj_per_flit[mesh.border_links()]) == {2.0}


def test_what_borders_do_changes_nothing_on_one_chip() -> None:
    noc = chip().noc.model_copy(update={"border": LinkRates(hop_cycles=20, link_bits=4, link_pj_per_flit=50.0)})
    alone, mesh = topology.mesh(chip()), topology.mesh(chip().model_copy(update={"noc": noc}))
    assert not mesh.border_links().any()
    for name in ("hop_cycles", "link_bits", "link_pj_per_flit"):
        assert getattr(mesh, name).tolist() == getattr(alone, name).tolist()


def test_a_route_goes_along_x_first_then_y() -> None:
    mesh = topology.mesh(chip())
    names = [mesh.link_name(link) for link in topology.route_links(mesh, mesh.injection_link(17), 3)]
    assert names == ["(0, 2) injection 1", "(0, 2) east", "(1, 2) north", "(1, 1) north", "(1, 0) ejection 1"]


def test_a_source_knows_its_router_and_core() -> None:
    mesh = topology.mesh(chip())
    assert mesh.source_core(mesh.injection_link(17)) == 17
    assert mesh.source_core(mesh.io_link(1)) == -1
    assert mesh.source_router(mesh.io_link(1)) == 11


@given(trees())
def test_hops_of_a_route_are_its_links_between_routers(tree: tuple[Mesh, int, list[int]]) -> None:
    mesh, source, cores = tree
    hops = topology.route_hops(mesh, np.full(len(cores), source), np.array(cores))
    assert hops.tolist() == [len(topology.route_links(mesh, source, core)) - 2 for core in cores]
    crossed = topology.route_crossings(mesh, np.full(len(cores), source), np.array(cores))
    assert crossed.T.tolist() == [by_way(mesh, topology.route_links(mesh, source, core)) for core in cores]


@given(trees())
def test_closed_form_of_a_tree_equals_the_union_of_its_routes(tree: tuple[Mesh, int, list[int]]) -> None:
    mesh, source, cores = tree
    sets = topology.destination_sets(mesh, [[0], cores])
    between = mesh.between_routers()
    links = topology.tree_links(mesh, source, cores)
    hops = topology.tree_hops(mesh, np.array([source]), sets, np.array([1]))
    assert hops.tolist() == [sum(between[link] for link in links)]
    crossed = topology.tree_crossings(mesh, np.array([source]), sets, np.array([1]))
    assert crossed.T.tolist() == [by_way(mesh, links)]
    assert len(topology.tree_nodes(mesh, source, cores)) == hops[0] + 1


@given(trees())
def test_a_multicast_is_delivered_to_every_member_but_its_source(tree: tuple[Mesh, int, list[int]]) -> None:
    mesh, source, cores = tree
    sets = topology.destination_sets(mesh, [cores])
    ejections = {mesh.ejection_link(core) for core in cores if core != mesh.source_core(source)}
    first_ejection = mesh.cores_per_router + 5
    links = topology.tree_links(mesh, source, cores)
    assert {link for link in links if link % mesh.stride >= first_ejection} == ejections
    assert topology.deliveries(mesh, np.array([source]), sets, np.array([0])).tolist() == [len(ejections)]
    assert sets.cores(0).tolist() == cores


@pytest.mark.parametrize("cores", [[], [24], [-1]])
def test_a_destination_set_without_cores_or_with_a_core_that_is_not_there_is_refused(cores: list[int]) -> None:
    with pytest.raises(ValueError, match="destination set 1: it must hold cores between 0 and 23"):
        topology.destination_sets(topology.mesh(chip()), [[0], cores])
