"""The slow twins count convolutions as the contract says: rows on paper, dense layers as a special case, laws."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from check_rows import conv_paper_case
from hypothesis import assume, given, settings
from naive_channel import tile
from naive_duration import duration_cycles
from naive_maps import LayerMap
from naive_placement import cut_of, forward_macs, least_cut, place, placed, sizes, usable_counts
from naive_strategies import cases, conv_cases, tiny_chip
from naive_time import simulate

from naive import Case, by_core, count, walk
from neurosim.chips import Chip
from neurosim.counts import MESSAGE_COUNTS
from neurosim.networks import load_network
from neurosim.networks.conv import Conv
from neurosim.networks.dense import Dense
from neurosim.networks.pool import Flatten, Pool
from neurosim.networks.shapes import Layer

MANY = settings(max_examples=60)
NETWORK_COUNTS = set(MESSAGE_COUNTS) - {"delivered_bits"}


def of(case: Case, phase: str, layer: int) -> dict[str, int]:
    """Return {"count kind": values} of a phase and layer, without the traffic."""
    return {
        f"{name} {kind}".strip(): times
        for (where, at, name, kind), times in count(case).items()
        if (where, at) == (phase, layer) and name not in NETWORK_COUNTS | {"delivered_bits"}
    }


def carried(case: Case) -> dict[str, list[tuple[int, list[int], int]]]:
    """Return {purpose: [(sending core, destinations, payload_bits)]} of a step."""
    found: dict[str, list[tuple[int, list[int], int]]] = {}
    for each in walk(case).messages:
        found.setdefault(each.purpose, []).append((each.sender.core, each.destinations, each.payload_bits))
    return found


# --- counts on paper -------------------------------------------------------------------------------------------------


def test_a_pooled_convolution_on_paper() -> None:
    assert of(conv_paper_case("bp"), "forward", 1) == {
        "macs": 16 * 2 * 9,  # positions, filters, taps; those of the padding too
        "synapse_reads weight": 2 * 9 * 8,  # 16 positions of the one sample, two accumulators
        "neuron_reads activation": 16 + 2 * 4 * 4,  # the image once for both filters; four windows of four
        "neuron_reads bias": 2 * 8,
        "neuron_writes activation": 2 * 16 + 2 * 4,  # the map, what the pool hands on
        "neuron_writes argmax": 2 * 4,
        "elementwise_ops": 2 * 2 * 16 + 2 * 4 * 4,  # bias and activation; comparisons
    }


def test_its_error_and_update_on_paper() -> None:
    assert of(conv_paper_case("bp"), "error", 1) == {
        "macs": 8 * 3,
        "synapse_reads weight": 8 * 3,
        "neuron_reads error": 3 * 4 + 8,  # three deltas for four groups of two units; eight windows
        "neuron_reads accumulator": 8,
        "neuron_reads argmax": 8,
        "neuron_reads activation": 32,
        "neuron_writes accumulator": 8 + 8,  # where they are made, where they arrive
        "neuron_writes error": 8 + 32,  # before the pool is undone, and after
        "elementwise_ops": 8 + 2 * 32,  # which place; f' and the product
    }
    assert of(conv_paper_case("bp"), "update", 1) == {
        "macs": 16 * 2 * 9,
        "neuron_reads activation": 16,
        "neuron_reads error": 32,
        "neuron_reads bias": 2,
        "neuron_writes bias": 2,
        "synapse_reads weight": 18,
        "synapse_writes weight": 18,
        "elementwise_ops": 32 + 2 * (18 + 2),  # the biases' gradients; SGD
    }


def test_an_average_pool_on_paper() -> None:
    layers = (Conv(channels=2, kernel=3), Pool(kind="average_pool", kernel=2), Flatten(), Dense(units=3))
    case = conv_paper_case("dfa", layers=layers)
    assert of(case, "forward", 1)["elementwise_ops"] == 2 * 32 + 32 + 8  # additions and divisions
    error = of(case, "error", 1)
    assert error["elementwise_ops"] == 8 + 32 + 2 * 32  # divisions, additions, f' and the product
    assert error["feedback_reads feedback"] == error["macs"] == 8 * 3
    assert not any("argmax" in name for name in error)


def test_two_tiles_on_paper() -> None:
    case = conv_paper_case("bp", cores=[[0, 1], [2]], tiles=[2, 1])
    assert of(case, "io", 0) == {"offchip_bits": 16 * 16 + 2, "neuron_writes activation": 24, "neuron_writes label": 1}
    forward, update = of(case, "forward", 1), of(case, "update", 1)
    assert forward["neuron_reads activation"] == 2 * 12 + 32  # three of the four rows for each tile
    assert forward["synapse_reads weight"] == 2 * 18 * 4
    assert update["gradient_writes accumulator"] == 18 + 18  # at the copy, and where they arrive
    assert update["gradient_reads accumulator"] == 18  # the owner's are in its lanes, so the first are only written
    assert update["neuron_writes accumulator"] == 2 + 2
    assert update["synapse_writes weight"] == 18 + 18  # at the owner and the copy
    assert update["synapse_reads weight"] == 18
    assert update["elementwise_ops"] == 32 + 2 * (18 + 2)
    assert carried(case)["gradients"] == [(1, [0], 20 * 16)]
    assert carried(case)["copies"] == [(0, [1], 20 * 16)]
    assert carried(case)["inputs"] == [(0, [0], 12 * 16), (0, [1], 12 * 16)]
    assert carried(case)["activations"] == [(0, [2], 4 * 16), (1, [2], 4 * 16)]
    assert carried(case)["sums"] == [(2, [0], 4 * 16), (2, [1], 4 * 16)]
    assert "pool halo" not in carried(case)


def test_gradients_of_three_tiles_and_two_microbatches_on_paper() -> None:
    """Maps of three rows, one a tile: filters of one tap, two of them on a core each."""
    layers = (Conv(channels=2, kernel=1), Flatten(), Dense(units=3))
    cores = [[0, 1, 2, 3, 4, 5], [6]]
    case = conv_paper_case("bp", chip=tiny_chip(grid=(7, 1)), layers=layers, cores=cores, tiles=[3, 1], image=(1, 3, 1))
    assert [(part.tile, list(part.channels)) for part in case.parts(1)] == [
        *((0, [0]), (0, [1]), (1, [0]), (1, [1]), (2, [0]), (2, [1]))
    ]
    update = of(replace(case, batch=2), "update", 1)
    # Each of two filters: copies write 2 x 1 with both microbatches and read with the last; the owner writes with the
    # first, gets 2 x 1, adds 2 x 1 and reads its sum.
    assert update["gradient_writes accumulator"] == 2 * (2 * 2 + 1 + 2)
    assert update["gradient_reads accumulator"] == 2 * (2 + 2 + 1)
    assert update["elementwise_ops"] == 2 * (2 * 3 + 2 * (1 + 1) + 2 + 2)  # biases' gradients, SGD, sums
    assert carried(case)["copies"] == [(0, [2, 4], 32), (1, [3, 5], 32)]
    once = of(case, "update", 1)
    assert once["gradient_reads accumulator"] == 2 * (1 + 1)
    assert once["gradient_writes accumulator"] == 2 * (2 + 2)


def test_halos_of_overlapping_windows_on_paper() -> None:
    """Windows of three rows over four: each tile of two needs a row of the other, and reaches into it."""
    pool = Pool(kind="max_pool", kernel=(3, 1), stride=1, padding="same")
    layers = (Conv(channels=1, kernel=1), pool, Flatten(), Dense(units=3))
    case = conv_paper_case("dfa", layers=layers, cores=[[0, 1], [2]], tiles=[2, 1], image=(1, 4, 2))
    assert carried(case)["pool halo"] == [(0, [1], 2 * 16), (1, [0], 2 * 16)]  # a row of two columns
    assert carried(case)["unpool halo"] == [(0, [1], 2 * (16 + 2)), (1, [0], 2 * (16 + 2))]
    forward, error = of(case, "forward", 1), of(case, "error", 1)
    taps = 2 * (2 + 3 + 3 + 2)
    assert forward["neuron_reads activation"] == 8 + taps
    assert forward["neuron_writes activation"] == 8 + 2 * 2 + 8
    assert error["neuron_reads argmax"] == 2 * 2 + 2 * 6  # to send them; three rows of windows reach each tile
    assert error["neuron_writes argmax"] == 2 * 2
    assert error["elementwise_ops"] == 2 * 6 + 2 * 8


def test_rows_of_a_convolution_behind_another_on_paper() -> None:
    """Filters of 3 x 1 over four rows in two tiles: fa's errors of l + 1 go to whoever owns a row that a tap reads."""
    layers = (Conv(channels=1, kernel=1), Conv(channels=1, kernel=(3, 1)), Flatten(), Dense(units=3))
    cores = [[0, 1], [2, 3], [4]]
    changes = {"layers": layers, "cores": cores, "tiles": [2, 2, 1], "image": (1, 4, 1), "chip": tiny_chip(grid=(5, 1))}
    fa, bp = conv_paper_case("fa", **changes), conv_paper_case("bp", **changes)
    error = of(fa, "error", 1)
    assert error["macs"] == 12  # of the taps of padding too: they count where the nearest row is
    assert error["neuron_reads error"] == 2 * 3  # rows 0 to 2 and 1 to 3
    assert error["feedback_reads feedback"] == 2 * 3  # two rows of one sample for each fetch
    assert carried(fa)["errors"][-4:] == [(2, [0], 32), (2, [1], 16), (3, [0], 16), (3, [1], 32)]
    sums = carried(bp)["sums"][-4:]
    assert sums == [(2, [0], 32), (2, [1], 16), (3, [0], 16), (3, [1], 32)]
    error = of(bp, "error", 1)
    assert error["macs"] == 12
    assert error["synapse_reads weight"] == 2 * 3 * 2  # three input rows for each tile: two fetches
    assert error["neuron_writes accumulator"] == 6 + 6
    assert error["neuron_reads accumulator"] == 6  # of the two rows with two sums one read is the port's
    assert error["elementwise_ops"] == 2 + 2 * 4


