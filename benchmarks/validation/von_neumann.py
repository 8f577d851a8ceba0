"""Von Neumann: products on a systolic array beside SCALE-Sim's cycles and accesses and ZigZag's traffic and energy."""

from __future__ import annotations

from collections import Counter

import neurosim as ns
from neurosim.counts import WORK_COLUMNS
from neurosim.descriptions import override
from neurosim.pipeline import Costs
from neurosim.schedules import RESOURCES
from validation.section import EXACT, Extent, Row, Section, Table, text_of

SCALE_SIM = "SCALE-Sim 3.0.0 (Samajdar et al., arXiv 1811.02883; ISPASS 2020)"
ZIGZAG = "ZigZag 3.9.1 (Mei et al., IEEE Trans. Comput. 70(8), 2021)"
OPERANDS = (
    "arithmetic: every operand once at 8 bits; ZigZag 3.9.1 reports 944 320 in all, its weights rounded up to words"
)
WIDE = "784-784-800-10"
"""Its second layer is the reference's: 784 inputs, 800 outputs; the error of its first has 784 values for 800 terms."""

BATCH_SIZE = 200
FORWARD = {
    "output": (148_049, 82.74, 3_920_000, 4_390_400, 160_000),
    "weight": (183_749, 66.67, 3_920_000, 627_200, 4_000_000),
    "input": (156_449, 78.30, 156_800, 4_390_400, 4_000_000),
}
"""Cycles, utilisation in percent, input and weight reads, output writes on 32 x 32 by what stays in the array."""

GEMMS = {("product", 1): ("error", 150_849), ("update", 2): ("weight gradient", 163_749)}
ENERGIES = (
    ("forward", 1, 113.23),
    ("update", 1, 118.42),
    ("forward", 2, 15.68),
    ("error", 1, 16.67),
    ("update", 2, 15.77),
)
"""Phase, layer and uJ of the products of 784-800-10, batch 200, as ZigZag costs them."""

Tasks = dict[tuple[str, int], Counter[str]]


def array(dataflow: str) -> ns.Chip:
    """Return the processor with 32 x 32 places and operands of 8 bits."""
    chip = ns.load_chip("von_neumann")
    widths = ("weight_bits", "bias_bits", "activation_bits", "error_bits", "feedback_bits", "state_bits")
    changes = {f"widths.{name}": "8" for name in widths}
    for memory in ("neuron_memory", "synapse_memory"):
        changes[f"core.{memory}.word_bits"] = "8"
    for key, text in {**changes, "core.accumulators_per_lane": "1", "core.dataflow": dataflow}.items():
        chip = override(chip, key, text)
    return chip


def tasks_of(costs: Costs) -> Tasks:
    """Return, by kind and layer, what the tasks of a step on one core do: counts, and the cycles of their MACs."""
    work = costs.plan.tasks.work(costs.plan.microbatches()[0])
    found: Tasks = {}
    for group in costs.plan.tasks.groups:
        row = work.counts[group.first].tolist()
        counts = Counter(
            {f"{name} {kind}".strip(): value for (name, kind), value in zip(WORK_COLUMNS, row, strict=True)}
        )
        counts["cycles"] = int(work.resource_cycles[group.first, RESOURCES.index("macs")])
        found[group.kind, group.layer] = counts
    return found


def validate(extent: Extent) -> Section:
    """Compare one layer and its way back on three arrays; it takes seconds, so that a quick run is a full one."""
    rows: list[Row] = []
    for dataflow in FORWARD:
        found = tasks_of(ns.cost(WIDE, rule="bp", chip=array(dataflow), batch_size=BATCH_SIZE, optimizer="sgd"))
        rows += forward_rows(dataflow, found["forward", 2])
        if dataflow == "output":
            for key, (name, cycles) in GEMMS.items():
                what = f"cycles of the {name}, output stationary"
                rows.append(Row(what, cycles, found[key]["cycles"], SCALE_SIM, limit=EXACT))
    rows += [*traffic_rows(found["forward", 2]), *energy_rows()]
    return Section("Von Neumann", text_of("von_neumann"), rows, tables=[rules_table()])


