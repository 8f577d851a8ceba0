"""Published claims about what feedback alignment saves: under which definition, network and machine each holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import neurosim as ns
from neurosim.costs import memory_accesses
from neurosim.pipeline import Costs, cost_placed
from neurosim.placement import place_together
from neurosim.rules import values_needed
from validation.claim_figures import draw_depth, draw_grid, draw_movement, draw_scaling
from validation.section import Extent, Row, Section, Table, text_of

NETWORKS = ("784-800-10", "784-800-800-10", "784-3x800-10", "784-7x240-10", "cifar10-cnn-small")
RULES = ("bp", "bp-mirrored", "dfa", "ssdfa")
BP = {"owner": "bp", "mirrored": "bp-mirrored"}
BATCH_SIZE = 64
DEPTHS = (1, 2, 3, 5, 7, 10)
CORES = tuple(2**power for power in range(11))
DEPTH_SHARE = 0.8
"""From which share of the number of layers a ratio counts as approaching it."""
CRAFTON = "B. Crafton et al., Frontiers in Neuroscience 13:525, 2019"
WOLTERS = "C. Wolters et al., arXiv 2212.14337, 2022"


@dataclass(frozen=True)
class Machine:
    """A chip, as the table names it, and how messages are delivered on it."""

    name: str
    chip: ns.Chip
    delivery: str = "multicast"


def costs_on(
    network: str, machine: Machine, *, forward_only: bool = False, fidelity: str = "event"
) -> dict[str, Costs]:
    """Return the costs of a step of every rule, all with the same slices and microbatch."""
    recipe = ns.Recipe(batch_size=BATCH_SIZE, delivery=machine.delivery)
    rules = [ns.load_rule(rule) for rule in RULES]
    found = ns.load_network(network)
    placements = place_together(found, rules, machine.chip, recipe)
    return {
        rule.name: cost_placed(found, rule, placement, recipe, forward_only=forward_only, fidelity=fidelity)  # type: ignore[arg-type]
        for rule, placement in zip(rules, placements, strict=True)
    }


def movement(costs: Costs, definition: str) -> float:
    """Return how much data a rule moves in a step under a definition."""
    if definition == "values needed":
        widths = costs.network.widths
        return sum(widths[layer] * needed for layer, needed in values_needed(costs.network, costs.rule).items())
    name = {"error payload": "payload_bits", "error delivered": "delivered_bits", "error bit-hops": "bit_hops"}
    if definition in name:
        new_weights = costs.analysis.new_weights.count(name[definition])
        return costs.phases["error"][name[definition]] + new_weights
    if definition == "error channel":
        return costs.phases["error"]["channel_bits"]
    return costs.counts[{"step bit-hops": "bit_hops", "step channel": "channel_bits"}[definition]]


ON_CHIP = ("values needed", "error payload", "error delivered", "error bit-hops", "step bit-hops")
BEHIND_CHANNEL = ("error channel", "step channel")


def machines() -> list[Machine]:
    """The machines of the tables, from the chip to the processor on equal terms."""
    von_neumann = ns.load_chip("von_neumann")
    ideal = von_neumann.model_copy(update={"channel": von_neumann.channel.model_copy(update={"reuse": "ideal"})})
    return [
        Machine("mesh64", ns.load_chip("mesh64")),
        Machine("mesh64, unicast", ns.load_chip("mesh64"), "unicast"),
        Machine("von_neumann, reuse layer", von_neumann),
        Machine("von_neumann, reuse ideal", ideal.model_copy(update={"name": "von_neumann (reuse ideal)"})),
    ]


def validate(extent: Extent) -> Section:
    """Count what rules move and compute on several machines; in a full run simulate depth and core counts too."""
    networks = NETWORKS[1:4] if extent.quick else NETWORKS
    fidelity = "analytic" if extent.quick else "event"
    costs = {
        (network, machine.name): costs_on(network, machine, fidelity=fidelity)
        for network in networks
        for machine in (machines()[:1] if extent.quick else machines())
    }
    rows = [*_mac_rows(networks, costs), *_needed_rows(networks, costs)]
    if extent.quick:
        return Section("Claims about cost", text_of("claims"), rows)
    ratios = list(_ratios(networks, costs))
    gains, depth, scaling = _gains(networks, costs), _depth_times(), _scaling()
    tables = [
        _movement_table(networks, ratios), _mac_table(networks, costs), _depth_table(depth),
        _savings_table(networks, costs, ratios), _gain_table(networks, gains), _scaling_table(scaling),
    ]  # fmt: skip
    savings = "What SSDFA saves of data movement, and in a step of memory accesses and MACs"
    gained = "What SSDFA gains over BP in energy and time of a step, by machine"
    figures = {
        "claims-movement": ("What BP moves for each bit that SSDFA moves, by definition", draw_movement(ratios)),
        "claims-savings": (savings, draw_grid(_savings_panels(networks, costs, ratios), networks, savings)),
        "claims-gains": (gained, draw_grid(_gain_panels(networks, gains), networks, gained)),
        "claims-depth": ("Backward time of BP over DFA's, against the number of layers", draw_depth(depth)),
        "claims-scaling": (
            "Makespan of a step against cores, and where each rule stops gaining",
            draw_scaling(scaling),
        ),
    }
    return Section("Claims about cost", text_of("claims"), rows, tables, figures)


# MACs: arithmetic on the widths, so exact.


def _backward_macs(costs: Costs) -> int:
    return int(costs.phases["error"]["macs"] + costs.phases["update"]["macs"])


def _mac_rows(networks, costs) -> Iterator[Row]:
    for network in networks:
        of = costs[network, "mesh64"]
        shapes = ns.load_network(network).shapes
        macs = [shape.macs for shape in shapes]
        hidden = [shape.outputs.units for shape in shapes[:-1]]
        wanted = (sum(macs[1:]) + sum(macs)) / (sum(hidden) + sum(macs))
        ours = _backward_macs(of["bp"]) / _backward_macs(of["ssdfa"])
        what = f"backward MACs, BP over SSDFA, {network}"
        yield Row(what, wanted, ours, "arithmetic on the shapes", limit=1e-12)


def _needed_rows(networks, costs) -> Iterator[Row]:
    """Values needed: errors of the next layer, and under BP as many weights; one under SSDFA."""
    for network in networks:
        of = costs[network, "mesh64"]
        if of["bp"].network.convolves:
            continue
        widths = of["bp"].network.widths
        wanted = 2 * sum(a * b for a, b in zip(widths[1:-1], widths[2:], strict=True)) / sum(widths[1:-1])
        ours = movement(of["bp"], "values needed") / movement(of["ssdfa"], "values needed")
        yield Row(f"values needed, BP over SSDFA, {network}", wanted, ours, "arithmetic on the widths", limit=1e-12)


# Tables.


def _ratios(networks, costs) -> Iterator[tuple[str, str, str, str, float]]:
    """Yield (network, machine, BP variant, definition, BP / SSDFA) of data movement."""
    for machine in machines():
        definitions = BEHIND_CHANNEL if machine.chip.behind_channel else ON_CHIP
        for network in networks:
            of = costs[network, machine.name]
            for variant, rule in BP.items():
                for definition in definitions:
                    least = movement(of["ssdfa"], definition)
                    ratio = movement(of[rule], definition) / least if least else float("inf")
                    yield network, machine.name, variant, definition, ratio


def verdict(ratio: float) -> str:
    """Return what a factor means for "orders of magnitude"."""
    return "holds" if ratio >= 100 else "one order" if ratio >= 10 else "fails" if ratio > 1 else "reversed"


def _movement_table(networks, ratios) -> Table:
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for network, machine, variant, definition, ratio in ratios:
        rows.setdefault((machine, variant, definition), {})[network] = ratio
    lines = []
    for (machine, variant, definition), found in rows.items():
        holds = sum(verdict(ratio) == "holds" for ratio in found.values())
        cells = [f"{found[network]:.3g} ({verdict(found[network])})" for network in networks]
        lines.append((definition, machine, variant, *cells, f"{holds} of {len(found)}"))
    title = f'"Orders of magnitude less data movement" ({CRAFTON}): BP / SSDFA; it holds from a factor of 100'
    return Table(title, ("definition", "machine", "BP", *networks, "holds"), lines)


def _mac_table(networks, costs) -> Table:
    lines = []
    for network in networks:
        of = costs[network, "mesh64"]
        backward = _backward_macs(of["bp"]) / _backward_macs(of["ssdfa"])
        whole = of["bp"].counts["macs"] / of["ssdfa"].counts["macs"]
        errors = of["bp"].phases["error"]["macs"] / of["ssdfa"].phases["error"]["macs"]
        holds = "holds" if backward >= 1.9 else "nearly" if backward >= 1.6 else "fails"
        lines.append((network, f"{errors:.3g}", f"{backward:.2f} ({holds})", f"{whole:.2f}"))
    title = f'"2x fewer MACs in the backward pass, 1.5x with the forward pass" ({CRAFTON}): BP / SSDFA'
    return Table(title, ("network", "error phase", "error and update (claim: 2)", "whole step (claim: 1.5)"), lines)


def _depth_times() -> list[dict[str, object]]:
    """Backward makespan (a step less its inference) of networks of more and more hidden layers of 240."""
    found = []
    for chip in ("mesh64", "mesh1024"):
        machine = Machine(chip, ns.load_chip(chip))
        for depth in DEPTHS:
            network = f"784-{depth}x240-10"
            whole, forward = costs_on(network, machine), costs_on(network, machine, forward_only=True)
            backward = {rule: whole[rule].makespan_cycles - forward[rule].makespan_cycles for rule in RULES}
            found.append({"chip": chip, "layers": depth + 1, **backward})
    return found


def _depth_table(times) -> Table:
    lines = []
    for row in times:
        owner, mirrored = (row[rule] / row["dfa"] for rule in ("bp", "bp-mirrored"))
        cells = [
            f"{ratio:.2f} ({'holds' if ratio >= DEPTH_SHARE * row['layers'] else 'fails'})"
            for ratio in (owner, mirrored)
        ]
        lines.append((row["chip"], str(row["layers"]), *cells))
    title = (
        f'"The backward time falls by a factor approaching the number of layers" ({WOLTERS}, on compute-in-memory): '
        f"BP / DFA, hidden layers of 240, overlap none; it holds from {DEPTH_SHARE} times the layers"
    )
    return Table(title, ("chip", "layers", "BP owner / DFA", "BP mirrored / DFA"), lines)


SAVED = ("values needed", "error bit-hops", "step bit-hops", *BEHIND_CHANNEL)
"""Definitions of data movement whose savings are held against those of memory accesses and MACs."""


def _work_saved(of, variant: str) -> dict[str, float]:
    """BP over SSDFA of a step's memory accesses and MACs."""
    bp, ssdfa = of[BP[variant]].counts, of["ssdfa"].counts
    return {
        "memory accesses": memory_accesses(bp) / memory_accesses(ssdfa),
        "MACs": bp["macs"] / ssdfa["macs"],
    }


