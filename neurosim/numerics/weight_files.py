"""Weights in .npz files: W1, b1, ..., WL, bL."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import DescriptionError
from neurosim.networks.network import Network
from neurosim.runs import replacing

Array = NDArray[Any]


def check_shapes(network: Network, weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Raise DescriptionError unless W_l is [n_l, n_(l-1)] and b_l [n_l]; filters [K, C, kernel rows, columns], [K]."""
    if len(weights) != network.depth or len(biases) != network.depth:
        raise DescriptionError(
            f"weights: {len(weights)} matrices and {len(biases)} vectors of biases for a network of {network.depth} "
            "layers; give one of each for every layer"
        )
    for number in range(1, network.depth + 1):
        wanted = network.shape(number).weight_shape
        for name, values, shape in (
            (f"W{number}", weights[number - 1], wanted),
            (f"b{number}", biases[number - 1], wanted[:1]),
        ):
            if np.shape(values) != shape:
                raise DescriptionError(
                    f"weights of layer {number}: {name} has shape {list(np.shape(values))}, but the network "
                    f"{_shown(network)} needs {list(shape)}; load them into the network they are of"
                )


def _shown(network: Network) -> str:
    """Return a network's name, or its widths."""
    return network.name if network.convolves and network.name else "-".join(map(str, network.widths))


def save_weights(path: str | PathLike[str], weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Write the arrays whole or not at all, making the folder if need be; raises RunError where that cannot be."""
    arrays = {f"W{number}": values for number, values in enumerate(weights, start=1)}
    arrays |= {f"b{number}": values for number, values in enumerate(biases, start=1)}
    # Opened here: NumPy would add .npz to another name.
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_weights(path: str | PathLike[str], network: Network) -> tuple[list[Array], list[Array]]:
    """Return W_1..W_L and b_1..b_L; raises DescriptionError for a file absent, damaged or of another network."""
    place = os.fspath(path)
    try:
        # Opened here: NumPy leaves a damaged file open.
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as problem:
        raise DescriptionError(f"weights: there is no file '{place}'; give an .npz file that a run saved") from problem
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as problem:
        raise DescriptionError(f"weights: '{place}' is not a readable .npz file; save the weights again") from problem
    wanted = [f"{letter}{number}" for number in range(1, network.depth + 1) for letter in "Wb"]
    unmatched = sorted(set(wanted) ^ set(arrays))
    if unmatched:
        raise DescriptionError(
            f"weights: '{place}' holds {sorted(arrays)}, but a network of {network.depth} layers has {wanted}; load "
            "them into the network they are of"
        )
    weights, biases = [arrays[name] for name in wanted[0::2]], [arrays[name] for name in wanted[1::2]]
    check_shapes(network, weights, biases)
    return weights, biases
