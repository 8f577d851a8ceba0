"""comparisons: rules side by side on the same data, chip, slices and microbatch."""

import numpy as np
import pytest

import neurosim as ns
from neurosim.comparisons import compare, reach_target
from neurosim.errors import DescriptionError, NeurosimError
from neurosim.reports import FIGURES

RULES = ["bp", "fa", "dfa", "sdfa", "ssdfa"]


def _data(samples=48):
    generator = np.random.default_rng(0)
    x = generator.random((samples, 12), dtype=np.float32)
    return x, generator.integers(0, 5, samples), x[:10], generator.integers(0, 5, 10)


@pytest.fixture(scope="module")
def comparison():
    return compare("12-9-7-5", rules=RULES, dataset=_data(), epochs=2, seeds=2, batch_size=16, target_accuracy=0.2)


def test_bp_is_trained_once_and_costed_both_ways(comparison):
    history = comparison.history.set_index(["rule", "seed", "epoch"])
    assert history.loc["bp"]["test_accuracy"].equals(history.loc["bp-mirrored"]["test_accuracy"])
    assert not history.loc["bp"]["seconds"].equals(history.loc["bp-mirrored"]["seconds"])
    assert set(comparison) == {*RULES, "bp-mirrored"}


def test_all_rules_share_slices_and_microbatch(comparison):
    placements = [comparison[rule].step.placement for rule in comparison]
    assert len({placement.microbatch for placement in placements}) == 1
    assert len({tuple(placement.cores_per_layer) for placement in placements}) == 1


def test_costs_hold_both_deliveries_and_a_von_neumann_machine(comparison):
    found = set(zip(comparison.costs["chip"], comparison.costs["delivery"], strict=True))
    assert found == {("mesh64", "multicast"), ("mesh64", "unicast"), ("von_neumann", "multicast"),
                     ("von_neumann (reuse ideal)", "multicast")}  # fmt: skip
    assert "values_needed" in set(comparison.costs["quantity"])


def test_the_table_has_a_row_per_rule(comparison):
    assert len(comparison.table) == len(RULES) + 1
    assert "<table" in comparison._repr_html_()


def test_costs_of_one_rule_are_a_frame(comparison):
    error = comparison["ssdfa"].costs.query("phase == 'error'")
    assert error[error["quantity"] == "macs"]["value"].sum() == 16 * (9 + 7)


def test_to_accuracy_says_when_and_at_what_cost(comparison):
    found = comparison.to_accuracy(0.01)
    assert list(found.columns) == ["epochs", "seconds", "joules", "bit_hops"]
    assert comparison.to_accuracy(1.0)["epochs"].isna().all()
    with pytest.raises(DescriptionError, match="fraction"):
        comparison.to_accuracy(97)


def test_the_target_is_reached_by_the_mean_over_seeds():
    curves = [(0.1, 0.9, 1.0), (0.1, 0.5, 0.9)]
    points = [(seed, epoch, accuracy) for seed, curve in enumerate(curves) for epoch, accuracy in enumerate(curve)]
    rows = [("dfa", seed, epoch, accuracy, epoch * 2.0, epoch * 3.0, epoch * 5.0) for seed, epoch, accuracy in points]
    import pandas as pd

    columns = ["rule", "seed", "epoch", "test_accuracy", "seconds", "joules", "bit_hops"]
    found = reach_target(pd.DataFrame(rows, columns=columns), 0.8)
    assert found["dfa"] == {"epochs": 2, "seconds": 4.0, "joules": 6.0, "bit_hops": 10.0}


def test_a_report_leaves_a_whole_run_folder(comparison, tmp_path):
    folder = comparison.report(tmp_path / "run")
    names = {path.name for path in folder.iterdir()}
    assert {"run.toml", "history.csv", "costs.csv", "summary.json", "trace_dfa.npz", "weights_dfa.npz"} <= names
    assert any((folder / "figures").glob("*.svg"))


def test_several_chips_add_what_crosses_to_the_table_and_a_figure(comparison, tmp_path, monkeypatch):
    for name in set(FIGURES) - {"borders"}:
        monkeypatch.delitem(FIGURES, name)
    several = compare("12-9-7-5", rules=["dfa"], chip=ns.tile_chips(ns.load_chip("tiny"), 8), dataset=_data(), epochs=1)
    row = several.table.loc["dfa"]
    assert 0 < row["border_bit_hops_per_sample"] < row["bit_hops_per_sample"]
    assert 0 < row["border_joules_per_sample"] < row["joules_per_sample"]
    assert (several.report(tmp_path / "run") / "figures" / "borders.svg").exists()
    assert "border_bit_hops_per_sample" not in comparison.table
    assert (comparison.full_table["border_bit_hops_per_sample"] == 0).all()


