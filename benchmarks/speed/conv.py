"""Time training steps of convolutional networks against PyTorch on the CPU: batch 64, float32, one thread each.

    python -m venv rival && rival/bin/pip install -e . torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
    OPENBLAS_NUM_THREADS=1 rival/bin/python benchmarks/speed/conv.py [--networks cifar10-cnn-small] [--repeats 9]

Both sides train by back-propagation: tanh, softmax cross-entropy averaged over the batch, plain SGD. Both start from
the same weights and see the same inputs, and they take turns of five steps in one run. PyTorch is timed in both of its
memory formats, NCHW (contiguous) and channels_last, and the faster one counts. Before any time is printed, the loss of
a step and the weights after it must agree. Last, each side trains in a process of its own, and the peak of its memory
above what it had after its imports is compared: weights, gradients, activations, buffers, and kernels that are loaded.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurosim.networks import Conv, Dense, Flatten, LayerShape, Network, load_network
from neurosim.numerics import Memories, single_blas_thread
from neurosim.recipes import Recipe
from neurosim.rules import RULES

Array = NDArray[Any]
BATCH = 64
RATE = 0.05
STEPS_A_TURN = 5
BARS = {"cifar10-cnn-small": 1.5, "cifar10-cnn": 2.0}
BAR_MEMORY = 2.0
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Ours:
    """Training steps of neurosim."""

    def __init__(self, network: Network, x: Array, y: Array) -> None:
        recipe = Recipe(batch_size=BATCH, optimizer="sgd", lr=RATE)
        self.memories = Memories(network, RULES["bp"], recipe)
        self.x, self.y = x, y

    def step(self) -> float:
        """Train a step and return its loss."""
        self.memories.run_step(self.x, self.y)
        return self.memories.batch_score().loss

    def weights(self) -> list[Array]:
        """Return weights and biases, layer by layer."""
        pairs = zip(self.memories.weights, self.memories.biases, strict=True)
        return [values for pair in pairs for values in pair]


def pool_of(shape: LayerShape) -> nn.Module:
    """Return a max pool: padding at the end only is what PyTorch calls ceil_mode."""
    pool = shape.pool
    assert pool is not None
    assert pool.kind == "max_pool"
    assert pool.rows.before == pool.columns.before == 0
    kernel, stride = (pool.rows.kernel, pool.columns.kernel), (pool.rows.stride, pool.columns.stride)
    return nn.MaxPool2d(kernel, stride, ceil_mode=pool.rows.after > 0)


class Theirs:
    """The same steps in PyTorch."""

    def __init__(self, network: Network, x: Array, y: Array, weights: list[Array], memory_format: str) -> None:
        images = network.map(0)
        chosen = FORMATS[memory_format]
        self.x = torch.from_numpy(x.reshape(-1, images.channels, images.rows, images.columns).copy())
        self.x = self.x.contiguous(memory_format=chosen)
        self.y = torch.from_numpy(y)
        self.model = self._model(network).to(memory_format=chosen)
        with torch.no_grad():
            for parameter, values in zip(self.model.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(values))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)
        self.loss = nn.CrossEntropyLoss()

    @staticmethod
    def _model(network: Network) -> nn.Sequential:
        modules: list[nn.Module] = []
        shapes = iter(network.shapes)
        for number, layer in enumerate(network.layers, start=1):
            if isinstance(layer, Conv | Dense):
                shape = next(shapes)
            if isinstance(layer, Conv):
                kernel, stride = (shape.rows.kernel, shape.columns.kernel), (shape.rows.stride, shape.columns.stride)
                padding = shape.rows.before, shape.columns.before
                assert padding == (shape.rows.after, shape.columns.after)
                modules += [nn.Conv2d(shape.inputs.channels, shape.channels, kernel, stride, padding), nn.Tanh()]
            elif isinstance(layer, Dense):
                modules += [nn.Linear(shape.inputs.units, layer.units), nn.Tanh()][: 1 + (number < len(network.layers))]
            else:
                modules.append(nn.Flatten() if isinstance(layer, Flatten) else pool_of(shape))
        return nn.Sequential(*modules)

    def step(self) -> float:
        """Train a step and return its loss."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def weights(self) -> list[Array]:
        """Return weights and biases, layer by layer."""
        return [parameter.detach().numpy() for parameter in self.model.parameters()]


