"""load_dataset(): a name, a file, or arrays -> a checked and scaled Dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from neurosim.datasets.arrays import Samples, make_dataset, pick_samples, read_npz
from neurosim.datasets.catalogue import DATASETS, DatasetInfo
from neurosim.datasets.checks import check_labels, rescale, to_inputs
from neurosim.datasets.dataset import Dataset, Scale
from neurosim.datasets.files import fetch, locate
from neurosim.datasets.idx import read_images, read_labels
from neurosim.datasets.splits import draw_apart
from neurosim.errors import DatasetError, nearest_guess

DataSource = str | os.PathLike[str] | Mapping[str, ArrayLike] | Sequence[ArrayLike] | Dataset

_DIGITS_SPLIT_SEED = 0


def load_dataset(
    source: DataSource, data_dir: str | os.PathLike[str] | None = None, scale: Scale | None = None
) -> Dataset:
    """Return the data set of a name in ``DATASETS``, of an .npz file, or of arrays of the user's own.

    Args:
        source: a name; the path of an .npz file, or a mapping, with the keys x_train, y_train and, together or not
            at all, x_test and y_test; (x, y); (x_train, y_train, x_test, y_test); or a Dataset, returned as it is.
            x is [samples, inputs], or [samples, rows, columns, ...] for images; y is labels [samples] or dense
            targets [samples, outputs]. Without test samples a stratified fifth (seed 0) of the samples becomes
            the test part, and ``note`` says so. Arrays are copied.
        data_dir: the folder with the folders ``mnist/`` and ``fashion-mnist/`` in it; without it the folder that
            the environment variable NEUROSIM_DATA names; files in neither are downloaded into the user's cache.
        scale: "unit" (the default) divides by the largest value an input can take: 16 for digits, 255 for MNIST and
            uint8, 65535 for uint16, else the largest absolute training value where that is above 1. "standard" gives
            the training samples mean 0 and deviation 1, over all pixels for images, else for each input. "none"
            leaves the values as they are.

    Raises:
        DatasetError: an unknown name, absent or damaged files, or values that no network can be trained on.
    """
    if scale is not None and scale not in get_args(Scale):
        allowed = ", ".join(get_args(Scale))
        raise DatasetError(f"scale: '{scale}' is not one of {allowed}{nearest_guess(str(scale), get_args(Scale))}")
    if isinstance(source, Dataset):
        if scale not in (None, source.scale):
            raise DatasetError(f"dataset '{source.name}': has scale '{source.scale}'; load it again for '{scale}'")
        return source
    scale = scale or "unit"
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
    train, test = _read_idx_files(info, data_dir) if info.files else _read_digits(info)
    train_y, test_y = (check_labels(part.y_place, part.y, info.classes) for part in (train, test))
    train_x, test_x = (to_inputs(part.x_place, part.x) for part in (train, test))
    rescale(train_x, test_x, scale=scale, divisor=info.full_scale, per_input=False)
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


def _read_idx_files(info: DatasetInfo, data_dir: str | os.PathLike[str] | None) -> tuple[Samples, Samples]:
    folder = locate(info, data_dir) or fetch(info)
    paths = [folder / file.name for file in info.files]
    parts = []
    for x_path, y_path in (paths[:2], paths[2:]):
        images = read_images(x_path, info.image_shape)
        parts.append(Samples(images, read_labels(y_path, images), str(x_path), str(y_path)))
    return parts[0], parts[1]