def test_zero_initial_weights_leave_bp_uniform_and_say_so():
    found = compare("12-9-5", rules=["bp", "dfa"], dataset=_data(), epochs=1, seeds=1, init="zero")
    assert found["bp"].recipe.init == "uniform"
    assert found["dfa"].recipe.init == "zero"
    assert any("bp starts from uniform weights" in note for note in found.summary["notes"])


def test_fa_and_dfa_are_said_to_be_one_rule_with_one_hidden_layer():
    found = compare("12-9-5", rules=["fa", "dfa"], dataset=_data(), epochs=1, seeds=1)
    assert any("the same rule" in note for note in found.summary["notes"])
    accuracy = found.history.set_index(["rule", "epoch"])["test_accuracy"]
    assert accuracy["fa"].tolist() == accuracy["dfa"].tolist()


def test_tuning_picks_a_rate_on_the_validation_split_and_reports_it():
    found = compare("12-9-5", rules=["dfa"], dataset=_data(), epochs=1, seeds=1, tune=True, validation=0.25)
    tried = {row["lr"]: row["validation_accuracy"] for row in found.summary["tuned"]["dfa"]}
    assert len(tried) == 5
    assert tried[found["dfa"].recipe.lr] == max(tried.values())


def test_one_rule_may_have_a_recipe_of_its_own():
    found = compare(
        "12-9-5", rules=["bp", "dfa"], dataset=_data(), epochs=1, seeds=1, rule_settings={"dfa": {"lr": 0.25}}
    )
    assert (found["bp"].recipe.lr, found["dfa"].recipe.lr) == (1e-3, 0.25)


def test_a_rule_of_the_user_s_own_is_compared_like_any_other():
    mine = ns.Rule("mine", error="output", feedback=ns.Feedback(connections=2))
    found = compare("12-9-7-5", rules=["dfa", mine], dataset=_data(), epochs=1, seeds=1)
    assert list(found) == ["dfa", "mine"]


def test_a_rule_with_a_recipe_of_its_own_is_costed_by_it():
    own = {"dfa": {"weight_decay": 0.1, "clip_value": 1.0, "loss": "squared"}}
    found = compare("12-9-5", rules=["bp", "dfa"], dataset=_data(), epochs=1, seeds=1, rule_settings=own)
    alone = ns.cost("12-9-5", rule="dfa", **own["dfa"])
    assert found["dfa"].step.counts["elementwise_ops"] == alone.counts["elementwise_ops"]
    assert found["dfa"].step.counts["messages"] == alone.counts["messages"]
    assert found["bp-mirrored"].recipe == found["bp"].recipe


def test_a_chip_with_the_name_of_the_baseline_is_not_mixed_up_with_it():
    from neurosim.descriptions import override

    chip = override(ns.load_chip("von_neumann"), "channel.behind", "none")
    found = compare("12-9-5", rules=["dfa"], chip=chip, dataset=_data(), epochs=1, seeds=1)
    assert set(found.costs["chip"]) == {
        "von_neumann", "von_neumann (as shipped)", "von_neumann (as shipped) (reuse ideal)"
    }  # fmt: skip


def test_run_toml_says_all_that_a_run_hangs_on(tmp_path):
    first = ns.train("12-9-5", dataset=_data(), epochs=1)
    first.save_weights(tmp_path / "w.npz")
    found = compare("12-9-5", rules=["dfa"], dataset=_data(), epochs=1, seeds=1, weights=tmp_path / "w.npz")
    assert len(found.description["weights"]["sha256"]) == 64
    assert found.description["target_accuracy"] == 0.97


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rules": ["dfa"], "rule_settings": {"dfa": {"clip_norm": 1.0}}}, "clip_norm"),
        ({"rules": ["dfa"], "rule_settings": {"dfa": {"seed": 9}}}, "share"),
        ({"targets": "dense"}, "targets"),
        ({"chip": "von_neumann", "microbatch": 4}, "channel"),
        ({"rules": ["bp", "bp"]}, "once"),
        ({"rules": []}, "rules"),
        ({"seeds": 0}, "from 1 on"),
        ({"tune": True}, "validation"),
        ({"target_accuracy": 97.0}, "fraction"),
        ({"rules": ["dfa"], "rule_settings": {"dfa": {"batch_size": 3}}}, "share"),
        ({"rules": ["dfa"], "rule_settings": {"fa": {"lr": 3}}}, "fa"),
        ({"chip": "tiny", "network": "12-900-5"}, "memory"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(arguments, words):
    with pytest.raises(NeurosimError, match=words):
        compare(**({"network": "12-9-5", "dataset": _data(), "epochs": 1} | arguments))
