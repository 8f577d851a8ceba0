"""The tables of a comparison: their numbers are those of the run, and they fit a terminal."""

from __future__ import annotations

import io
import math
import re

import pandas as pd
import pytest
from reports_case import BATCH, costs, crossing, history, summary

from neurosim.counts import MEMORY_ACCESS_COUNTS
from neurosim.pipeline import cost
from neurosim.reports.results import Results
from neurosim.reports.tables import comparison_table, von_neumann_table
from neurosim.reports.terminal import WIDTH, print_table, table_text
from neurosim.reports.transports import transport_count, transport_energy_pj


def table(**changes: object) -> pd.DataFrame:
    """Return the comparison by rule."""
    return comparison_table(history(), costs(), summary(**changes)).set_index("rule")


def handmade(rows: list[tuple[str, str, int, str, float]]) -> pd.DataFrame:
    """Return costs of tiny from rows of rule, phase, layer, quantity and value."""
    frame = pd.DataFrame(rows, columns=["rule", "phase", "layer", "quantity", "value"])
    return frame.assign(chip="tiny", delivery="multicast", unit="", per="step")


def test_a_rule_has_a_row_in_the_order_of_the_costs() -> None:
    assert list(table().index) == ["bp", "bp-mirrored", "ssdfa"]
    shuffled = comparison_table(history(), costs(("bp-mirrored", "ssdfa", "bp")), summary())
    assert list(shuffled["rule"]) == ["bp-mirrored", "ssdfa", "bp"]


def test_accuracies_are_means_over_seeds_with_their_sample_standard_deviation() -> None:
    row = table().loc["bp"]
    assert row["test_accuracy_percent"] == pytest.approx(91.0)  # of 90 and 92
    assert row["test_accuracy_sd_percent"] == pytest.approx(math.sqrt(2))
    assert row["train_accuracy_percent"] == pytest.approx(96.0)
    assert (row["seeds"], row["epochs"], row["learning_rate"]) == (2, 2, 0.1)


def test_one_seed_has_no_spread() -> None:
    alone = comparison_table(history(seeds=1), costs(), summary())
    assert alone["test_accuracy_sd_percent"].isna().all()
    assert "±" not in table_text(history(seeds=1), costs(), summary())


def test_counts_are_those_of_a_step_over_its_samples() -> None:
    row = table().loc["bp"]
    assert row["macs_per_sample"] == 276 / 4  # 4-3-3-2 on cores [0], [1], [1] with 4 samples: on paper
    priced = cost("4-3-3-2", rule="bp", chip="tiny", batch_size=BATCH)
    accesses = sum(priced.counts[name] for name in MEMORY_ACCESS_COUNTS)
    assert row["memory_accesses_per_sample"] == accesses / BATCH
    assert row["bit_hops_per_sample"] == priced.counts["bit_hops"] / BATCH
    assert row["joules_per_sample"] == pytest.approx(priced.energy_joules / BATCH)


def test_the_error_phase_alone_has_no_static_power() -> None:
    phase = cost("4-3-3-2", rule="ssdfa", chip="tiny", batch_size=BATCH).phases["error"]
    row = table().loc["ssdfa"]
    assert row["error_macs_per_sample"] == phase["macs"] / BATCH
    assert row["error_joules_per_sample"] == pytest.approx(phase["energy_pj"]["total"] * 1e-12 / BATCH)
    assert row["transport_joules_per_sample"] == 0
    assert row["values_needed_per_neuron"] == "1/1"


def test_a_table_by_hand_adds_up() -> None:
    rows = [
        ("bp", "forward", 1, "macs", 40.0), ("bp", "error", 1, "macs", 8.0), ("bp", "error", 1, "bit_hops", 12.0),
        ("bp", "error", 1, "neuron_reads", 4.0), ("bp", "update", 1, "synapse_writes", 20.0),
        ("bp", "error", 1, "mac_energy_pj", 6.0), ("bp", "error", 2, "link_energy_pj", 2.0),
        ("bp", "all", 0, "static_energy_pj", 100.0), ("bp", "all", 0, "total_energy_pj", 400.0),
    ]  # fmt: skip
    row = comparison_table(history(("bp",)), handmade(rows), summary()).iloc[0]
    assert (row["macs_per_sample"], row["memory_accesses_per_sample"]) == (12, 6)
    assert row["joules_per_sample"] == pytest.approx(100e-12)
    assert row["error_joules_per_sample"] == pytest.approx(2e-12)
    assert (row["error_macs_per_sample"], row["error_bit_hops_per_sample"]) == (2, 3)
    assert row["error_memory_accesses_per_sample"] == 1


def test_new_weights_of_a_mirror_belong_to_its_error_phase() -> None:
    phases = cost("4-3-3-2", rule="bp-mirrored", chip="tiny", batch_size=BATCH).phases
    row = table().loc["bp-mirrored"]
    assert phases["update"]["bit_hops"] > 0
    assert row["transport_bit_hops_per_sample"] == phases["update"]["bit_hops"] / BATCH
    moved = (phases["error"]["bit_hops"] + phases["update"]["bit_hops"]) / BATCH
    assert row["error_bit_hops_per_sample"] == moved


