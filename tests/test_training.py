"""training: the loop, and the numerics in the order that the engine scheduled."""

import numpy as np
import pytest

from neurosim.chips import load_chip
from neurosim.engine import simulate
from neurosim.errors import DescriptionError, NeurosimError
from neurosim.networks import Conv, Dense, Flatten, Network, Pool, dense
from neurosim.numerics import Memories
from neurosim.placement import place
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.schedules import schedule
from neurosim.training import learning_rate, minibatches, train
from neurosim.training.folder import summarise, write_training

NETWORK = dense([12, 9, 7, 5])
MAPS = Network(
    name="maps",
    inputs=(2, 6, 5),
    layers=(
        Conv(channels=3, kernel=3),
        Pool(kind="max_pool", kernel=3, stride=2, padding="same"),
        Conv(channels=4, kernel=(2, 3), padding="valid"),
        Flatten(),
        Dense(units=7),
        Dense(units=5),
    ),
)


def _data(samples=40, seed=0, inputs=12):
    generator = np.random.default_rng(seed)
    x = generator.random((samples, inputs), dtype=np.float32)
    return x, generator.integers(0, 5, size=samples), x[:10], generator.integers(0, 5, size=10)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("network", [NETWORK, MAPS], ids=["dense", "maps"])
@pytest.mark.parametrize("microbatch", [1, 4])
def test_tasks_run_in_the_trace_s_order_leave_the_memories_of_the_layer_wide_launch(rule, network, microbatch):
    recipe = Recipe(batch_size=6, microbatch=microbatch, dtype="float64", seed=3)
    chip = load_chip("mesh64")
    plan = schedule(network, RULES[rule], place(network, RULES[rule], chip, recipe), recipe)
    assert plan.layout.cut(1).tiled == network.convolves
    x, y, *_ = _data(6, inputs=network.widths[0])
    whole, parts = (Memories(network, RULES[rule], recipe) for _ in range(2))
    for _ in range(2):
        whole.run_step(x, y)
        parts.begin_step(x, y)
        _run_tasks(plan, parts)
    for mine, theirs in zip(parts.weights + parts.biases, whole.weights + whole.biases, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def _run_tasks(plan, memories):
    """Run every task of a step in the order in which the engine started it."""
    batches = plan.microbatches()
    lines = dict(zip(dict.fromkeys(batches), simulate(plan, plan.layout.chip).timelines, strict=True))
    group_of = np.repeat(np.arange(len(plan.tasks.groups)), [g.count for g in plan.tasks.groups])
    for q, batch in enumerate(batches):
        first = q * plan.microbatch
        for task in lines[batch].task.tolist():
            group = plan.tasks.groups[group_of[task]]
            if group.kind == "io":
                continue
            owner = group.layer + 1 if group.kind == "product" else group.layer
            cut = plan.layout.cut(owner)
            tile, part = divmod(int(plan.tasks.slice[task]), cut.channel_slices)
            combining = group.kind == "error" and plan.layout.rule.partial_sums and group.layer < plan.layout.depth
            memories.run_task(
                "combine" if combining else group.kind,
                group.layer,
                int(cut.channel_starts[part]),
                int(cut.channel_starts[part + 1]),
                first,
                first + batch.samples,
                batch.first,
                batch.last,
                **({"rows": cut.rows(tile), "map_rows": cut.map_rows(tile)} if cut.shape.convolves else {}),
            )


def test_history_has_a_row_before_training_and_one_per_epoch():
    trained = train(NETWORK, rule="dfa", dataset=_data(), epochs=3, batch_size=8)
    assert trained.history["epoch"].tolist() == [0, 1, 2, 3]
    assert trained.history["joules"].tolist() == pytest.approx([trained.epoch.joules * e for e in range(4)])
    assert {"delta_angle_deg_1", "gradient_angle_deg_2", "feedback_angle_deg_1"} <= set(trained.history)


def test_training_learns_digits_and_says_what_it_cost():
    trained = train(hidden_layers="32", rule="ssdfa", dataset="digits", epochs=8, lr=0.01)
    assert trained.test_accuracy > 0.85
    assert trained.epoch.seconds > 0


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    first, second = (train(NETWORK, rule="sdfa", dataset=_data(), epochs=2, batch_size=8, seed=5) for _ in range(2))
    assert first.history.equals(second.history)
    assert all((a == b).all() for a, b in zip(first.memories.weights, second.memories.weights, strict=True))


def test_the_result_does_not_depend_on_the_number_of_cores():
    one, many = (
        train(NETWORK, rule="dfa", chip=c, dataset=_data(), epochs=2, batch_size=8) for c in ("tiny", "mesh64")
    )
    assert all((a == b).all() for a, b in zip(one.memories.weights, many.memories.weights, strict=True))


@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_an_epoch_is_as_many_samples_as_there_are(sampling):
    recipe = Recipe(batch_size=8, sampling=sampling)
    picked = list(minibatches(21, recipe, np.random.default_rng(0)))
    assert [len(batch) for batch in picked] == [8, 8, 5]
    drawn = np.concatenate(picked)
    assert drawn.min() >= 0
    assert drawn.max() < 21
    assert (len(set(drawn.tolist())) == 21) == (sampling == "shuffle")


def test_learning_rate_schedules():
    step = Recipe(lr=1.0, lr_schedule="step", lr_step_epochs=2, lr_step_factor=0.5)
    assert [learning_rate(step, epoch) for epoch in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    cosine = Recipe(lr=1.0, lr_schedule="cosine", epochs=4)
    assert [learning_rate(cosine, epoch) for epoch in (0, 2, 4)] == pytest.approx([1.0, 0.5, 0.0])


def test_a_frozen_layer_keeps_its_weights_and_costs_no_update():
    network = NETWORK.model_copy(
        update={"layers": (NETWORK.layers[0].model_copy(update={"trainable": False}), *NETWORK.layers[1:])}
    )
    before = Memories(network, RULES["dfa"], Recipe()).weights[0].copy()
    trained = train(network, rule="dfa", dataset=_data(), epochs=1, batch_size=8)
    assert (trained.memories.weights[0] == before).all()
    frame = trained.costs
    assert (
        frame[(frame["phase"] == "update") & (frame["layer"] == 1) & (frame["quantity"] == "macs")]["value"].sum() == 0
    )


def test_weights_are_saved_and_loaded(tmp_path):
    trained = train(NETWORK, rule="bp", dataset=_data(), epochs=1, batch_size=8)
    trained.save_weights(tmp_path / "w.npz")
    again = train(NETWORK, rule="dfa", dataset=_data(), epochs=1, batch_size=8, weights=tmp_path / "w.npz", lr=1e-12)
    assert again.history["test_accuracy"].iloc[0] == trained.test_accuracy


def test_a_run_folder_is_whole(tmp_path):
    trained = train(NETWORK, rule="dfa", dataset=_data(), epochs=1, batch_size=8, validation=0.2)
    write_training(tmp_path, trained)
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.toml", "history.csv", "costs.csv", "summary.json", "trace.npz", "weights.npz"
    }  # fmt: skip
    assert "validation_accuracy" in trained.history
    assert summarise(trained, target_accuracy=1.0)["to_target"]["dfa"]["epochs"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"network": "13-5", "dataset": _data()}, "13"),
        ({"network": "12-4", "dataset": _data()}, "4"),
        ({"network": None, "dataset": "digits"}, "hidden"),
        ({"network": "64-5-10", "hidden_layers": "5"}, "not both"),
        ({"network": NETWORK, "dataset": _data(), "weights": "absent.npz"}, "absent.npz"),
        ({"network": NETWORK, "dataset": _data(), "clip_norm": 1.0}, "clip_norm"),
        ({"network": NETWORK, "dataset": _data(), "init": "zero", "rule": "bp"}, "zero"),
    ],
)
def test_what_does_not_match_is_refused_in_one_sentence(arguments, words):
    with pytest.raises(NeurosimError, match=words):
        train(**arguments)


def test_unknown_settings_are_refused_with_the_nearest_guess():
    with pytest.raises(DescriptionError, match="optimizer"):
        train(NETWORK, dataset=_data(), optimiser="sgd")