def _savings_panels(networks, costs, ratios) -> dict[tuple[str, str], dict[str, list[float]]]:
    """By variant of BP and machine: what is saved of movement in the error phase and in a step, and of work."""
    series = {"values needed": "values needed"}
    series |= dict.fromkeys(("error bit-hops", "error channel"), "error phase, moved")
    series |= dict.fromkeys(("step bit-hops", "step channel"), "step, moved")
    panels: dict[tuple[str, str], dict[str, list[float]]] = {}
    for _, machine, variant, definition, moved in ratios:
        if definition in SAVED:
            panels.setdefault((variant, machine), {}).setdefault(series[definition], []).append(moved)
    for (variant, machine), found in panels.items():
        for network in networks:
            for name, ratio in _work_saved(costs[network, machine], variant).items():
                found.setdefault(f"step, {name}", []).append(ratio)
    return {(f"BP {variant}", machine.name): panels[variant, machine.name] for variant in BP for machine in machines()}


def _savings_table(networks, costs, ratios) -> Table:
    """BP over SSDFA of data movement, and the larger one of memory accesses and MACs."""
    rows: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for network, machine, variant, definition, moved in ratios:
        if definition in SAVED:
            other = max(_work_saved(costs[network, machine], variant).values())
            rows.setdefault((machine, variant, definition), []).append((moved, other))
    lines = []
    for (machine, variant, definition), found in rows.items():
        holds = sum(moved > other for moved, other in found)
        cells = [f"{moved:.3g} against {other:.3g} ({'yes' if moved > other else 'no'})" for moved, other in found]
        lines.append((definition, machine, variant, *cells, f"{holds} of {len(found)}"))
    title = (
        '"Savings of data movement are larger than those of memory accesses and MACs": BP / SSDFA of what moves, '
        "against the larger one of BP / SSDFA of a step's memory accesses and MACs"
    )
    return Table(title, ("definition", "machine", "BP", *networks, "holds"), lines)


