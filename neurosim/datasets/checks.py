"""What samples and targets must be, and the scaling of inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets.dataset import FloatArray, LabelArray, Scale
from neurosim.errors import DatasetError

_FULL_SCALE_OF_TYPE = {"b": 1.0, "u1": 255.0, "u2": 65535.0}
_ROWS_AT_A_TIME = 512


def to_inputs(place: str, values: NDArray[Any]) -> FloatArray:
    """Return a new float32 array [samples, inputs] of ``values`` [samples, ...].

    Raises:
        DatasetError: not real numbers, no samples, fewer than two axes, NaN, infinity, or too large for float32.
    """
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"{place}: holds values of type {values.dtype}; inputs are real numbers")
    if values.ndim < 2:
        raise DatasetError(f"{place}: has shape {values.shape}; inputs have the shape [samples, inputs]")
    if values.size == 0:
        raise DatasetError(f"{place}: has shape {values.shape}, no samples; at least one sample of one input is needed")
    return _finite(place, values, values.reshape(len(values), -1))


def to_targets(place: str, values: NDArray[Any], samples: int) -> LabelArray | FloatArray:
    """Return int64 labels [samples], or dense float32 targets [samples, outputs].

    Whole numbers of shape [samples] or [samples, 1] are labels; anything with two axes else is dense.

    Raises:
        DatasetError: not numbers, another number of samples, labels that are negative or no whole numbers, NaN.
    """
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"{place}: holds values of type {values.dtype}; targets are labels (whole numbers) or reals")
    if values.ndim not in (1, 2) or len(values) != samples or values.size == 0:
        raise DatasetError(
            f"{place}: has shape {values.shape} for {samples} samples; labels have the shape [{samples}] and dense "
            f"targets [{samples}, outputs]"
        )
    if values.dtype.kind == "f":
        if values.ndim == 1:
            raise DatasetError(
                f"{place}: holds {values.dtype} values; labels are integers (give y.astype(int)) and one dense target "
                f"per sample has the shape [{samples}, 1] (give y[:, None])"
            )
        return _finite(place, values, values)
    if values.ndim == 2 and values.shape[1] > 1:
        return _finite(place, values, values)
    return check_labels(place, values.reshape(-1), None)


def check_labels(place: str, labels: NDArray[Any], classes: int | None) -> LabelArray:
    """Return integer ``labels`` as int64; raise DatasetError when one is negative or not below ``classes``."""
    wrong = labels < 0 if labels.dtype.kind == "i" else np.zeros(len(labels), dtype=bool)
    if classes is not None:
        wrong = wrong | (labels >= classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        allowed = f"from 0 to {classes - 1}" if classes is not None else "from 0 up"
        raise DatasetError(f"{place}[{at}] is {labels[at]}; labels are whole numbers {allowed}")
    return labels.astype(np.int64)


def count_classes(place: str, labels: NDArray[Any]) -> int:
    """Return the largest of ``labels`` [samples] + 1; raise DatasetError when that is 1 or more than the samples."""
    classes = int(labels.max()) + 1
    if classes < 2:
        raise DatasetError(f"{place}: every label is 0; at least two classes are needed")
    if classes > len(labels):
        at = int(np.argmax(labels))
        raise DatasetError(
            f"{place}[{at}] is {classes - 1}, which makes {classes} classes of {len(labels)} samples; number the "
            "classes from 0 without gaps"
        )
    return classes


def full_scale(train: NDArray[Any], train_x: FloatArray) -> float:
    """Return what ``scale = "unit"`` divides by when the data set does not say.

    The largest value of the type for bool, uint8 and uint16; for other types the largest absolute training value,
    or 1 where that is below 1 (such data are in the unit range already).
    """
    kind = train.dtype.kind + ("" if train.dtype.kind == "b" else str(train.dtype.itemsize))
    if kind in _FULL_SCALE_OF_TYPE:
        return _FULL_SCALE_OF_TYPE[kind]
    return max(1.0, float(train_x.max()), -float(train_x.min()))


def rescale(train_x: FloatArray, test_x: FloatArray, *, scale: Scale, divisor: float, groups: int) -> None:
    """Scale both arrays in place, by ``divisor`` or by mean and deviation of the training samples.

    The inputs of a sample are ``groups`` equal stretches (the channels of an image, or single inputs), each with a
    mean and deviation of its own; a stretch that never changes is only centred.
    """
    if scale == "unit":
        for x in (train_x, test_x):
            x /= np.float32(divisor)
    elif scale == "standard":
        mean, deviation = _moments(train_x, groups)
        for x in (train_x, test_x):
            x -= mean
            x /= deviation


def _moments(x: FloatArray, groups: int) -> tuple[FloatArray, FloatArray]:
    # Blocks of rows in float64: exact enough, and no float64 copy of the whole set.
    inputs = x.shape[1]
    each = inputs // groups

    def mean_of(blocks: Iterator[NDArray[np.float64]]) -> NDArray[np.float64]:
        sums = sum((block.sum(axis=0).reshape(groups, each).sum(axis=1) for block in blocks), np.zeros(groups))
        return np.asarray(np.repeat(sums / (len(x) * each), each))

    mean = mean_of(blocks(x))
    deviation = np.sqrt(mean_of((block - mean) ** 2 for block in blocks(x)))
    return mean.astype(np.float32), np.where(deviation > 0.0, deviation, 1.0).astype(np.float32)


def blocks(x: FloatArray) -> Iterator[NDArray[np.float64]]:
    """Yield the samples some rows at a time, in float64: [rows, inputs]."""
    for start in range(0, len(x), _ROWS_AT_A_TIME):
        yield x[start : start + _ROWS_AT_A_TIME].astype(np.float64)


def _finite(place: str, original: NDArray[Any], values: NDArray[Any]) -> FloatArray:
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused just below
        result: FloatArray = np.array(values, dtype=np.float32, order="C")
    if values.dtype.kind != "f":
        return result
    finite = np.isfinite(result)
    if not finite.all():
        at = np.unravel_index(int(np.argmin(finite)), original.shape)
        index = ", ".join(str(int(i)) for i in at)
        raise DatasetError(f"{place}[{index}] is {original[at]}; every value must be a finite float32")
    return result