def test_sizes_of_two_tiles_on_paper() -> None:
    case = conv_paper_case("bp", cores=[[0, 1], [2]], tiles=[2, 1], optimizer="momentum")
    line_buffer = 3 * (4 + 2)
    sample = 12 + 16 + 4 + 16 + 4 + 4  # inputs, map, pooled, error, pooled error, sums
    biases = 2 * (1 + 1)  # themselves and accumulators
    neuron = 16 * (line_buffer + sample + biases) + 4 * 2  # and the place of each maximum
    assert sizes(case)[0] == (neuron + 2 * 16, 16 * 18 * 3)  # the owner has the optimizer's state
    assert sizes(case)[1] == (neuron, 16 * 18 * 2)


# --- dense layers are the special case of one position ---------------------------------------------------------------


@MANY
@given(cases())
def test_a_filter_over_the_whole_map_is_a_neuron(dense: Case) -> None:
    """And one of 1 x 1 over a map of one position; all but the rows that ports carry, and the line buffer."""
    assume(len(dense.chip.io.ports) == 1)
    layers: list[Layer] = [Conv(channels=units, kernel=1, padding="valid") for units in dense.widths[1:-1]]
    layers = [*layers, Flatten(), Dense(units=dense.widths[-1])]
    case = replace(dense, image=(dense.widths[0], 1, 1), layers=tuple(layers))
    assert by_core(case) == by_core(dense)
    assert count(case) == count(dense)
    epoch = [dense.batch, 1]
    assert simulate(case, epoch).tasks == simulate(dense, epoch).tasks
    assert {core: synapse for core, (_, synapse) in sizes(case).items()} == {
        core: synapse for core, (_, synapse) in sizes(dense).items()
    }


