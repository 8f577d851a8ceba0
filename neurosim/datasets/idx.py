"""Reading gzipped idx files, the format of MNIST: a magic number, big-endian sizes, then bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets.images import show_shape
from neurosim.errors import DatasetError

Bytes = NDArray[np.uint8]

_UNSIGNED_BYTE = 8
_WAY_OUT = "; delete the file and get it again"


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Return the bytes of an idx file of ``dimensions`` axes, read-only.

    The format: two zero bytes, the type (8: unsigned byte), the number of axes, one big-endian 32-bit size per
    axis, then the values row by row (Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database, "file formats").

    Raises:
        DatasetError: the file cannot be read, is no gzip or idx file, or holds fewer or more bytes than it says.
    """
    data = _unzip(path)
    header_bytes = 4 + 4 * dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if data[:4] != magic:
        raise DatasetError(
            f"{path}: starts with 0x{data[:4].hex()}; an idx file of {dimensions} axes of bytes starts with "
            f"0x{magic.hex()}{_WAY_OUT}"
        )
    if len(data) < header_bytes:
        raise DatasetError(f"{path}: ends after {len(data)} bytes, within its header of {header_bytes}{_WAY_OUT}")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header_bytes, 4))
    promised = header_bytes + int(np.prod(shape, dtype=object))
    if len(data) != promised:
        raise DatasetError(f"{path}: holds {len(data)} bytes, but its header promises {promised}{_WAY_OUT}")
    return np.frombuffer(data, np.uint8, offset=header_bytes).reshape(shape)


def read_images(path: Path, image_shape: tuple[int, ...]) -> Bytes:
    """Return the images of an idx file, [samples, rows, columns]; raise DatasetError unless they have that shape."""
    images = read_idx(path, 3)
    if images.shape[1:] != image_shape:
        found, allowed = show_shape(images.shape[1:]), show_shape(image_shape)
        raise DatasetError(f"{path}: images of {found} pixels, where {allowed} are expected{_WAY_OUT}")
    return images


def read_labels(path: Path, images: Bytes) -> Bytes:
    """Return the labels of an idx file, [samples]; raise DatasetError unless there is one for each image."""
    labels = read_idx(path, 1)
    if len(labels) != len(images):
        raise DatasetError(f"{path}: {len(labels)} labels for {len(images)} images; the files do not belong together")
    return labels


def _unzip(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            data = stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path}: not a whole gzip file ({error}){_WAY_OUT}") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise DatasetError(f"{path}: empty{_WAY_OUT}")
    return data
