"""Small random chips, rules and cases for Hypothesis: everything the contract speaks of, small enough for loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from naive_case import Case
from naive_maps import LayerMap

from neurosim.chips import Channel, Chip, Core, Io, LinkRates, Memory, Noc, PhaseRates, Widths
from neurosim.networks.conv import Conv
from neurosim.networks.dense import Dense
from neurosim.networks.pool import Flatten, Pool
from neurosim.networks.shapes import Layer, layer_shapes
from neurosim.rules import RULES, Feedback, Rule

MORE_RULES = [
    Rule("usf-mirrored", error="next", matrix="sign", transport="mirrored", feedback=Feedback(magnitude="xavier")),
    Rule("brsf-mirrored", error="next", matrix="sign", transport="mirrored", feedback=Feedback(magnitude="every_step")),
    Rule("frsf-mirrored", error="next", matrix="sign", transport="mirrored", feedback=Feedback(magnitude="once")),
    Rule("frsf-generated", error="next", matrix="sign", feedback=Feedback(magnitude="once", storage="generated")),
    Rule("fa-generated", error="next", feedback=Feedback(storage="generated")),
    Rule("dfa-generated", error="output", feedback=Feedback(storage="generated")),
    Rule("sdfa-generated", error="output", feedback=Feedback(connections=2, storage="generated")),
    Rule("drtp-generated", error="target", feedback=Feedback(storage="generated")),
    Rule("sign-sdfa", error="output-sign", feedback=Feedback(connections=2)),
    Rule("sign-ssdfa-generated", error="output-sign", feedback=Feedback(connections=1, storage="generated")),
    Rule("bp-one", error="next", matrix="sign", feedback=Feedback(magnitude="one")),
]
ALL_RULES = [*RULES.values(), *MORE_RULES]


def with_memory(chip: Chip, neuron_bytes: int, synapse_bytes: int) -> Chip:
    """Return a chip with other capacities."""
    core = chip.core
    neuron = core.neuron_memory.model_copy(update={"capacity_bytes": neuron_bytes})
    synapse = core.synapse_memory.model_copy(update={"capacity_bytes": synapse_bytes})
    update = {"core": core.model_copy(update={"neuron_memory": neuron, "synapse_memory": synapse})}
    return chip.model_copy(update=update)


def tiny_chip(**changes: Any) -> Chip:
    """Return a chip with round numbers: 16-bit values and flits, two of everything a cycle, hops of one cycle."""
    memory = Memory(capacity_bytes=1024, words_per_cycle=2, read_pj_per_word=1.0, write_pj_per_word=1.0)
    core = Core(
        lanes=changes.pop("lanes", (1, 2)),
        accumulators_per_lane=changes.pop("accumulators_per_lane", 2),
        elementwise_per_cycle=2,
        generate_per_cycle=2,
        mac_pj=1.0,
        elementwise_pj=1.0,
        generate_pj=1.0,
        neuron_memory=memory,
        synapse_memory=memory,
    ).model_copy(update=changes.pop("core", {}))
    noc = Noc(
        flit_bits=16, link_bits=16, header_flits=0, hop_cycles=1, link_pj_per_flit=1.0, router_pj_per_flit=1.0
    ).model_copy(update=changes.pop("noc", {}))
    fields: dict[str, Any] = {
        "name": "tiny",
        "clock_mhz": 100.0,
        "grid": (2, 1),
        "widths": Widths(accumulator_bits=16, input_bits=16),
        "core": core,
        "noc": noc,
        "io": Io(io_bits_per_cycle=16, offchip_pj_per_bit=10.0),
    }
    return Chip(**{**fields, **changes})


def barrier(case: Case, cycles: int) -> Case:
    """Return the case without overlap on a chip that stops for so many cycles after every microbatch."""
    chip = case.chip.model_copy(update={"barrier_cycles": cycles})
    return replace(case, chip=chip, overlap="none")


def channel_chip(cache_bytes: int, reuse: str = "layer", **changes: Any) -> Chip:
    """Return a one-core chip whose memories lie behind a channel."""
    channel = Channel(
        cache_bytes=cache_bytes,
        channel_bits_per_cycle=128,
        channel_pj_per_bit=1.0,
        reuse=reuse,  # type: ignore[arg-type]
    )
    return tiny_chip(**{"grid": (1, 1), "channel": channel, "lanes": (2, 2), **changes})


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    """Draw a small mesh: one chip or several, lanes, widths, rates of links, several ports and cores per router."""
    columns, rows = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2)]))
    tiles = [(x, y) for x in range(1, columns + 1) for y in range(1, rows + 1) if columns % x == 0 == rows % y]
    across, down = draw(st.sampled_from(tiles))
    small, bits = st.integers(1, 4), st.sampled_from([1, 3, 8, 16, 24])
    routers = st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1))
    ports = draw(st.lists(routers, min_size=1, max_size=3, unique=True))
    slow = st.sampled_from([1, 2, 4, 60])  # one direction may be so slow that nothing else matters
    rates = st.builds(LinkRates, link_bits=st.none() | bits, hop_cycles=st.none() | slow)
    memory = {"words_per_cycle": draw(small), "word_bits": draw(st.sampled_from([2, 8, 16]))}
    dataflow = draw(dataflows())
    core = {
        "pipeline_cycles": draw(st.integers(0, 3)),
        "dataflow": dataflow,
        "mac_cycles": draw(small),
        "elementwise_per_cycle": draw(small),
        "elementwise_cycles": draw(small),
        "generate_per_cycle": draw(small),
        "neuron_memory": tiny_chip().core.neuron_memory.model_copy(update=memory),
        "error": PhaseRates(elementwise_per_cycle=draw(st.none() | small), elementwise_cycles=draw(st.none() | small)),
        "update": PhaseRates(mac_cycles=draw(st.none() | small)),
    }
    noc = {
        "cores_per_router": draw(st.integers(1, 2)),
        "flit_bits": draw(bits),
        "link_bits": draw(bits),
        "header_flits": draw(st.integers(0, 2)),
        "max_packet_flits": draw(st.integers(1, 6)),
        "hop_cycles": draw(small),
        "port_cycles": draw(st.integers(0, 2)),
        **{some: draw(rates) for some in draw(st.sets(st.sampled_from(["east", "west", "north", "south", "border"])))},
    }
    return tiny_chip(
        grid=(columns // across, rows // down),
        chips=(across, down),
        lanes=draw(lanes(dataflow)),
        accumulators_per_lane=draw(st.integers(1, 3)) if dataflow == "lanes" else 1,
        core=core,
        noc=noc,
        io=Io(ports=tuple(ports), io_bits_per_cycle=draw(bits), offchip_pj_per_bit=1.0),
        widths=Widths(error_bits=draw(bits), accumulator_bits=draw(bits), input_bits=draw(bits)),
    )


def dataflows() -> st.SearchStrategy[str]:
    """Draw lanes, more often than each of the three systolic arrays."""
    return st.sampled_from(["lanes", "lanes", "lanes", "output", "weight", "input"])


def lanes(dataflow: str) -> st.SearchStrategy[tuple[int, int]]:
    """Draw the rows and columns of lanes, which are few, or of an array, which may be higher than wide."""
    few = [(1, 1), (1, 2), (1, 3), (2, 2)]
    return st.sampled_from(few if dataflow == "lanes" else [*few, (2, 1), (3, 2), (2, 4)])


@st.composite
def channel_chips(draw: st.DrawFn) -> Chip:
    """Draw a chip behind a channel: small caches and large ones, both ends of reuse, lanes and arrays."""
    dataflow = draw(dataflows())
    array = {} if dataflow == "lanes" else {"lanes": draw(lanes(dataflow)), "accumulators_per_lane": 1}
    cache = draw(st.sampled_from([16, 64, 200, 4096])), draw(st.sampled_from(["layer", "ideal"]))
    return channel_chip(*cache, core={"dataflow": dataflow}, **array)


@st.composite
def cases(draw: st.DrawFn, /, chip: Chip | st.SearchStrategy[Chip] | None = None, **fixed: Any) -> Case:
    """Draw a case of any rule, with layers on any cores (shared ones too); ``fixed`` fields stay as given."""
    chip = chip if isinstance(chip, Chip) else draw(chips() if chip is None else chip)
    rule: Rule = fixed.pop("rule", None) or draw(st.sampled_from(ALL_RULES))
    widths = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    depth, outputs = len(widths) - 1, widths[-1]
    targets = draw(st.sampled_from(["labels", "labels", "dense"]))
    connections = rule.feedback.connections or 0
    if outputs < connections:
        widths, outputs = (*widths[:-1], connections), connections
    choose = st.lists(st.integers(0, outputs - 1), min_size=connections, max_size=connections, unique=True)
    sparse = {layer: [draw(choose) for _ in range(widths[layer])] for layer in range(1, depth) if rule.sparse}
    all_cores = st.permutations(range(chip.cores))
    cores = [draw(all_cores)[: draw(st.integers(1, min(width, chip.cores)))] for width in widths[1:]]
    fields: dict[str, Any] = {
        "widths": widths,
        "rule": rule,
        "chip": chip,
        "cores": cores,
        "targets": targets,
        "sparse": sparse,
        "trainable": draw(st.just(()) | st.lists(st.booleans(), min_size=depth, max_size=depth)),
        "dropout": draw(st.just(()) | st.just([0.5] * (depth - 1) + [0.0])),
        **draw(recipes(chip)),
    }
    return Case(**{**fields, **fixed})


@st.composite
def recipes(draw: st.DrawFn, chip: Chip) -> dict[str, Any]:
    """Draw what a case has of a recipe."""
    batch = draw(st.integers(1, 5))
    most = min(batch, batch if chip.core.systolic else chip.core.lanes[0] * chip.core.accumulators_per_lane)
    return {
        "batch": batch,
        "microbatch": batch if chip.behind_channel else draw(st.integers(1, most)),
        "optimizer": draw(st.sampled_from(["sgd", "momentum", "rmsprop", "adam"])),
        "delivery": draw(st.sampled_from(["unicast", "multicast"])),
        "overlap": draw(st.sampled_from(["none", "exact"])),
        "window": draw(st.integers(1, 3)),
        "loss": draw(st.sampled_from(["softmax", "sigmoid", "squared"])),
        "weight_decay": draw(st.booleans()),
        "clip_value": draw(st.booleans()),
        "phases": draw(st.sampled_from(["all", "all", "all", "forward"])),
    }


# --- convolutions ----------------------------------------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw the channels, rows and columns of a small input map."""
    return draw(st.integers(1, 2)), draw(st.integers(1, 6)), draw(st.integers(1, 4))


