"""Setting samples apart: stratified, seeded, and the same on every computer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.arguments import checked_count
from neurosim.datasets.dataset import Dataset, LabelArray
from neurosim.errors import DatasetError


def validation_split(dataset: Dataset, fraction: float, seed: int = 0) -> Dataset:
    """Return the data set with ``fraction`` of its training samples set apart as validation samples.

    Labels: each class gives its share (largest remainders), and a class keeps at least one training sample. The
    order of the samples stays. The test samples are not touched.

    Raises:
        DatasetError: the fraction is not between 0 and 1, leaves one side empty, or the data set is split already.
    """
    if not 0.0 < fraction < 1.0:
        raise DatasetError(f"validation: {fraction} is not a fraction; give a number above 0 and below 1, such as 0.1")
    if dataset.validation_x is not None:
        raise DatasetError(f"dataset '{dataset.name}': its validation samples are set apart already")
    labels = dataset.train_y if dataset.targets == "labels" else None
    apart = draw_apart(dataset.train_samples, round(fraction * dataset.train_samples), seed=seed, labels=labels)
    if not apart.any() or apart.all():
        raise DatasetError(
            f"validation: a fraction of {fraction} of the {dataset.train_samples} training samples of dataset "
            f"'{dataset.name}' leaves {'no validation' if not apart.any() else 'no training'} samples; give another"
        )
    return replace(
        dataset,
        train_x=dataset.train_x[~apart],
        train_y=dataset.train_y[~apart],
        validation_x=dataset.train_x[apart],
        validation_y=dataset.train_y[apart],
    )


def training_subset(dataset: Dataset, samples: int, seed: int = 0) -> Dataset:
    """Return the data set with ``samples`` of its training samples, drawn by ``seed``, in the order they had.

    Labels: each class gives its share, to within one sample. The larger of two subsets of one seed holds the
    smaller one. Validation and test samples are not touched.

    Raises:
        DescriptionError: no whole number from 1 to the number of training samples.
    """
    there = dataset.train_samples
    samples = checked_count("subset", samples, most=there)
    groups = dataset.train_y if dataset.targets == "labels" else np.zeros(there, np.int64)
    # Other words than those of a validation split of the same seed.
    keys = np.asarray(np.random.PCG64([seed, 1]).random_raw(there))
    order = np.lexsort((keys, groups))
    _, sizes = np.unique(groups, return_counts=True)
    # How far into its class a sample stands: the first of all classes come before the second of any.
    share = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    drawn = np.sort(order[np.argsort(share, kind="stable")[:samples]])
    note = f"{samples} of the {there} training samples were drawn (stratified, seed {seed})"
    return replace(
        dataset,
        train_x=dataset.train_x[drawn],
        train_y=dataset.train_y[drawn],
        subset_of=there,
        note="; ".join(text for text in (dataset.note, note) if text),
    )


def draw_apart(
    samples: int, count: int, *, seed: int, labels: LabelArray | NDArray[Any] | None = None
) -> NDArray[np.bool_]:
    """Return a mask [samples] of the ``count`` samples to set apart, drawn by ``seed``.

    With ``labels`` [samples] each class gives its share; fewer than ``count`` are drawn only where a class would be
    left empty.
    """
    # Raw words of PCG64 rather than Generator.permutation, whose stream NumPy may change between versions.
    keys = np.asarray(np.random.PCG64(seed).random_raw(samples))
    groups = np.zeros(samples, np.int64) if labels is None else labels
    order = np.lexsort((keys, groups))
    _, sizes = np.unique(groups, return_counts=True)
    apart = np.zeros(samples, dtype=bool)
    start = 0
    for size, quota in zip(sizes, _quotas(sizes, count), strict=True):
        apart[order[start : start + quota]] = True
        start += size
    return apart


def _quotas(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    exact: NDArray[np.float64] = count * sizes / sizes.sum()
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(quotas - exact, kind="stable")
    able = by_remainder[quotas[by_remainder] + 1 < sizes[by_remainder]]
    quotas[able[: count - int(quotas.sum())]] += 1
    return quotas
