"""ZCA whitening: inputs without correlations, as near to the original images as that allows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets.checks import blocks
from neurosim.datasets.dataset import FloatArray
from neurosim.errors import DatasetError

Whitening = Literal["none", "zca"]
DEFAULT_EPSILON = 0.1
MOST_INPUTS = 2**14


def whiten(train_x: FloatArray, test_x: FloatArray, epsilon: float = DEFAULT_EPSILON) -> None:
    """Whiten both arrays [samples, inputs] in place: x <- (x - mean) E (D + epsilon d)^(-1/2) E^T.

    E and D are eigenvectors and eigenvalues of the covariance of the training samples, d is the mean of D, the mean
    variance of an input. Rotating back by E^T keeps images recognisable (A. Krizhevsky, Learning Multiple Layers of
    Features from Tiny Images, 2009); 0.1, for images of about unit variance, is the number that the code of I.
    Goodfellow et al. (Maxout Networks, ICML 2013; pylearn2) adds to D. Adding a share of d makes the result the same
    whatever the unit of the inputs. Its last bits depend on the computer's linear algebra.

    Raises:
        DatasetError: more inputs than a covariance is computed for.
    """
    inputs = train_x.shape[1]
    if inputs > MOST_INPUTS:
        raise DatasetError(f"whiten: samples have {inputs} inputs; at most {MOST_INPUTS} can be whitened")
    mean, covariance = _covariance(train_x)
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may leave an eigenvalue of zero slightly below it.
    widened = np.maximum(values, 0.0) + epsilon * values.mean()
    factors = 1.0 / np.sqrt(widened) if values.mean() > 0.0 else np.ones(inputs)
    filters = ((vectors * factors) @ vectors.T).astype(np.float32)
    for x in (train_x, test_x):
        done = 0
        for block in blocks(x):
            x[done : done + len(block)] = (block - mean).astype(np.float32) @ filters
            done += len(block)


def _covariance(x: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean [inputs] and covariance [inputs, inputs], summed in float64 over blocks of samples."""
    inputs = x.shape[1]
    mean = sum((block.sum(axis=0) for block in blocks(x)), np.zeros(inputs)) / len(x)
    covariance = np.zeros((inputs, inputs))
    for block in blocks(x):
        block -= mean
        covariance += block.T @ block
    return np.asarray(mean), covariance / len(x)
