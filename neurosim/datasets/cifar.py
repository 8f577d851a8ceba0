"""Reading the binary version of CIFAR: records of a label and the planes of an image, without a header."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from neurosim.datasets.checks import check_labels
from neurosim.datasets.idx import Bytes
from neurosim.errors import DatasetError


def read_records(
    paths: Sequence[Path], samples: int, image_shape: tuple[int, ...], classes: int
) -> tuple[Bytes, Bytes]:
    """Return the images [samples, channels, rows, columns] and labels [samples] of files of equally many records.

    A record is one byte, the label, and then the red, the green and the blue plane of the image, each row by row
    (A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html, "binary version"). Nothing in a file says how many
    records it has, so ``samples`` does, over all files.

    Raises:
        DatasetError: a file cannot be read, is longer or shorter than its records, or has a label of no class.
    """
    pixels, each = prod(image_shape), samples // len(paths)
    records = np.empty((samples, 1 + pixels), np.uint8)
    for number, path in enumerate(paths):
        part = records[number * each : (number + 1) * each]
        _read_into(path, part)
        check_labels(str(path), part[:, 0], classes)
    return records[:, 1:].reshape(samples, *image_shape), records[:, 0]


def _read_into(path: Path, records: Bytes) -> None:
    """Fill an array with the bytes of a file that must hold exactly as many."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes == records.nbytes:
            with path.open("rb") as stream:
                size_bytes = stream.readinto(records.data)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if size_bytes != records.nbytes:
        count, length = records.shape
        raise DatasetError(
            f"{path}: holds {size_bytes} bytes, where {records.nbytes} are expected, {count} records of a label and "
            f"{length - 1} pixels; delete the file and get it again"
        )