def forward_rows(dataflow: str, found: Counter[str]) -> list[Row]:
    """Compare the forward product of the layer."""
    cycles, utilisation, inputs, weights, outputs = FORWARD[dataflow]
    busy = 100 * found["macs"] / (32 * 32 * found["cycles"])
    written = found["neuron_writes activation"] + found["neuron_writes accumulator"]
    quirk = "SCALE-Sim's 171 200 less the 2 R that it adds in each of 175 folds" if dataflow == "output" else ""
    where = f"{dataflow} stationary"
    return [
        Row(f"cycles, {where}", cycles, found["cycles"], SCALE_SIM, limit=EXACT),
        Row(f"utilisation, {where}", utilisation, busy, SCALE_SIM, unit="%", points=True, limit=0.005),
        Row(f"input reads, {where}", inputs, found["neuron_reads activation"], SCALE_SIM, limit=EXACT),
        Row(f"weight reads, {where}", weights, found["synapse_reads weight"], SCALE_SIM, limit=EXACT),
        Row(f"output writes, {where}", outputs, written, SCALE_SIM, limit=EXACT, note=quirk),
    ]


def traffic_rows(found: Counter[str]) -> list[Row]:
    """Compare what crosses the channel with every operand once."""
    inputs, weights, outputs = BATCH_SIZE * 784, 784 * 800, BATCH_SIZE * 800
    crossed = found["channel_bits"] / 8
    return [Row("DRAM bytes of the forward product", inputs + weights + outputs, crossed, OPERANDS, limit=EXACT)]


def energy_rows() -> list[Row]:
    """Show the energy of BP's products with ZigZag's unit energies beside ZigZag's."""
    prices = {
        "core.mac_pj": "0.177",  # 0.04, a weight from its register file 0.095, a sum read and written 0.021 each
        "core.elementwise_pj": "0.0",
        "channel.channel_pj_per_bit": repr((700 + 750) / 2 / 64),
    }
    for memory in ("neuron_memory", "synapse_memory"):
        prices |= {
            f"core.{memory}.read_pj_per_word": repr(416.16 / 256),
            f"core.{memory}.write_pj_per_word": repr(378.4 / 256),
        }
    chip = array("output")
    for key, text in prices.items():
        chip = override(chip, key, text)
    costs = ns.cost("784-800-10", rule="bp", chip=chip, batch_size=BATCH_SIZE, optimizer="sgd")
    table, placed = costs.prices.counts, costs.prices.placed_pj
    note = "no limit: another mapping, another hierarchy"
    return [
        Row(
            f"energy of {phase} {layer}, 784-800-10",
            micro,
            float(placed[table.row(phase, layer)].sum()) / 1e6,
            ZIGZAG,
            "uJ",
            note=note,
        )
        for phase, layer, micro in ENERGIES
    ]


def rules_table() -> Table:
    """Show the cycles of every product of a step under three rules, on each array."""
    lines = []
    kinds = {"forward": "forward", "product": "error", "error": "error", "update": "update"}
    for rule in ("bp", "dfa", "ssdfa"):
        found = {
            dataflow: tasks_of(ns.cost("784-800-800-10", rule=rule, chip=array(dataflow), batch_size=BATCH_SIZE))
            for dataflow in FORWARD
        }
        for kind, layer in found["output"]:
            if found["output"][kind, layer]["macs"]:
                cycles = [str(found[dataflow][kind, layer]["cycles"]) for dataflow in FORWARD]
                lines.append((rule, f"{kinds[kind]} {layer}", str(found["output"][kind, layer]["macs"]), *cycles))
    title = "Products of a step on 32 x 32, 784-800-800-10, batch 200: cycles by what stays in the array"
    return Table(title, ("rule", "product", "MACs", *FORWARD), lines)