# --- laws ------------------------------------------------------------------------------------------------------------


def macs(case: Case) -> Counter[tuple[str, int]]:
    """MACs by phase and layer."""
    found: Counter[tuple[str, int]] = Counter()
    for (phase, layer, name, _), times in count(case).items():
        found[phase, layer] += times if name == "macs" else 0
    return +found


@MANY
@given(conv_cases())
def test_multiplications_do_not_depend_on_the_cut(case: Case) -> None:
    whole = replace(case, cores=[[layer % case.chip.cores] for layer in range(case.depth)], tiles=())
    assert macs(case) == macs(whole)


@pytest.mark.parametrize("rule", ["bp", "bp-mirrored", "fa", "dfa", "drtp", "last-layer"])
def test_multiplications_of_a_step_are_positions_filters_and_taps(rule: str) -> None:
    """The layers of cifar10-cnn, every window padded to "same", on a map of 6 x 6."""
    pool = Pool(kind="max_pool", kernel=3, stride=2, padding="same")
    convs: list[Layer] = [each for c in (2, 3, 4) for each in (Conv(channels=c, kernel=3), pool)]
    layers = (*convs, Flatten(), Dense(units=5), Dense(units=3))
    cores = [[layer % 3] for layer in range(5)]
    case = conv_paper_case(rule, layers=layers, image=(3, 6, 6), cores=cores)
    forward = [36 * 2 * 27, 9 * 3 * 18, 4 * 4 * 27, 5 * 4, 3 * 5]  # maps of 6, 3 and 2 rows; 4 values are left
    units = [2 * 9, 3 * 4, 4 * 1, 5]
    error = {"dfa": [3 * n for n in units], "drtp": [0] * 4, "last-layer": [0] * 4}.get(rule, forward[1:])
    update = [0, 0, 0, 0, 15] if rule == "last-layer" else forward
    expected = {("forward", layer): times for layer, times in enumerate(forward, 1)}
    expected |= {("error", layer): times for layer, times in enumerate(error, 1)}
    expected |= {("update", layer): times for layer, times in enumerate(update, 1)}
    assert macs(case) == {key: times for key, times in expected.items() if times}