@st.composite
def windows(draw: st.DrawFn, image: tuple[int, int, int], before: list[Layer]) -> list[Layer]:
    """Draw a convolution, and perhaps a pool, that fit behind the layers ``before``."""
    side = st.integers(1, 3)
    kernel = (draw(side), draw(side))
    border = [draw(st.integers(0, kernel[at // 2] - 1)) for at in range(4)]
    padding: Any = draw(st.sampled_from(["same", "valid", tuple(border)]))
    conv = Conv(
        channels=draw(st.integers(1, 4)),
        kernel=kernel,
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding=padding,
    )
    found: list[Layer] = [conv if fits(image, [*before, conv]) else conv.model_copy(update={"padding": "same"})]
    kind = draw(st.sampled_from(["none", "max_pool", "average_pool"]))
    if kind != "none":
        pool = Pool(
            kind=kind,  # type: ignore[arg-type]
            kernel=(draw(side), draw(side)),
            stride=draw(st.none() | st.tuples(st.integers(1, 2), st.integers(1, 3))),
            padding=draw(st.sampled_from(["same", "valid"])),
        )
        found.append(pool if fits(image, [*before, *found, pool]) else pool.model_copy(update={"padding": "same"}))
    return found


def fits(image: tuple[int, int, int], layers: list[Layer]) -> bool:
    """Whether each window fits into the map before it."""
    try:
        layer_shapes(image, [*layers, Flatten(), Dense(units=1)])
    except ValueError:
        return False
    return True


@st.composite
def conv_cases(draw: st.DrawFn, /, chip: Chip | st.SearchStrategy[Chip] | None = None, **fixed: Any) -> Case:
    """Draw a case of one or two convolutions, perhaps pooled and tiled, and one or two dense layers."""
    chip = chip if isinstance(chip, Chip) else draw(chips() if chip is None else chip)
    rule: Rule = fixed.pop("rule", None) or draw(st.sampled_from(ALL_RULES))
    image, connections = draw(images()), rule.feedback.connections or 0
    layers: list[Layer] = []
    for _ in range(draw(st.integers(1, 2))):
        layers += draw(windows(image, layers))
    hidden = [Dense(units=units) for units in draw(st.lists(st.integers(1, 4), max_size=1))]
    outputs = draw(st.integers(max(1, connections), 4))
    layers += [Flatten(), *hidden, Dense(units=outputs)]
    shapes = layer_shapes(image, layers)
    depth, cores, tiles = len(shapes), list[list[int]](), list[int]()
    for shape in shapes:
        grid = LayerMap(shape, [0])
        tiles.append(draw(st.integers(1, min(chip.cores, grid.handed.rows))))
        slices = draw(st.integers(1, min(chip.cores // tiles[-1], shape.channels)))
        cores.append(draw(st.permutations(range(chip.cores)))[: tiles[-1] * slices])
    step, first = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    units = [shape.outputs.units for shape in shapes]
    sparse = {
        layer: [[(step * unit + first + at) % outputs for at in range(connections)] for unit in range(units[layer - 1])]
        for layer in range(1, depth)
        if rule.sparse
    }
    drops = [0.5 if not shape.convolves and layer < depth else 0.0 for layer, shape in enumerate(shapes, 1)]
    fields: dict[str, Any] = {
        "image": image,
        "layers": tuple(layers),
        "tiles": tiles,
        "rule": rule,
        "chip": chip,
        "cores": cores,
        "targets": draw(st.sampled_from(["labels", "labels", "dense"])),
        "sparse": sparse,
        "trainable": draw(st.just(()) | st.lists(st.booleans(), min_size=depth, max_size=depth)),
        "dropout": draw(st.just(()) | st.just(drops)),
        **draw(recipes(chip)),
    }
    return Case(**{**fields, **fixed})
