"""Preparation: what is done to a data set before a network is trained on it, from its name to its parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from neurosim.arguments import checked_fraction
from neurosim.datasets.augmentation import with_augmentation
from neurosim.datasets.dataset import Dataset, Scale
from neurosim.datasets.loading import DataSource, load_dataset
from neurosim.datasets.splits import training_subset, validation_split
from neurosim.datasets.whitening import Whitening


@dataclass(frozen=True)
class Preparation:
    """How a data set is prepared: scaled, then whitened, cut down to a subset, split, and augmented in training.

    ``scale``, ``whiten`` and ``whiten_epsilon`` are those of ``load_dataset``. ``subset`` is how many of the training
    samples are used, stratified (None: all), ``validation`` the fraction of these that is set apart, and ``augment``
    what is done to the images of a training minibatch: "crop", "flip" or "crop,flip".
    """

    scale: str | None = None
    whiten: str | None = None
    whiten_epsilon: float | None = None
    subset: int | None = None
    validation: float = 0.0
    augment: str | Sequence[str] = ()


def prepare(
    source: DataSource, data_dir: str | os.PathLike[str] | None, preparation: Preparation, seed: int
) -> Dataset:
    """Load and prepare a data set; ``seed`` draws the subset and the validation samples.

    Raises:
        NeurosimError: what was asked for does not exist, fit or match.
    """
    validation = checked_fraction("validation", preparation.validation, below_1=True)
    data = load_dataset(
        source,
        data_dir,
        cast("Scale | None", preparation.scale),
        whiten=cast("Whitening | None", preparation.whiten),
        whiten_epsilon=preparation.whiten_epsilon,
    )
    if preparation.subset is not None:
        data = training_subset(data, preparation.subset, seed)
    if validation:
        data = validation_split(data, validation, seed)
    return with_augmentation(data, preparation.augment)