@MANY
@given(conv_cases())
def test_cores_add_up_to_the_total(case: Case) -> None:
    from_cores: Counter[tuple[str, int, str, str]] = Counter()
    for (_, *key), times in by_core(case).items():
        from_cores[tuple(key)] += times  # type: ignore[index]
    others = NETWORK_COUNTS | {"delivered_bits", "offchip_bits"}
    assert dict(from_cores) == {key: times for key, times in count(case).items() if key[2] not in others}


@MANY
@given(conv_cases())
def test_delivery_changes_only_the_traffic(case: Case) -> None:
    kept = [
        {key: times for key, times in count(replace(case, delivery=delivery)).items() if key[2] not in NETWORK_COUNTS}
        for delivery in ("unicast", "multicast")
    ]
    assert kept[0] == kept[1]


@MANY
@given(conv_cases(chip=tiny_chip(grid=(1, 1))))
def test_one_core_sends_nothing(case: Case) -> None:
    assert {message.purpose for message in walk(case).messages} <= {"inputs", "labels"}


@MANY
@given(conv_cases())
def test_every_unit_is_on_one_core(case: Case) -> None:
    for layer in range(1, case.depth + 1):
        grid, parts = case.map(layer), case.parts(layer)
        for units, owned in ((grid.map, "map_units"), (grid.handed, "units")):
            together = sorted(unit for part in parts for unit in getattr(part, owned))
            assert together == list(range(units.channels * units.rows * units.columns))


# --- time ------------------------------------------------------------------------------------------------------------


@MANY
@given(conv_cases())
def test_no_weight_is_written_before_its_last_read_and_none_read_before_it_is_there(case: Case) -> None:
    times = simulate(case, [case.batch, case.batch])
    last = len(case.samples()) - 1
    for (step, _, name, layer, core), reads in times.tasks.items():
        owned = layer if name == "forward" else layer + 1
        write = times.tasks.get((step, last, "update", owned, core)) if name in ("forward", "product") else None
        assert write is None or reads.end <= write.start
    for sent in times.messages:
        for core, roles in sent.message.feeds.items():
            for name, layer in roles:
                step = sent.step + (sent.message.purpose in ("weights", "copies"))
                fed = times.tasks.get((step, sent.microbatch, name, layer, core))
                assert fed is None or sent.delivered[core] <= fed.start


