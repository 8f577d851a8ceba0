"""Data sets: digits (in the package), mnist, fashion-mnist and cifar10 (files), and arrays of the user's own."""

from neurosim.datasets.augmentation import augment_batch, with_augmentation
from neurosim.datasets.catalogue import DATASETS, DataFile, DatasetInfo
from neurosim.datasets.dataset import Dataset, Scale, Targets, check_fits
from neurosim.datasets.files import fetch, locate
from neurosim.datasets.loading import DataSource, load_dataset
from neurosim.datasets.preparation import Preparation, prepare
from neurosim.datasets.splits import training_subset, validation_split
from neurosim.datasets.whitening import Whitening

__all__ = [
    "DATASETS",
    "DataFile",
    "DataSource",
    "Dataset",
    "DatasetInfo",
    "Preparation",
    "Scale",
    "Targets",
    "Whitening",
    "augment_batch",
    "check_fits",
    "fetch",
    "load_dataset",
    "locate",
    "prepare",
    "training_subset",
    "validation_split",
    "with_augmentation",
]
