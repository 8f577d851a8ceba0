"""Dataset: samples and targets as arrays, checked and scaled once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets.images import image_map, show_shape
from neurosim.errors import DatasetError

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.int64]
Targets = Literal["labels", "dense"]
Scale = Literal["unit", "standard", "none"]


class HasWidths(Protocol):
    """What is asked of a network here: its name, what it reads, and n_0 .. n_L."""

    @property
    def name(self) -> str:
        """The network's name."""

    @property
    def inputs(self) -> int | tuple[int, int, int]:
        """Values that the network reads, or the [channels, rows, columns] of a map."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Values of the input and neurons of each layer."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples, and validation samples once ``validation_split`` has set them apart.

    ``*_x`` are float32, C-contiguous, [samples, inputs]. ``*_y`` are int64 labels 0 .. outputs - 1, [samples], when
    ``targets`` is "labels", else float32 [samples, outputs]. ``image_shape`` is [rows, columns] or [channels, rows,
    columns] (or more axes) of a sample that is an image. ``note`` says what the reader should know, such as a test
    part that was split off. ``subset_of`` is how many training samples there were before some were drawn, and
    ``augment`` what the training loop does to the images of a minibatch.
    """

    name: str
    train_x: FloatArray
    train_y: LabelArray | FloatArray
    test_x: FloatArray
    test_y: LabelArray | FloatArray
    outputs: int
    targets: Targets = "labels"
    image_shape: tuple[int, ...] | None = None
    scale: Scale = "none"
    note: str = ""
    validation_x: FloatArray | None = None
    validation_y: LabelArray | FloatArray | None = None
    whiten: str = "none"
    whiten_epsilon: float | None = None
    subset_of: int | None = None
    augment: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """Values per sample, n_0."""
        return int(self.train_x.shape[1])

    @property
    def train_samples(self) -> int:
        """Training samples."""
        return len(self.train_x)

    @property
    def test_samples(self) -> int:
        """Test samples."""
        return len(self.test_x)

    @property
    def validation_samples(self) -> int:
        """Validation samples: 0 before ``validation_split``."""
        return 0 if self.validation_x is None else len(self.validation_x)

    @property
    def for_tuning(self) -> Dataset:
        """The same training samples with the validation samples in the place of the test samples.

        What is tuned on it never sees a test sample. Raises DatasetError before ``validation_split``.
        """
        if self.validation_x is None or self.validation_y is None:
            raise DatasetError(f"dataset '{self.name}': no validation samples to tune on; set some apart first")
        return replace(self, test_x=self.validation_x, test_y=self.validation_y, validation_x=None, validation_y=None)

    def describe(self) -> dict[str, Any]:
        """Return what a run folder keeps of the data: name, sizes, preparation, and the SHA-256 of all arrays."""
        described: dict[str, Any] = {
            "name": self.name,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "targets": self.targets,
            "scale": self.scale,
            "train_samples": self.train_samples,
            "validation_samples": self.validation_samples,
            "test_samples": self.test_samples,
            "sha256": self._digest(),
        }
        if self.image_shape is not None:
            described["image_shape"] = list(self.image_shape)
        if self.whiten != "none":
            described |= {"whiten": self.whiten, "whiten_epsilon": self.whiten_epsilon}
        if self.subset_of is not None:
            described["subset_of"] = self.subset_of
        if self.augment:
            described["augment"] = list(self.augment)
        if self.note:
            described["note"] = self.note
        return described

    def _digest(self) -> str:
        digest = hashlib.sha256()
        arrays = (self.train_x, self.train_y, self.validation_x, self.validation_y, self.test_x, self.test_y)
        for array in arrays:
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def check_fits(dataset: Dataset, network: HasWidths) -> None:
    """Raise DatasetError unless the network takes the data set's inputs and has one output per class or target.

    A network that reads a map takes images of that map; [rows, columns] are one channel. Samples that are no images
    need only have as many values.
    """
    inputs, *hidden, outputs = network.widths
    if isinstance(network.inputs, int):
        way_out = _fitting_widths(dataset, hidden)
    else:
        _check_map(dataset, network.name, network.inputs)
        way_out = f"give a last layer of units = {dataset.outputs}"
    if inputs != dataset.inputs:
        raise DatasetError(
            f"network '{network.name}': takes {inputs} inputs, but a sample of dataset '{dataset.name}' has "
            f"{dataset.inputs}; {way_out}"
        )
    if outputs != dataset.outputs:
        kind = "classes" if dataset.targets == "labels" else "target values"
        raise DatasetError(
            f"network '{network.name}': has {outputs} outputs, but dataset '{dataset.name}' has {dataset.outputs} "
            f"{kind}; {way_out}"
        )


def _fitting_widths(dataset: Dataset, hidden: list[int]) -> str:
    """Return the way out where layers are given by their widths."""
    fitting = "-".join(str(width) for width in (dataset.inputs, *hidden, dataset.outputs))
    if not hidden:
        return f"give --network {fitting}"
    widths = ",".join(str(width) for width in hidden)
    return f"give --hidden {widths}, which takes both ends from the data set, or --network {fitting}"


def _check_map(dataset: Dataset, name: str, wanted: tuple[int, int, int]) -> None:
    """Raise DatasetError unless a sample is, or can be read as, a map of [channels, rows, columns]."""
    reads = f"network '{name}': reads a map of {show_shape(wanted)} (channels, rows, columns)"
    found = image_map(dataset.image_shape)
    if found is None or dataset.image_shape is None:
        if dataset.inputs != prod(wanted):
            raise DatasetError(
                f"{reads}, {prod(wanted)} values, but a sample of dataset '{dataset.name}' has {dataset.inputs}; give "
                "a network with other inputs"
            )
    elif found != wanted:
        way_out = f"give a network with inputs = {list(found)}"
        if (found[2], *found[:2]) == wanted:
            way_out = "its channels come last: give x.transpose(0, 3, 1, 2)"
        raise DatasetError(
            f"{reads}, but a sample of dataset '{dataset.name}' is an image of {show_shape(dataset.image_shape)}; "
            f"{way_out}"
        )