@MANY
@given(conv_cases())
def test_every_task_of_the_walk_takes_its_duration(case: Case) -> None:
    times = simulate(case)
    for task in walk(case).tasks:
        ran = times.tasks[0, task.microbatch, task.name, task.layer, task.core]
        assert ran.end - ran.start == duration_cycles(case, task) >= 1


def test_a_step_of_two_tiles_waits_for_the_gradients_of_its_copy() -> None:
    case = conv_paper_case("bp", cores=[[0, 1], [2]], tiles=[2, 1], overlap="exact")
    times = simulate(case, [1, 1])
    (gradients,) = (sent for sent in times.messages if sent.message.purpose == "gradients" and sent.step == 0)
    (copies,) = (sent for sent in times.messages if sent.message.purpose == "copies" and sent.step == 0)
    assert times.tasks[0, 0, "update", 1, 1].end == gradients.made
    assert gradients.delivered[0] == times.tasks[0, 0, "update", 1, 0].start
    assert copies.made == times.tasks[0, 0, "update", 1, 0].end
    assert copies.delivered[1] <= times.tasks[1, 0, "forward", 1, 1].start


# --- placement and channel -------------------------------------------------------------------------------------------


def test_cores_of_a_convolution_are_tiles_times_slices() -> None:
    assert usable_counts(4, 3, (1, 1)) == [1, 2, 3, 4, 6, 8, 9, 12]  # 5 is two tiles of two slices: one is left over
    assert usable_counts(4, 3, (2, 2)) == [4, 6, 8, 9, 12]
    assert usable_counts(5, 1, (1, 2)) == [2, 3, 4, 5]
    assert cut_of(9, 4, 1) == (3, 3)


def with_neuron_memory(chip: Chip, capacity_bytes: int) -> Chip:
    memory = chip.core.neuron_memory.model_copy(update={"capacity_bytes": capacity_bytes})
    return chip.model_copy(update={"core": chip.core.model_copy(update={"neuron_memory": memory})})


def test_a_map_too_large_for_a_core_is_tiled() -> None:
    chip = with_neuron_memory(tiny_chip(grid=(4, 2)), 160)
    smaller = with_neuron_memory(chip, 120)
    case = conv_paper_case("dfa", chip=chip, cores=[[0], [1]])
    # A filter needs 18 words of line buffer, a bias, 16 inputs, 16 units with their errors, 4 windows with theirs and 3
    # errors that arrive, and 8 bits: 157 bytes. Over half of the rows it has an accumulator more, and needs 111 bytes.
    assert least_cut(case, 1) == (1, 2)
    assert least_cut(replace(case, chip=smaller), 1) == (2, 2)
    found = placed(replace(case, chip=smaller))
    assert (list(found.tiles), [len(cores) for cores in found.cores]) == ([2, 1], [4, 3])
    assert place(replace(case, chip=smaller)) == [list(cores) for cores in found.cores]


def test_golden_macs_of_the_convolutions_on_cifar10() -> None:
    network = load_network("cifar10-cnn")
    case = conv_paper_case("dfa", image=network.inputs, layers=network.layers, cores=[[at] for at in range(6)])
    macs = [forward_macs(case, layer) for layer in range(1, 7)]
    with (Path(__file__).parent / "golden_counts.csv").open() as file:
        rows = {row["rule"]: row for row in csv.DictReader(file) if row["network"] == "cifar10-cnn-same"}
    assert {int(row["macs_forward"]) for row in rows.values()} == {sum(macs)}
    assert int(rows["bp"]["macs_error"]) == int(rows["fa"]["macs_error"]) == sum(macs[1:])
    assert int(rows["dfa"]["macs_error"]) == 10 * sum(case.widths[1:-1])


def test_windows_make_traffic_of_the_values_they_share() -> None:
    """Two by two windows over three by three values, one filter: nine values and not sixteen cross."""
    assert tile((4, 4, 1), (16, 16, 16), 10**6, (9, 4))[0] == 16 * (9 + 4)
    grid = LayerMap(conv_paper_case("bp").shapes[0], [0])
    assert len({tap for y in range(4) for x in range(4) for tap in grid.taps(y, x) if tap is not None}) == 16