Gains = dict[tuple[str, str], dict[str, tuple[float, float]]]
"""By network and variant of BP, then by machine: BP over SSDFA in energy and in time of a step."""


def _gains(networks, costs) -> Gains:
    def gain(of, rule: str) -> tuple[float, float]:
        return of[rule].energy_joules / of["ssdfa"].energy_joules, of[rule].seconds / of["ssdfa"].seconds

    return {
        (network, variant): {machine.name: gain(costs[network, machine.name], rule) for machine in machines()}
        for network in networks
        for variant, rule in BP.items()
    }


def _gain_panels(networks, gains: Gains) -> dict[tuple[str, str], dict[str, list[float]]]:
    """By energy or time and variant of BP: the gain on each machine."""
    return {
        (what, f"BP {variant}"): {
            machine.name: [gains[network, variant][machine.name][place] for network in networks]
            for machine in machines()
        }
        for place, what in enumerate(("energy", "time"))
        for variant in BP
    }


def _gain_table(networks, gains: Gains) -> Table:
    """SSDFA's gain over BP in energy and time, on the chip and on a processor on equal terms."""
    lines = []
    for (network, variant), found in gains.items():
        on_chip, behind = found["mesh64"], [found[name] for name in found if name.startswith("von_neumann")]
        larger = ["yes" if all(on_chip[i] > gain[i] for gain in behind) else "no" for i in (0, 1)]
        cells = [f"{energy:.3f} / {time:.3f}" for energy, time in found.values()]
        lines.append((network, variant, *cells, *larger))
    title = (
        '"SSDFA gains more over BP on a many-core chip than on a von Neumann machine": BP / SSDFA, energy / time of a '
        "step"
    )
    names = [machine.name for machine in machines()]
    return Table(title, ("network", "BP", *names, "energy: larger on mesh64", "time: larger on mesh64"), lines)