@pytest.mark.parametrize("machine", [("tiny", "multicast"), ("tiny", "unicast"), ("von_neumann", "multicast")])
def test_the_energy_of_new_weights_is_what_the_update_costs_more_than_without_mirrors(machine: tuple[str, str]) -> None:
    results = Results(history(), costs(), summary())
    updates = {
        rule: sum(
            results.of_step(rule, f"{part}_energy_pj", phase="update", machine=machine)
            for part in ("mac", "elementwise", "neuron_memory", "synapse_memory", "link", "router", "channel")
        )
        for rule in ("bp", "bp-mirrored")
    }
    more = transport_energy_pj(results, "bp-mirrored", machine=machine)
    assert more == pytest.approx(updates["bp-mirrored"] - updates["bp"], rel=1e-9)
    assert more > 0


def test_new_weights_behind_a_channel_cross_it() -> None:
    results, machine = Results(history(), costs(), summary()), ("von_neumann", "multicast")
    bits = [results.of_step(rule, "channel_bits", phase="update", machine=machine) for rule in ("bp", "bp-mirrored")]
    assert transport_count(results, "bp-mirrored", "channel_bits", machine=machine) == bits[1] - bits[0]


def test_mirrored_bp_has_the_rows_of_its_own_costs_and_is_said_to_learn_the_same() -> None:
    row = table().loc["bp-mirrored"]
    assert (row["test_accuracy_percent"], row["learning_rate"]) == (table().loc["bp", "test_accuracy_percent"], 0.1)
    assert (row["seconds_per_epoch"], row["seconds_to_target"], row["epochs_to_target"]) == (0.5, 1.0, 2)
    assert "bp-mirrored learns what bp learns, to the bit." in table_text(history(), costs(), summary())


def test_what_crosses_from_chip_to_chip_has_columns_of_its_own_and_is_shown_where_there_are_several() -> None:
    alone = comparison_table(history(), costs(), summary()).set_index("rule")
    assert (alone["border_bit_hops_per_sample"] == 0).all()
    assert "Border" not in table_text(history(), costs(), summary())
    row = comparison_table(history(), crossing(costs()), summary()).set_index("rule").loc["bp"]
    assert row["border_bit_hops_per_sample"] == alone.loc["bp", "bit_hops_per_sample"] / 2
    assert 0 < row["border_joules_per_sample"] < row["joules_per_sample"]
    text = table_text(history(), crossing(costs()), summary())
    assert "Border: what crosses from one chip to another" in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_run_that_did_not_tell_borders_apart_is_reported_without_them() -> None:
    old = costs()[~costs()["quantity"].str.contains("border")]
    assert comparison_table(history(), old, summary())["border_bit_hops_per_sample"].isna().all()
    assert "Border" not in table_text(history(), old, summary())


def test_a_rule_that_was_only_costed_has_no_accuracy() -> None:
    row = comparison_table(history(("bp",)), costs(), summary()).set_index("rule").loc["ssdfa"]
    assert row["seeds"] == 0
    assert math.isnan(row["test_accuracy_percent"])
    assert row["macs_per_sample"] > 0


def test_a_target_never_reached_is_nan_and_said_so() -> None:
    assert math.isnan(table().loc["ssdfa", "joules_to_target"])
    text = table_text(history(), costs(), summary())
    assert "not reached" in text
    assert "to 90 %" in text
    assert "to 90 %" not in table_text(history(), costs(), summary(target_accuracy=None))


def test_where_the_energy_goes_adds_up_on_both_machines() -> None:
    machines = von_neumann_table(history(), costs(), summary())
    parts = [name for name in machines if name.endswith("_joules_per_sample") and not name.startswith("total")]
    assert list(machines["chip"].unique()) == ["tiny", "von_neumann"]
    assert machines[parts].sum(axis=1).tolist() == pytest.approx(machines["total_joules_per_sample"].tolist())
    assert (machines.query("chip == 'von_neumann'")["channel_joules_per_sample"] > 0).all()


def test_text_says_of_what_the_numbers_are_and_fits_its_width() -> None:
    text = table_text(history(), costs(), summary())
    for said in (
        "4-3-3-2 on tiny", "multicast", "microbatch 2", "cores per layer 1/1/1", "step of 4 samples",
        "sample standard deviation", "Messages waiting", "New weights", "1 assumption stands behind", "A note",
    ):  # fmt: skip
        assert said in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_settings_that_differ_by_rule_are_all_named() -> None:
    text = table_text(history(), costs(), summary(init={"bp": "uniform", "bp-mirrored": "uniform", "ssdfa": "zero"}))
    assert "init uniform (ssdfa: zero)" in text
    assert "learning rate 0.1 (ssdfa: 0.2)" in text


def test_a_network_without_classes_shows_its_loss() -> None:
    frame = history().assign(train_accuracy=math.nan, test_accuracy=math.nan)
    text = table_text(frame, costs(), summary())
    assert "0.3667" in text
    assert "accuracy %" not in text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_is_never_wider_than_it_is(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_table(history(), costs(), summary(), file=stream)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, plain.splitlines())) <= columns
    assert "bp-mirrored" in plain


def test_a_pipe_gets_plain_text() -> None:
    stream = io.StringIO()
    print_table(history(), costs(), summary(), file=stream)
    assert stream.getvalue() == table_text(history(), costs(), summary())
