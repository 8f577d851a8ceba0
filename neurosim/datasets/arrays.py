"""Data sets of the user's own: an .npz file, a mapping or a tuple of arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.datasets.checks import check_labels, count_classes, full_scale, rescale, to_inputs, to_targets
from neurosim.datasets.dataset import Dataset, FloatArray, LabelArray, Scale
from neurosim.datasets.images import channels_of
from neurosim.datasets.splits import draw_apart
from neurosim.errors import DatasetError, nearest_guess

KEYS = ("x_train", "y_train", "x_test", "y_test")
_TEST_FRACTION = 0.2
_TEST_SEED = 0


class Samples(NamedTuple):
    """Samples and targets as they were given, and what an error calls them."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_place: str
    y_place: str


def read_npz(path: Path) -> tuple[Samples, Samples | None]:
    """Return the training and test samples of an .npz file; raise DatasetError when it cannot be read."""
    try:
        # An open stream: np.load leaves a file that it opened itself open when the file is damaged.
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DatasetError(f"{path}: holds one array; an .npz file with x_train and y_train is needed")
            return pick_samples({key: arrays[key] for key in arrays.files}, f"{path}: ")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path}: not a whole .npz file of numbers ({error})") from error


def pick_samples(
    source: Mapping[str, ArrayLike] | Sequence[ArrayLike], place: str = ""
) -> tuple[Samples, Samples | None]:
    """Return the training and, where given, the test samples of a mapping or a tuple; raise DatasetError else."""
    if not isinstance(source, Mapping):
        if not isinstance(source, (tuple, list)) or len(source) not in (2, 4):
            raise DatasetError("dataset: arrays are given as (x, y) or (x_train, y_train, x_test, y_test)")
        source = dict(zip(KEYS, source, strict=False))
    needed = KEYS if "x_test" in source or "y_test" in source else KEYS[:2]
    for key in needed:
        if key not in source:
            found = ", ".join(source) or "nothing"
            guess = nearest_guess(key, source)
            raise DatasetError(f"{place}'{key}' is not among {found}{guess}; needed are {', '.join(needed)}")
    parts = [
        Samples(np.asarray(source[x]), np.asarray(source[y]), place + x, place + y)
        for x, y in (KEYS[:2], KEYS[2:])
        if x in needed
    ]
    return parts[0], parts[1] if len(parts) == 2 else None


def make_dataset(parts: tuple[Samples, Samples | None], *, name: str, scale: Scale) -> Dataset:
    """Return the checked and scaled data set of training and test samples; None: a fifth is set apart for the test.

    Raises:
        DatasetError: values, shapes or labels that no network can be trained on.
    """
    train, test = parts
    train_x = to_inputs(train.x_place, train.x)
    train_y = to_targets(train.y_place, train.y, len(train_x))
    outputs = count_classes(train.y_place, train_y) if train_y.ndim == 1 else train_y.shape[1]
    note = ""
    if test is None:
        apart = _draw_test(train.x_place, train_y)
        test_x, test_y, train_x, train_y = train_x[apart], train_y[apart], train_x[~apart], train_y[~apart]
        note = (
            f"no test samples were given: {len(test_x)} of {len(apart)} samples were set apart (stratified, seed "
            f"{_TEST_SEED})"
        )
    else:
        test_x = to_inputs(test.x_place, test.x)
        test_y = to_targets(test.y_place, test.y, len(test_x))
        _check_alike(train.x_place, train.x, test.x_place, test.x)
        _check_alike(train.y_place, train_y, test.y_place, test_y)
        if test_y.ndim == 1:
            check_labels(test.y_place, test_y, outputs)
    image_shape = tuple(train.x.shape[1:]) if train.x.ndim > 2 else None
    groups = channels_of(train.x_place, image_shape, train_x.shape[1]) if scale == "standard" else 1
    rescale(train_x, test_x, scale=scale, divisor=full_scale(train.x, train_x), groups=groups)
    return Dataset(
        name=name,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        outputs=outputs,
        targets="labels" if train_y.ndim == 1 else "dense",
        image_shape=image_shape,
        scale=scale,
        note=note,
    )


def _draw_test(place: str, train_y: LabelArray | FloatArray) -> NDArray[np.bool_]:
    samples = len(train_y)
    labels = train_y if train_y.ndim == 1 else None
    apart = draw_apart(samples, max(1, round(_TEST_FRACTION * samples)), seed=_TEST_SEED, labels=labels)
    if not apart.any() or apart.all():
        raise DatasetError(f"{place}: {samples} samples are too few to set some apart for the test; give x_test too")
    return apart


def _check_alike(train_place: str, train: NDArray[Any], test_place: str, test: NDArray[Any]) -> None:
    if train.shape[1:] != test.shape[1:]:
        raise DatasetError(
            f"{test_place}: has shape {test.shape}, {train_place} {train.shape}; all but the number of samples must be "
            "the same"
        )
