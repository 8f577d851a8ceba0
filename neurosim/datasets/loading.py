"""load_dataset(): a name, a file, or arrays -> a checked, scaled and perhaps whitened Dataset."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from neurosim.datasets.arrays import Samples, make_dataset, pick_samples, read_npz
from neurosim.datasets.catalogue import DATASETS, DatasetInfo
from neurosim.datasets.checks import check_labels, rescale, to_inputs
from neurosim.datasets.cifar import read_records
from neurosim.datasets.dataset import Dataset, Scale
from neurosim.datasets.files import fetch, locate
from neurosim.datasets.idx import read_images, read_labels
from neurosim.datasets.images import channels_of
from neurosim.datasets.splits import draw_apart
from neurosim.datasets.whitening import DEFAULT_EPSILON, Whitening
from neurosim.datasets.whitening import whiten as whiten_parts
from neurosim.errors import DatasetError, nearest_guess

DataSource = str | os.PathLike[str] | Mapping[str, ArrayLike] | Sequence[ArrayLike] | Dataset

_DIGITS_SPLIT_SEED = 0


def load_dataset(
    source: DataSource,
    data_dir: str | os.PathLike[str] | None = None,
    scale: Scale | None = None,
    *,
    whiten: Whitening | None = None,
    whiten_epsilon: float | None = None,
) -> Dataset:
    """Return the data set of a name in ``DATASETS``, of an .npz file, or of arrays of the user's own.

    Args:
        source: a name; the path of an .npz file, or a mapping, with the keys x_train, y_train and, together or not
            at all, x_test and y_test; (x, y); (x_train, y_train, x_test, y_test); or a Dataset, returned as it is.
            x is [samples, inputs], or images [samples, rows, columns] or [samples, channels, rows, columns]; y is
            labels [samples] or dense targets [samples, outputs]. Without test samples a stratified fifth (seed 0) of
            the samples becomes the test part, and ``note`` says so. Arrays are copied.
        data_dir: the folder with the folders ``mnist/``, ``fashion-mnist/`` and ``cifar-10-batches-bin/`` in it;
            without it the folder that the environment variable NEUROSIM_DATA names; files in neither are downloaded
            into the user's cache.
        scale: "unit" (the default) divides by the largest value an input can take: 16 for digits, 255 for MNIST,
            CIFAR-10 and uint8, 65535 for uint16, else the largest absolute training value where that is above 1.
            "standard" gives the training samples mean 0 and deviation 1, for each channel of images, else for each
            input. "none" leaves the values as they are.
        whiten: "zca" takes the correlations of the training samples out of the inputs, after scaling; "none" (the
            default) does not.
        whiten_epsilon: what is added to every variance before it is divided by, as a share of their mean; 0.1
            unless given.

    Raises:
        DatasetError: an unknown name, absent or damaged files, or values that no network can be trained on.
    """
    _check_choice("scale", scale, get_args(Scale))
    _check_choice("whiten", whiten, get_args(Whitening))
    if whiten_epsilon is not None:
        _check_epsilon(whiten, whiten_epsilon)
    elif whiten == "zca":
        whiten_epsilon = DEFAULT_EPSILON
    if isinstance(source, Dataset):
        _check_prepared(source, scale, whiten, whiten_epsilon)
        return source
    data = _load(source, data_dir, scale or "unit")
    if whiten != "zca" or whiten_epsilon is None:
        return data
    whiten_parts(data.train_x, data.test_x, whiten_epsilon)
    return replace(data, whiten=whiten, whiten_epsilon=whiten_epsilon)


def _check_choice(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise DatasetError(f"{name}: '{value}' is not one of {', '.join(allowed)}{nearest_guess(str(value), allowed)}")


def _check_epsilon(whiten: str | None, epsilon: float) -> None:
    if whiten != "zca":
        raise DatasetError(f"whiten_epsilon: {epsilon} is used by nothing; give whiten = zca as well, or leave it away")
    if not 0.0 < epsilon < math.inf:
        raise DatasetError(f"whiten_epsilon: {epsilon} is not a finite number above 0, such as {DEFAULT_EPSILON}")


def _check_prepared(data: Dataset, scale: str | None, whiten: str | None, epsilon: float | None) -> None:
    """Refuse another preparation than the one a data set has had."""
    had = {"scale": data.scale, "whiten": data.whiten, "whiten_epsilon": data.whiten_epsilon}
    for name, asked in (("scale", scale), ("whiten", whiten), ("whiten_epsilon", epsilon)):
        if asked not in (None, had[name]):
            raise DatasetError(f"dataset '{data.name}': has {name} '{had[name]}'; load it again for '{asked}'")


def _load(source: Any, data_dir: str | os.PathLike[str] | None, scale: Scale) -> Dataset:
    if isinstance(source, str) and source in DATASETS:
        return _load_named(DATASETS[source], data_dir, scale)
    if isinstance(source, (str, os.PathLike)):
        path = _existing_npz(source)
        return make_dataset(read_npz(path), name=path.stem, scale=scale)
    return make_dataset(pick_samples(source), name="arrays", scale=scale)


def _existing_npz(source: str | os.PathLike[str]) -> Path:
    path = Path(source).expanduser()
    if path.suffix == ".npz":
        return path
    raise DatasetError(
        f"dataset '{path}': neither one of {', '.join(DATASETS)} nor an .npz file with x_train and y_train"
        + nearest_guess(str(path), DATASETS)
    )


def _load_named(info: DatasetInfo, data_dir: str | os.PathLike[str] | None, scale: Scale) -> Dataset:
    train, test = _read_files(info, data_dir) if info.files else _read_digits(info)
    train_y, test_y = (check_labels(part.y_place, part.y, info.classes) for part in (train, test))
    train_x, test_x = (to_inputs(part.x_place, part.x) for part in (train, test))
    groups = channels_of(info.name, info.image_shape, info.inputs)
    rescale(train_x, test_x, scale=scale, divisor=info.full_scale, groups=groups)
    return Dataset(
        name=info.name,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        outputs=info.classes,
        image_shape=info.image_shape,
        scale=scale,
    )


def _read_digits(info: DatasetInfo) -> tuple[Samples, Samples]:
    with (files("neurosim") / "data" / "digits.npz").open("rb") as stream, np.load(stream) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    test = draw_apart(len(labels), info.test_samples, seed=_DIGITS_SPLIT_SEED, labels=labels)
    train_part, test_part = (Samples(images[of], labels[of], "digits images", "digits labels") for of in (~test, test))
    return train_part, test_part


def _read_files(info: DatasetInfo, data_dir: str | os.PathLike[str] | None) -> tuple[Samples, Samples]:
    folder = locate(info, data_dir) or fetch(info)
    paths = [folder / name for name in info.contents]
    return _read_cifar(info, paths) if info.format == "cifar" else _read_idx(info, paths)


def _read_idx(info: DatasetInfo, paths: list[Path]) -> tuple[Samples, Samples]:
    parts = []
    for x_path, y_path in (paths[:2], paths[2:]):
        images = read_images(x_path, info.image_shape)
        parts.append(Samples(images, read_labels(y_path, images), str(x_path), str(y_path)))
    return parts[0], parts[1]


def _read_cifar(info: DatasetInfo, paths: list[Path]) -> tuple[Samples, Samples]:
    parts = []
    for samples, files_of_part in ((info.train_samples, paths[:-1]), (info.test_samples, paths[-1:])):
        images, labels = read_records(files_of_part, samples, info.image_shape, info.classes)
        parts.append(Samples(images, labels, str(files_of_part[0]), str(files_of_part[0])))
    return parts[0], parts[1]
