"""Chips: what the models predict of training on chips that exist, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import neurosim as ns
from neurosim.networks import Conv, Dense, Flatten, Network, Pool
from neurosim.pipeline import Costs
from validation.chip_figures import draw_prediction
from validation.section import Extent, Row, Section, Table, text_of

RENNER = "A. Renner et al., Nat. Commun. 15:9691, 2024, Table 1"
VLSI = "D. Han et al., VLSI 2019, doi 10.23919/VLSIC.2019.8778006"
JSSC = "D. Han et al., JSSC 2021, doi 10.1109/jssc.2020.3042978"

EMSTDP = Network(
    name="conv-conv-100-10",
    inputs=(1, 28, 28),
    layers=(
        Conv(channels=16, kernel=5, stride=2, padding="valid", trainable=False),
        Conv(channels=8, kernel=3, stride=2, padding="valid", trainable=False),
        Flatten(),
        Dense(units=100),
        Dense(units=10),
    ),
)
"""Shapes assumed: Renner et al. say two convolutions and 100-10. The convolutions are not trained on the chip."""

SPOON = Network(
    name="conv-128-10",
    inputs=(1, 28, 28),
    layers=(
        Conv(channels=10, kernel=5, padding="valid", trainable=False),
        Pool(kind="max_pool", kernel=2),
        Flatten(),
        Dense(units=128),
        Dense(units=10),
    ),
)
"""Shapes assumed: Renner et al. say a convolution and 10 outputs."""


@dataclass(frozen=True)
class Measured:
    """What was measured of one sample: of training, or of inference; and why a prediction should miss it."""

    chip: str
    what: str
    network: str | Network
    rule: str
    models: tuple[str, ...]
    energy_mj: float
    time_ms: float
    why: str
    inference: bool = False

    @property
    def label(self) -> str:
        """What was measured, as text."""
        return f"{self.chip}, {self.what}"


LOIHI = ("loihi", "loihi_silicon")
STEPS = "the chip runs many time steps a sample, with gating, and waits for barriers and its host; one step is priced"
SPARSE = "few of the priced MACs happen as spikes; a host and idle time are in the measurement, not in the prediction"
SCALED = "unit energies scaled from another technology, clock and lanes assumed; dense MACs in place of spikes"
MEASURED = (
    Measured("Loihi", "BP (nBP), training", "400-400-10", "bp", LOIHI, 0.59, 1.5, STEPS),
    Measured("Loihi", "BP (nBP), inference", "400-400-10", "bp", LOIHI, 0.0025, 0.17, SPARSE, True),
    Measured("Loihi", "EMSTDP (FA/DFA), training", EMSTDP, "dfa", LOIHI, 8.4, 20.0, f"{STEPS}; shapes assumed"),
    Measured("Loihi", "EMSTDP, inference", EMSTDP, "dfa", LOIHI, 2.47, 10.0, f"{STEPS}; shapes assumed", True),
    Measured(
        "SPOON", "DRTP, training", SPOON, "drtp", ("spoon_like",), 0.000366, 0.12,
        f"{SCALED}; the reference is that of inference times an overhead of 16.8 % in power",
    ),
    Measured(
        "SPOON", "DRTP, inference", SPOON, "drtp", ("spoon_like",), 0.000313, 0.12,
        SCALED, True,
    ),
    Measured(
        "Park 2019", "direct spike feedback, training", "784-200-200-10", "sign-dfa", ("park_like",), 0.000253, 0.01,
        SCALED,
    ),
)  # fmt: skip
"""Networks, energies and times of a sample as Renner et al. list them."""

FEEDBACK_NETWORKS = {"4608-512-512-2": "as for tracking", "9216-4096-4096-1000": "the dense part of AlexNet"}
DIRECTION = "not reproduced, no limit: see the text"


def validate(extent: Extent) -> Section:
    """Predict every measured sample and DF-LNPU's gain from generated feedback; draw the first in a full run."""
    costs = {(each.label, model): predict(each, model) for each in MEASURED for model in each.models}
    rows = [*_sample_rows(costs), *_arithmetic_rows(costs), *_feedback_rows()]
    figures = {}
    if not extent.quick:
        points = [
            (each, model, found.energy_joules * 1e3, found.seconds * 1e3)
            for each in MEASURED
            for model in each.models
            for found in [costs[each.label, model]]
        ]
        caption = "Energy and time of a sample: predicted against measured; on the line they would be equal"
        figures["chips"] = (caption, draw_prediction(points))
    return Section("Chips", text_of("chips"), rows, [_ratio_table(costs)], figures)


