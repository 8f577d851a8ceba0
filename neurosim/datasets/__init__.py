"""Data sets: digits (in the package), mnist and fashion-mnist (files), and arrays of the user's own."""

from neurosim.datasets.catalogue import DATASETS, DataFile, DatasetInfo
from neurosim.datasets.dataset import Dataset, Scale, Targets, check_fits
from neurosim.datasets.files import fetch, locate
from neurosim.datasets.loading import DataSource, load_dataset
from neurosim.datasets.splits import validation_split

__all__ = [
    "DATASETS",
    "DataFile",
    "DataSource",
    "Dataset",
    "DatasetInfo",
    "Scale",
    "Targets",
    "check_fits",
    "fetch",
    "load_dataset",
    "locate",
    "validation_split",
]
