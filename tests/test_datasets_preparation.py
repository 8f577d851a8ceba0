"""Preparation: whitening, subsets, augmentation, and which networks read which images."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

import neurosim as ns
from neurosim.cli.app import main
from neurosim.datasets import (
    Dataset,
    Preparation,
    augment_batch,
    check_fits,
    load_dataset,
    prepare,
    training_subset,
    with_augmentation,
)
from neurosim.errors import DatasetError, NeurosimError
from neurosim.networks import Network, dense
from neurosim.training.folder import write_training

RNG = np.random.default_rng(2)
LABELS = np.arange(60) % 3
COLOUR = RNG.integers(0, 256, (60, 3, 6, 5)).astype(np.uint8)


def colour_images() -> Dataset:
    """Return 60 random images of 3 x 6 x 5, as training and as test samples."""
    return load_dataset((COLOUR, LABELS, COLOUR, LABELS))


def reader(*inputs: int, outputs: int = 3) -> Network:
    """Return a small network that reads a map."""
    layers = [{"kind": "conv", "channels": 2, "kernel": 3, "padding": "same"}, {"kind": "flatten"}, {"units": outputs}]
    return Network(name="reader", inputs=inputs, layers=layers)


# Scaling


def test_standard_scale_of_colour_arrays_is_per_channel() -> None:
    shifted = COLOUR + np.array([0.0, 100.0, 900.0])[:, None, None]
    data = load_dataset((shifted, LABELS), scale="standard")
    channels = data.train_x.reshape(-1, 3, 30)
    assert np.allclose(channels.mean(axis=(0, 2)), 0, atol=1e-5)
    assert np.allclose(channels.std(axis=(0, 2)), 1, atol=1e-5)


def test_channels_that_come_last_have_no_standard_scale() -> None:
    last = COLOUR.transpose(0, 2, 3, 1)
    with pytest.raises(DatasetError, match=r"x_train: images of 6 x 5 x 3, whose channels come last; give them as"):
        load_dataset((last, LABELS), scale="standard")
    assert load_dataset((last, LABELS)).image_shape == (6, 5, 3)


# Whitening


def test_zca_is_the_regularised_inverse_root_of_the_training_covariance() -> None:
    x = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5)) + 3
    labels = np.arange(200) % 2
    plain = load_dataset((x, labels, x[:7], labels[:7]), scale="none")
    white = load_dataset((x, labels, x[:7], labels[:7]), scale="none", whiten="zca", whiten_epsilon=0.05)
    centred = plain.train_x - plain.train_x.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / 200
    values, vectors = np.linalg.eigh(covariance)
    root = vectors @ np.diag((values + 0.05 * np.trace(covariance) / 5) ** -0.5) @ vectors.T
    assert np.allclose(white.train_x, centred @ root, atol=1e-5)
    assert np.allclose(white.test_x, (centred @ root)[:7], atol=1e-5)


def test_a_small_epsilon_leaves_no_correlations() -> None:
    x = RNG.normal(size=(2000, 6)) @ RNG.normal(size=(6, 6))
    white = load_dataset((x, np.arange(2000) % 2), whiten="zca", whiten_epsilon=1e-9)
    assert np.allclose(np.cov(white.train_x.T, bias=True), np.eye(6), atol=1e-3)


def test_whitening_does_not_depend_on_the_unit_of_the_inputs() -> None:
    x = RNG.normal(size=(100, 4))
    labels = np.arange(100) % 2
    one, other = (load_dataset((x * unit, labels), scale="none", whiten="zca").train_x for unit in (1, 1000))
    assert np.allclose(one, other, atol=1e-5)


def test_constant_inputs_are_only_centred() -> None:
    assert not load_dataset((np.full((10, 3), 4.0), np.arange(10) % 2), whiten="zca").train_x.any()


def test_how_data_were_whitened_is_described() -> None:
    plain, white = load_dataset("digits"), load_dataset("digits", whiten="zca")
    assert (white.describe()["whiten"], white.describe()["whiten_epsilon"]) == ("zca", 0.1)
    assert "whiten" not in plain.describe()
    assert load_dataset(white, whiten="zca") is white
    with pytest.raises(DatasetError, match="has whiten 'none'; load it again for 'zca'"):
        load_dataset(plain, whiten="zca")


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("inf"), float("nan")])
def test_an_epsilon_that_is_no_positive_number_is_refused(epsilon: float) -> None:
    with pytest.raises(DatasetError, match="whiten_epsilon: .* is not a finite number above 0, such as 0.1"):
        load_dataset("digits", whiten="zca", whiten_epsilon=epsilon)


def test_whitening_that_does_not_exist_or_has_no_use_for_its_number_is_refused() -> None:
    with pytest.raises(DatasetError, match="whiten: 'zcb' is not one of none, zca; did you mean 'zca'"):
        load_dataset("digits", whiten="zcb")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="whiten_epsilon: 0.2 is used by nothing"):
        load_dataset("digits", whiten_epsilon=0.2)
    wide = np.zeros((4, 2**14 + 1))
    with pytest.raises(DatasetError, match="16385 inputs; at most 16384"):
        load_dataset((wide, [0, 1, 0, 1], wide, [0, 1, 0, 1]), whiten="zca")


# Subsets


def test_a_subset_is_stratified_seeded_and_in_order() -> None:
    digits = load_dataset("digits")
    small, again, other = (training_subset(digits, 100, seed) for seed in (3, 3, 4))
    assert small.train_samples == 100
    assert set(np.bincount(small.train_y)) <= {9, 10, 11}
    assert small.describe() == again.describe()
    assert small.describe() != other.describe()
    rows = [int(np.flatnonzero((digits.train_x == row).all(axis=1))[0]) for row in small.train_x]
    assert rows == sorted(rows)
    assert small.test_x is digits.test_x


@pytest.mark.parametrize("samples", [1, 9, 10, 1436, 1437])
def test_a_subset_has_exactly_the_samples_asked_for(samples: int) -> None:
    small = training_subset(load_dataset("digits"), samples)
    assert small.train_samples == samples
    assert len(np.unique(small.train_y)) == min(samples, 10)
    assert small.describe()["subset_of"] == 1437
    assert f"{samples} of the 1437 training samples were drawn" in small.note


def test_a_larger_subset_holds_the_smaller_one() -> None:
    digits = load_dataset("digits")
    small, large = ({row.tobytes() for row in training_subset(digits, n).train_x} for n in (50, 200))
    assert small <= large


def test_dense_targets_have_subsets_too() -> None:
    x = RNG.random((30, 4))
    small = training_subset(load_dataset((x, x * 2, x, x * 2), scale="none"), 7)
    assert np.allclose(small.train_y, small.train_x * 2)
    assert small.train_samples == 7


@pytest.mark.parametrize("samples", [0, -5, 1438, 2.5, "many"])
def test_a_subset_larger_than_the_data_or_empty_is_refused(samples: object) -> None:
    with pytest.raises(NeurosimError, match="subset = .*: must be a whole number from 1 to 1437"):
        training_subset(load_dataset("digits"), samples)  # type: ignore[arg-type]


def test_validation_samples_come_out_of_the_subset() -> None:
    data = prepare("digits", None, Preparation(subset=200, validation=0.25), seed=1)
    assert (data.train_samples, data.validation_samples, data.test_samples) == (150, 50, 360)


# Augmentation


def test_a_crop_moves_an_image_by_up_to_four_pixels_and_fills_with_zeros() -> None:
    data = with_augmentation(load_dataset("digits", scale="none"), "crop")
    samples = np.arange(400)
    batch = np.arange(1.0, 65.0, dtype=np.float32)[None].repeat(400, axis=0)
    augment_batch(batch, samples, data, seed=1, epoch=0)
    padded = np.pad(np.arange(1.0, 65.0).reshape(8, 8), 4)
    windows = {padded[y : y + 8, x : x + 8].astype(np.float32).tobytes(): (y, x) for y in range(9) for x in range(9)}
    found = {windows[image.tobytes()] for image in batch}
    assert len(found) == 81  # every one of the 9 x 9 windows is drawn


def test_a_flip_mirrors_about_half_of_the_images_in_every_channel() -> None:
    data = with_augmentation(colour_images(), "flip")
    batch = data.train_x.copy()
    augment_batch(batch, np.arange(60), data, seed=1, epoch=0)
    before, after = data.train_x.reshape(60, 3, 6, 5), batch.reshape(60, 3, 6, 5)
    mirrored = [np.array_equal(new, old[:, :, ::-1]) for new, old in zip(after, before, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(after, before, strict=True)]
    assert sum(mirrored) + sum(kept) == 60
    assert 15 < sum(mirrored) < 45


def test_what_befalls_an_image_hangs_on_seed_epoch_and_sample_and_not_on_the_order() -> None:
    data = with_augmentation(colour_images(), "crop,flip")

    def augmented(order: np.ndarray, seed: int = 1, epoch: int = 0) -> np.ndarray:
        batch = data.train_x[order]
        augment_batch(batch, order, data, seed=seed, epoch=epoch)
        return batch[np.argsort(order)]

    forwards = augmented(np.arange(60))
    assert np.array_equal(forwards, augmented(np.arange(60)[::-1].copy()))
    assert not np.array_equal(forwards, augmented(np.arange(60), seed=2))
    assert not np.array_equal(forwards, augmented(np.arange(60), epoch=1))


def test_without_augmentation_a_batch_stays_as_it_is() -> None:
    data = colour_images()
    batch = data.train_x.copy()
    augment_batch(batch, np.arange(60), data, seed=1, epoch=0)
    assert np.array_equal(batch, data.train_x)
    assert with_augmentation(data, "") is data


def test_augmentation_is_described_in_one_order() -> None:
    assert with_augmentation(colour_images(), ["flip", "crop"]).describe()["augment"] == ["crop", "flip"]


def test_augmentation_of_what_is_no_image_or_too_small_is_refused() -> None:
    with pytest.raises(DatasetError, match="augment: 'corp' is not one of crop, flip; did you mean 'crop'"):
        with_augmentation(colour_images(), "flip,corp")
    flat = load_dataset((RNG.random((30, 64)), np.arange(30) % 3))
    with pytest.raises(DatasetError, match="augment: a sample of dataset 'arrays' is no image"):
        with_augmentation(flat, "flip")
    with pytest.raises(DatasetError, match="6 x 4 pixels are too small to be cropped by up to 4; leave crop away"):
        with_augmentation(load_dataset((COLOUR[..., :4], LABELS)), "crop")
    with pytest.raises(DatasetError, match="augment: images of 6 x 5 x 3, whose channels come last"):
        with_augmentation(load_dataset((COLOUR.transpose(0, 2, 3, 1), LABELS)), "flip")


# Networks that read maps


def test_a_network_that_reads_a_map_takes_images_of_that_map() -> None:
    check_fits(colour_images(), reader(3, 6, 5))
    check_fits(load_dataset("digits"), reader(1, 8, 8, outputs=10))
    check_fits(load_dataset((COLOUR.reshape(60, -1), LABELS)), reader(3, 6, 5))
    check_fits(colour_images(), dense([90, 3]))


def test_another_map_is_refused_with_both_shapes_and_the_way_out() -> None:
    with pytest.raises(DatasetError, match=r"map of 3 x 8 x 8 .* image of 8 x 8; give .* inputs = \[1, 8, 8\]"):
        check_fits(load_dataset("digits"), reader(3, 8, 8, outputs=10))
    with pytest.raises(DatasetError, match=r"map of 3 x 5 x 6 .* image of 3 x 6 x 5; .* inputs = \[3, 6, 5\]"):
        check_fits(colour_images(), reader(3, 5, 6))
    last = load_dataset((COLOUR.transpose(0, 2, 3, 1), LABELS))
    with pytest.raises(DatasetError, match=r"image of 6 x 5 x 3; its channels come last: give x.transpose"):
        check_fits(last, reader(3, 6, 5))
    flat = load_dataset((RNG.random((30, 89)), np.arange(30) % 3))
    with pytest.raises(DatasetError, match="map of 3 x 6 x 5 .*, 90 values, but a sample of dataset 'arrays' has 89"):
        check_fits(flat, reader(3, 6, 5))


def test_another_number_of_outputs_is_refused_without_naming_widths() -> None:
    with pytest.raises(DatasetError, match="has 4 outputs, but .* 3 classes; give a last layer of units = 3"):
        check_fits(colour_images(), reader(3, 6, 5, outputs=4))


# Training


def test_a_training_is_recorded_with_how_its_data_were_prepared(tmp_path: Path) -> None:
    prepared = {"whiten": "zca", "whiten_epsilon": 0.2, "subset": 100, "validation": 0.1, "augment": "flip,crop"}
    trained = ns.train("64-8-10", dataset="digits", epochs=1, measure_angles=False, seed=4, **prepared)
    write_training(tmp_path, trained)
    described = tomllib.loads((tmp_path / "run.toml").read_text())["dataset"]
    assert (described["whiten"], described["whiten_epsilon"], described["augment"]) == ("zca", 0.2, ["crop", "flip"])
    assert (described["subset_of"], described["train_samples"], described["validation_samples"]) == (1437, 90, 10)
    again = ns.train("64-8-10", dataset="digits", epochs=1, measure_angles=False, seed=4, **prepared)
    assert trained.history.equals(again.history)


def test_augmentation_changes_what_is_learnt_and_not_what_it_costs() -> None:
    plain, augmented = (
        ns.train("64-8-10", dataset="digits", epochs=1, measure_angles=False, augment=augment)
        for augment in ("", "crop")
    )
    assert plain.history["train_loss"].iloc[0] == augmented.history["train_loss"].iloc[0]
    assert plain.history["train_loss"].iloc[1] != augmented.history["train_loss"].iloc[1]
    assert plain.epoch == augmented.epoch


def test_a_comparison_prepares_its_data_once_for_all_rules() -> None:
    compared = ns.compare(
        "64-8-10", rules="bp,dfa", dataset="digits", seeds=1, epochs=1, subset=50, augment="flip", measure_angles=False
    )
    assert compared.description["dataset"]["train_samples"] == 50
    assert compared.description["dataset"]["augment"] == ["flip"]
    assert compared.summary["samples_per_epoch"] == 50


def test_the_command_prepares_data_as_its_options_say(tmp_path: Path) -> None:
    options = ["--subset", "60", "--whiten", "zca", "--whiten-epsilon", "0.3", "--augment", "crop", "--scale", "none"]
    for command, rules in (("train", "--rule"), ("compare", "--rules")):
        folder = tmp_path / command
        with pytest.raises(SystemExit) as left:
            main([command, "--network", "64-6-10", rules, "dfa", "--epochs", "1", *options, "--out", str(folder)])
        assert left.value.code == 0
        described = tomllib.loads((folder / "run.toml").read_text())["dataset"]
        found = [described[key] for key in ("train_samples", "whiten", "whiten_epsilon", "augment", "scale")]
        assert found == [60, "zca", 0.3, ["crop"], "none"]