def _scaling():
    """Makespans over core counts, under both deliveries, for cores of sixteen lanes and of one."""
    frames = {}
    for lanes, memory in ((16, "scaled"), (16, "fixed"), (1, "scaled")):
        axes = {"delivery": ["multicast", "unicast"], "chip.core.lanes": [[1, lanes]]}
        result = ns.sweep(
            "784-800-800-10", rules=RULES, chip="mesh64", cores=CORES, memory=memory, von_neumann=False, axes=axes,
            batch_size=BATCH_SIZE, processes=2,
        )  # fmt: skip
        frames[f"{lanes} lane{'s' * (lanes > 1)}, memory {memory}"] = result.table
    return frames


def fastest(rows) -> int:
    """Return the number of cores with the shortest step."""
    return int(rows.loc[rows["seconds"].idxmin(), "cores"])


def worthwhile(rows) -> int:
    """Return the number of cores up to which each larger machine shortened the step by a tenth or more."""
    ordered = rows.sort_values("cores")
    cores, seconds = ordered["cores"].tolist(), ordered["seconds"].tolist()
    steps = range(1, len(cores))
    return int(cores[len(list(takewhile(lambda number: seconds[number] <= 0.9 * seconds[number - 1], steps)))])


def harmless(rows) -> int:
    """Return the largest number of cores with which the step takes no more than a tenth longer than the shortest."""
    return int(rows.loc[rows["seconds"] <= 1.1 * rows["seconds"].min(), "cores"].max())


def _scaling_table(frames) -> Table:
    lines = []
    for variant, frame in frames.items():
        ran = frame[frame["status"] == "ok"]
        for delivery, rows in ran.groupby("axis.delivery", sort=False):
            for what, find in (
                ("gains 10 % up to", worthwhile), ("fastest at", fastest), ("loses less than 10 % up to", harmless)
            ):  # fmt: skip
                found = {rule: find(rows[rows["rule"] == rule]) for rule in RULES}
                earlier = [f"{name}: {'yes' if found[rule] < found['dfa'] else 'no'}" for name, rule in BP.items()]
                lines.append((variant, delivery, what, *(str(found[rule]) for rule in RULES), ", ".join(earlier)))
    title = (
        '"BP stops scaling with cores earlier than DFA": the number of cores up to which each larger machine shortens '
        "the step by a tenth or more, that with the shortest step, and the largest whose step is at most a tenth "
        "longer; 784-800-800-10 on mesh64 scaled to 1, 2, 4, 9, 16, 36, 64, 132, 256, 529 and 1024 cores"
    )
    return Table(title, ("a core", "delivery", "cores", *RULES, "BP earlier than DFA"), lines)