def predict(measured: Measured, model: str) -> Costs:
    """Return the simulated costs of one sample on a chip's model."""
    return ns.cost(
        measured.network, rule=measured.rule, chip=model, batch_size=1, optimizer="sgd",
        forward_only=measured.inference,
    )  # fmt: skip


def _sample_rows(costs) -> Iterator[Row]:
    """Energy and time of each sample: nothing is claimed, so there is no limit."""
    for each in MEASURED:
        for model in each.models:
            found = costs[each.label, model]
            what = f"{each.label}, on {model}"
            yield Row(f"energy: {what}", each.energy_mj, found.energy_joules * 1e3, RENNER, "mJ", note=each.why)
            yield Row(f"time: {what}", each.time_ms, found.seconds * 1e3, RENNER, "ms", note=each.why)


def _arithmetic_rows(costs) -> Iterator[Row]:
    """Energy of synaptic operations and updates of the nBP network: published energies times counts made by hand."""
    found = costs[MEASURED[0].label, "loihi"]
    operations, updates = 400 * 400 + 400 * 10 + 400 * 10, 400 * 400 + 400 * 10
    what = "synaptic operations and updates of 400-400-10 under BP, on loihi"
    source = "M. Davies et al., IEEE Micro 38(1), 2018, Table 2, times counts by hand"
    yield Row(what, operations * 23.6 + updates * 120, found.energy_pj["mac"], source, "pJ", limit=1e-12)


def _feedback_rows() -> Iterator[Row]:
    """What generated feedback saves on DF-LNPU, per sample."""
    for network, note in FEEDBACK_NETWORKS.items():
        of = {rule: _feedback_costs(network, rule) for rule in ("bp", "dfa", "dfa generated")}
        generated = of["dfa generated"]
        gain = 100 * (of["dfa"].energy_joules / generated.energy_joules - 1)
        what, note = f"{network}, on df_lnpu", f"{note}; {DIRECTION}"
        yield Row(
            f"energy efficiency gained by generated feedback: {what}", 19.9, gain, VLSI, "points",
            points=True, note=note,
        )  # fmt: skip
        for rule in ("dfa", "bp"):
            cut = 100 * (1 - generated.counts["channel_bits"] / of[rule].counts["channel_bits"])
            yield Row(
                f"external access cut by generated feedback, against {rule}: {what}", 42.8, cut, JSSC, "points",
                points=True, note=note,
            )  # fmt: skip


def _feedback_costs(network: str, rule: str) -> Costs:
    found = ns.load_rule(rule.split()[0])
    if rule.endswith("generated"):
        found = found.model_copy(update={"feedback": found.feedback.model_copy(update={"storage": "generated"})})
    return ns.cost(network, rule=found, chip="df_lnpu", batch_size=1, optimizer="sgd", fidelity="analytic")


def _ratio_table(costs) -> Table:
    lines = []
    for each in MEASURED:
        for model in each.models:
            found = costs[each.label, model]
            energy, static = found.energy_joules * 1e3, found.energy_pj["static"] * 1e-9
            waiting = static / found.seconds * each.time_ms * 1e-3
            explained = (energy - static + waiting) / each.energy_mj
            lines.append(
                (
                    each.label, model, f"{energy / each.energy_mj:.3g}", f"{found.seconds * 1e3 / each.time_ms:.3g}",
                    f"{100 * static / energy:.0f} %", f"{explained:.3g}",
                )
            )  # fmt: skip
    title = "Predicted over measured, a sample; in the last column static power runs over the measured time"
    headings = (
        "measured",
        "model",
        "energy",
        "time",
        "static share of the prediction",
        "energy, static over measured time",
    )
    return Table(title, headings, lines)
