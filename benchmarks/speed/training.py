"""Time training epochs of neurosim against a NumPy twin: MNIST, 784-800-10, DFA, batch 200, float32, one thread each.

    python benchmarks/speed/training.py [--optimizer sgd] [--chips mesh64,mesh1024] [--epochs 6] [--data-dir FOLDER]

neurosim runs the epochs of ``neurosim train`` with all costs on: it simulates an epoch on the chip before the first
one (timed apart) and books its cycles, joules and bit-hops after each. Both programs start from the same weights and
see the same minibatches; their epochs alternate in one run, and at the end their weights must agree before any time
is printed. The twin allocates nothing inside an epoch; the same matrix products alone are timed beside it, to show
that it is a fair rival. Evaluation is timed apart. Without the real files (``mnist/`` in --data-dir or NEUROSIM_DATA)
random images of the same shape are used: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.chips import load_chip
from neurosim.datasets import load_dataset
from neurosim.networks import dense
from neurosim.numerics import Memories, single_blas_thread
from neurosim.placement import place
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.training.loop import EpochCost, spent_after, train_epoch
from neurosim.training.train import epoch_cost

Array = NDArray[Any]
WIDTHS = (784, 800, 10)
BATCH = 200
LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3}
BAR_OVER_NUMPY = 1.25
BAR_OVER_PRODUCTS = 1.4


def load_images(folder: Path | None) -> tuple[Array, Array, str]:
    """Return 60 000 training images [N, 784] float32 in [0, 1], their labels, and what they are."""
    files = (
        []
        if folder is None
        else [folder / "mnist" / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    )
    if files and all(file.exists() for file in files):
        images, labels = (gzip.decompress(file.read_bytes()) for file in files)
        pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, WIDTHS[0])
        return (
            pixels.astype(np.float32) / np.float32(255),
            np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
            "MNIST",
        )
    generator = np.random.default_rng(0)
    values = generator.random((60_000, WIDTHS[0]), dtype=np.float32)
    values[values < 0.8] = 0
    return values, generator.integers(0, WIDTHS[-1], 60_000), "random images"


class Twin:
    """The same training in plain NumPy with every buffer allocated beforehand."""

    def __init__(self, weights: list[Array], biases: list[Array], feedback: Array, optimizer: str) -> None:
        self.parameters = [values.copy() for pair in zip(weights, biases, strict=True) for values in pair]
        self.w1, self.b1, self.w2, self.b2 = self.parameters
        self.feedback = feedback.copy()
        self.gradients = [np.empty_like(values) for values in self.parameters]
        self.scratch = [np.empty_like(values) for values in self.parameters]
        self.means = [np.zeros_like(values) for values in self.parameters]
        self.squares = [np.zeros_like(values) for values in self.parameters]
        self.x = np.empty((BATCH, WIDTHS[0]), np.float32)
        self.h, self.slope, self.delta1 = (np.empty((BATCH, WIDTHS[1]), np.float32) for _ in range(3))
        self.delta2 = np.empty((BATCH, WIDTHS[2]), np.float32)
        self.row = np.empty((BATCH, 1), np.float32)
        self.samples = np.arange(BATCH)
        self.optimizer, self.lr, self.steps = optimizer, np.float32(LEARNING_RATES[optimizer]), 0

    def epoch(self, images: Array, labels: Array, order: Array) -> None:
        """Train one epoch."""
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            np.take(images, chosen, axis=0, out=self.x, mode="clip")
            self.forward()
            self.backward(labels[chosen])
            self.update()

    def forward(self) -> None:
        """Leave tanh in h and softmax in delta2."""
        np.matmul(self.x, self.w1.T, out=self.h)
        self.h += self.b1
        np.tanh(self.h, out=self.h)
        np.matmul(self.h, self.w2.T, out=self.delta2)
        self.delta2 += self.b2
        np.max(self.delta2, axis=1, keepdims=True, out=self.row)
        self.delta2 -= self.row
        np.exp(self.delta2, out=self.delta2)
        np.sum(self.delta2, axis=1, keepdims=True, out=self.row)
        self.delta2 /= self.row

    def backward(self, labels: Array) -> None:
        """Leave the four gradients of direct feedback alignment."""
        self.delta2[self.samples, labels] -= 1
        self.delta2 *= np.float32(1 / BATCH)
        np.matmul(self.delta2, self.feedback.T, out=self.delta1)
        np.multiply(self.h, self.h, out=self.slope)
        np.subtract(np.float32(1), self.slope, out=self.slope)
        self.delta1 *= self.slope
        np.matmul(self.delta1.T, self.x, out=self.gradients[0])
        self.delta1.sum(axis=0, out=self.gradients[1])
        np.matmul(self.delta2.T, self.h, out=self.gradients[2])
        self.delta2.sum(axis=0, out=self.gradients[3])

    def update(self) -> None:
        """Take the optimizer's step."""
        self.steps += 1
        if self.optimizer == "sgd":
            for values, gradient in zip(self.parameters, self.gradients, strict=True):
                gradient *= self.lr
                values -= gradient
            return
        rate = np.float32(self.lr / (1 - 0.9**self.steps))
        correction = np.float32(1 / np.sqrt(1 - 0.999**self.steps))
        for group in zip(self.parameters, self.gradients, self.scratch, self.means, self.squares, strict=True):
            self._adam(*group, rate, correction)

    @staticmethod
    def _adam(*arrays_and_numbers: Any) -> None:
        """Update one array in place."""
        values, gradient, scratch, mean, square, rate, correction = arrays_and_numbers
        mean *= np.float32(0.9)
        np.multiply(gradient, np.float32(0.1), out=scratch)
        mean += scratch
        square *= np.float32(0.999)
        gradient *= gradient
        gradient *= np.float32(0.001)
        square += gradient
        np.sqrt(square, out=scratch)
        scratch *= correction
        scratch += np.float32(1e-8)
        np.divide(mean, scratch, out=scratch)
        scratch *= rate
        values -= scratch

    def products(self, steps: int) -> None:
        """Do nothing but the matrix products of some steps."""
        for _ in range(steps):
            np.matmul(self.x, self.w1.T, out=self.slope)
            np.matmul(self.h, self.w2.T, out=self.delta2)
            np.matmul(self.delta2, self.feedback.T, out=self.slope)
            np.matmul(self.delta1.T, self.x, out=self.scratch[0])
            np.matmul(self.delta2.T, self.h, out=self.scratch[2])