def minibatch(network: Network) -> tuple[Array, Array]:
    """Return random images [64, n_0] float32 and their labels."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((BATCH, network.widths[0])).astype(np.float32)
    return x, generator.integers(0, network.widths[-1], BATCH)


def sides(network: Network) -> dict[str, Ours | Theirs]:
    """Return both programs with the same weights and inputs, PyTorch in both memory formats."""
    x, y = minibatch(network)
    ours = Ours(network, x, y)
    start = [values.copy() for values in ours.weights()]
    return {"neurosim": ours} | {f"torch {name}": Theirs(network, x, y, start, name) for name in FORMATS}


def compare(steps: dict[str, Ours | Theirs]) -> None:
    """Train one step on each side and assert that loss and weights agree."""
    losses = {name: side.step() for name, side in steps.items()}
    mine = steps["neurosim"].weights()
    for name, side in steps.items():
        assert abs(losses[name] - losses["neurosim"]) < 1e-4, f"{name}: another loss, {losses}"
        for a, b in zip(mine, side.weights(), strict=True):
            difference = float(np.abs(a - b).max() / np.abs(a).max())
            assert difference < 1e-4, f"{name}: weights {list(a.shape)} differ by {difference:.1e} of the largest"


def seconds(side: Ours | Theirs) -> float:
    """Return the seconds of a step in a turn of some."""
    start = time.perf_counter()
    for _ in range(STEPS_A_TURN):
        side.step()
    return (time.perf_counter() - start) / STEPS_A_TURN


def peak_mib(side: str, name: str) -> float:
    """Return the peak memory of a side above its imports, in MiB, trained in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--memory-of", side, "--networks", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_mib(entry: str) -> float:
    """Return the present (VmRSS) or peak (VmHWM) memory of this process, in MiB."""
    return int(Path("/proc/self/status").read_text().split(f"{entry}:")[1].split()[0]) / 1024


def measure_memory(side: str, network: Network) -> float:
    """Train some steps in this process and return what its memory peaked at above the imports, in MiB."""
    imports = memory_mib("VmRSS")
    x, y = minibatch(network)
    if side == "neurosim":
        trained: Ours | Theirs = Ours(network, x, y)
    else:
        weights = [np.zeros(values, np.float32) for s in network.shapes for values in (s.weight_shape, (s.channels,))]
        trained = Theirs(network, x, y, weights, side.removeprefix("torch "))
    for _ in range(3):
        trained.step()
    return memory_mib("VmHWM") - imports


def run(name: str, repeats: int) -> bool:
    """Time a network and print medians, ratios and memory; return whether the bars are kept."""
    network = load_network(name)
    programs = sides(network)
    compare(programs)
    times: dict[str, list[float]] = {side: [] for side in programs}
    for turn in range(repeats + 1):
        for side, program in programs.items():
            taken = seconds(program)
            if turn > 0:  # the first, in which kernels are loaded, is kept out of the median
                times[side].append(taken)
    medians = {side: statistics.median(measured) for side, measured in times.items()}
    memory = {side: peak_mib(side, name) for side in programs}
    for side in programs:
        print(f"{name:18s} {side:20s} {1e3 * medians[side]:7.1f} ms a step, peak {memory[side]:5.0f} MiB above imports")
    rival = min((side for side in programs if side != "neurosim"), key=medians.__getitem__)
    ratio = medians["neurosim"] / medians[rival]
    memory_ratio = memory["neurosim"] / memory[rival]
    print(f"{name:18s} neurosim / {rival}: time {ratio:.2f} (bar {BARS[name]}), ", end="")
    print(f"memory {memory_ratio:.2f} (bar {BAR_MEMORY})")
    return ratio <= BARS[name] and memory_ratio <= BAR_MEMORY


def main() -> int:
    """Run the benchmark; exit code 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(BARS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with single_blas_thread():
        if options.memory_of:
            print(measure_memory(options.memory_of, load_network(options.networks)))
            return 0
        print(f"torch {torch.__version__}, batch {BATCH}, bp, plain SGD, float32, one thread each, in turn")
        kept = [run(name, options.repeats) for name in options.networks.split(",")]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
