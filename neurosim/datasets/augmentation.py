"""Augmentation: minibatches of images that are shifted and mirrored anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets.dataset import Dataset, FloatArray
from neurosim.datasets.images import check_channels_first, image_map
from neurosim.draws import key_of, philox
from neurosim.errors import DatasetError, nearest_guess

Augment = Literal["crop", "flip"]
CROP_PIXELS = 4
"""Pixels of zeros around an image before it is cropped to its size again, the usual number on CIFAR-10."""

_PLACE = np.uint64(0x6175676D)  # the counter word of these draws: "augm", no purpose of neurosim.draws


def with_augmentation(dataset: Dataset, augment: str | Sequence[str]) -> Dataset:
    """Return the data set with what is done to every training minibatch: "crop", "flip" or both ("crop,flip").

    Raises:
        DatasetError: no such augmentation, or samples that are no images, or too small ones.
    """
    given = augment.split(",") if isinstance(augment, str) else list(augment)
    names = [str(name).strip() for name in given if str(name).strip()]
    allowed = get_args(Augment)
    for name in names:
        if name not in allowed:
            guess = nearest_guess(name, allowed)
            raise DatasetError(f"augment: '{name}' is not one of {', '.join(allowed)}{guess}")
    if not names:
        return dataset
    shape = image_map(dataset.image_shape)
    if shape is None:
        raise DatasetError(
            f"augment: a sample of dataset '{dataset.name}' is no image, which could be shifted or mirrored; leave "
            "augment away, or give x as [samples, rows, columns] or [samples, channels, rows, columns]"
        )
    check_channels_first("augment", shape)
    if "crop" in names and min(shape[1:]) <= CROP_PIXELS:
        raise DatasetError(
            f"augment: images of {shape[1]} x {shape[2]} pixels are too small to be cropped by up to {CROP_PIXELS}; "
            "leave crop away"
        )
    return replace(dataset, augment=tuple(name for name in allowed if name in names))


def augment_batch(batch: FloatArray, samples: NDArray[np.int64], dataset: Dataset, *, seed: int, epoch: int) -> None:
    """Shift and mirror the images of a minibatch [samples, inputs] in place.

    crop pads an image with CROP_PIXELS zeros on each side and cuts a window of its own size out at random; flip
    mirrors half of the images left to right (K. He et al., Deep Residual Learning, CVPR 2016, section 4.2). What
    befalls an image is a function of seed, epoch and its number in ``samples``, and not of the order of the samples.
    """
    shape = image_map(dataset.image_shape)
    if shape is None or not dataset.augment:
        return
    down, right, mirrored = _draw(samples, seed, epoch)
    if "crop" not in dataset.augment:
        down, right = np.zeros_like(down), np.zeros_like(right)
    if "flip" not in dataset.augment:
        mirrored = np.zeros_like(mirrored)
    images = batch.reshape(len(batch), *shape)
    originals = images.copy()
    _, rows, columns = shape
    images[...] = 0.0
    moves = zip(images, originals, down.tolist(), right.tolist(), mirrored.tolist(), strict=True)
    for image, original, rows_down, columns_right, mirror in moves:
        to_rows, from_rows = _shifted(rows, rows_down)
        to_columns, from_columns = _shifted(columns, columns_right)
        target = image[:, :, ::-1] if mirror else image
        target[:, to_rows, to_columns] = original[:, from_rows, from_columns]


def _draw(
    samples: NDArray[np.int64], seed: int, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return per sample how many rows it moves down and columns right, and whether it is mirrored."""
    number = samples.astype(np.uint64)
    counter = (number, np.full_like(number, epoch), np.full_like(number, _PLACE), np.zeros_like(number))
    words = philox(counter, key_of(seed))
    ways = np.uint64(2 * CROP_PIXELS + 1)
    down, right = (((word * ways) >> np.uint64(32)).astype(np.int64) - CROP_PIXELS for word in words[:2])
    return down, right, (words[2] & np.uint64(1)).astype(np.bool_)


def _shifted(size: int, shift: int) -> tuple[slice, slice]:
    """Return where the part of an axis that stays inside goes, and where it comes from."""
    return slice(max(shift, 0), size + min(shift, 0)), slice(max(-shift, 0), size + min(-shift, 0))