class Ours:
    """neurosim's training on a chip: what its epochs cost, and its memories."""

    def __init__(self, optimizer: str, chip: str, images: Array, labels: Array) -> None:
        self.recipe = Recipe(batch_size=BATCH, optimizer=optimizer, lr=LEARNING_RATES[optimizer])  # type: ignore[arg-type]
        self.network, self.rule = dense(WIDTHS), RULES["dfa"]
        self.placement = place(self.network, self.rule, load_chip(chip), self.recipe)
        self.data = load_dataset((images, labels, images[:10], labels[:10]), scale="none")
        self.memories = Memories(self.network, self.rule, self.recipe)
        self.spent: list[dict[str, float]] = []
        self.cost = EpochCost(0.0, 0.0, 0)

    def simulate(self) -> None:
        """Simulate an epoch on the chip."""
        self.cost = epoch_cost(self.network, self.rule, self.placement, self.recipe, self.data.train_samples)

    def epoch(self, epoch: int) -> None:
        """Train one epoch and book what it cost."""
        train_epoch(self.memories, self.data, epoch, np.random.default_rng(epoch))
        self.spent.append(spent_after(epoch + 1, self.cost))


@dataclass
class Times:
    """Seconds of each epoch; the first, in which kernels are compiled or loaded, is kept out of the median."""

    epochs: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        """Add the time of one epoch's work."""
        start = time.perf_counter()
        work()
        self.epochs.append(time.perf_counter() - start)

    @property
    def median(self) -> float:
        """The median of epochs 2 and later."""
        return statistics.median(self.epochs[1:])


def run(optimizer: str, chip: str, epochs: int, images: Array, labels: Array) -> dict[str, Times]:
    """Alternate epochs of both programs and the bare products; raise AssertionError unless the weights agree."""
    ours = Ours(optimizer, chip, images, labels)
    feedback = ours.memories.layers[0].feedback
    assert feedback is not None
    twin = Twin(ours.memories.weights, ours.memories.biases, feedback, optimizer)
    times = {name: Times() for name in ("simulation", "neurosim", "numpy", "products", "evaluation")}
    times["simulation"].measure(ours.simulate)
    times["simulation"].measure(ours.simulate)
    steps = len(images) // BATCH
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(images))
        times["neurosim"].measure(lambda epoch=epoch: ours.epoch(epoch))  # type: ignore[misc]
        times["numpy"].measure(lambda order=order: twin.epoch(images, labels, order))  # type: ignore[misc]
        times["products"].measure(lambda: twin.products(steps))
        times["evaluation"].measure(lambda: ours.memories.evaluate(images, labels))
    compare_weights(ours.memories, twin)
    assert [spent["joules"] > 0 for spent in ours.spent] == [True] * epochs, "an epoch was not costed"
    return times


def compare_weights(memories: Memories, twin: Twin) -> None:
    """Assert that both programs have learned the same, to float32 rounding carried through all steps."""
    for mine, theirs in zip(memories.weights, (twin.w1, twin.w2), strict=True):
        difference = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
        print(f"largest weight difference {difference:.1e} of the largest weight {list(mine.shape)}")
        assert difference < 2e-5, "the two programs have not learned the same weights"


def report(optimizer: str, chip: str, times: dict[str, Times]) -> bool:
    """Print seconds and ratios; return whether both bars are kept."""
    label = f"{optimizer} {chip}"
    for name, measured in times.items():
        print(f"{label:14s} {name:11s} {measured.median:.3f} s per epoch (first {measured.epochs[0]:.3f} s)")
    over_numpy = times["neurosim"].median / times["numpy"].median
    over_products = times["numpy"].median / times["products"].median
    print(f"{label:14s} neurosim / numpy   {over_numpy:.2f} (bar {BAR_OVER_NUMPY})")
    print(f"{label:14s} numpy / products   {over_products:.2f} (bar {BAR_OVER_PRODUCTS} with sgd)")
    return over_numpy <= BAR_OVER_NUMPY and (optimizer != "sgd" or over_products <= BAR_OVER_PRODUCTS)


def main() -> int:
    """Run the benchmark; exit code 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", choices=[*LEARNING_RATES, "both"], default="both")
    parser.add_argument("--chips", default="mesh64,mesh1024")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("NEUROSIM_DATA"))
    options = parser.parse_args()
    images, labels, what = load_images(None if options.data_dir is None else Path(options.data_dir))
    print(f"{what}: {len(images)} samples, {'-'.join(map(str, WIDTHS))}, batch {BATCH}, dfa, float32, one thread")
    chosen = list(LEARNING_RATES) if options.optimizer == "both" else [options.optimizer]
    with single_blas_thread():
        kept = [
            report(optimizer, chip, run(optimizer, chip, options.epochs, images, labels))
            for optimizer in chosen
            for chip in options.chips.split(",")
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
