"""Convolutional networks learn task by task, on any cut in tiles and slices of channels, what they learn whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import conv_networks, make, minibatch, pooled_network
from test_numerics_tasks import ALL_RULES, assert_same_memories, cut

from neurosim.errors import SimulationError
from neurosim.placement.cuts import LayerCut

FEW_CONNECTIONS = [rule for rule in ALL_RULES if (rule.feedback.connections or 1) <= 2]


@st.composite
def cuts(draw, network):
    """Draw a cut of every layer, the microbatches of 5 samples and an order of cores."""
    layers = [
        LayerCut(
            shape,
            draw(st.integers(1, min(3, shape.channels))),
            draw(st.integers(1, min(4, shape.outputs.rows))) if shape.convolves else 1,
        )
        for shape in network.shapes
    ]
    return layers, [(lo, hi) for lo, hi in cut(draw, 5, 3) if lo < hi], draw(st.randoms(use_true_random=False))


def one_core_each(network):
    return [LayerCut(shape, 1) for shape in network.shapes], [(0, 5)], np.random.default_rng(0)


class Tasks:
    """Runs the tasks of a step, of each kind on all cores of its layer in any order."""

    def __init__(self, memories, layers, microbatches, random):
        self.memories, self.cuts, self.microbatches, self.random = memories, layers, microbatches, random

    def run(self, kind, layer, of_layer, q, owners=None):
        split = self.cuts[of_layer - 1]
        parts = [index for index in range(split.slices) if owners in (None, index < split.channel_slices)]
        self.random.shuffle(parts)
        for index in parts:
            channel, tile = index % split.channel_slices, index // split.channel_slices
            rows = {"rows": split.rows(tile), "map_rows": split.map_rows(tile)} if split.shape.convolves else {}
            lo, hi = (int(start) for start in split.channel_starts[channel : channel + 2])
            last = q == len(self.microbatches) - 1
            self.memories.run_task(kind, layer, lo, hi, *self.microbatches[q], q == 0, last, **rows)

    def back(self, layer, q):
        """Run the tasks that make delta_l."""
        rule, shape = self.memories.model.rule, self.cuts[layer - 1].shape
        if rule.partial_sums and layer < len(self.cuts):
            self.run("product", layer, layer + 1, q)
            self.run("combine", layer, layer, q)
        else:
            self.run("error", layer, layer, q)
        if shape.pool is not None:
            self.run("unpool", layer, layer, q)

    def step(self):
        for q in range(len(self.microbatches)):
            for layer, split in enumerate(self.cuts, start=1):
                self.run("forward", layer, layer, q)
                if split.shape.pool is not None:
                    self.run("pool", layer, layer, q)
            trained = [layer.number for layer in self.memories.layers if layer.trained]
            for layer in reversed(self.memories.layers):
                if layer.computes_error:
                    self.back(layer.number, q)
            for layer in trained:
                self.run("update", layer, layer, q, owners=False)
                self.run("update", layer, layer, q, owners=True)


def compare(network, rule, cores, **fields):
    whole, parts = (make(network, rule, optimizer="momentum", **fields) for _ in range(2))
    for seed in range(2):
        x, y = minibatch(network, seed=seed)
        whole.run_step(x, y)
        parts.begin_step(x, y)
        Tasks(parts, *cores).step()
    return parts, whole


@given(st.data())
@settings(max_examples=60)
def test_task_by_task_and_layer_wide_leave_the_same_memories(data):
    network = data.draw(conv_networks())
    rule = data.draw(st.sampled_from(FEW_CONNECTIONS))
    assert_same_memories(*compare(network, rule, data.draw(cuts(network))))


@pytest.mark.parametrize("rule", FEW_CONNECTIONS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
@given(st.data())
@settings(max_examples=5)
def test_so_they_do_where_windows_overlap(rule, pool, data):
    network = pooled_network(pool)
    assert_same_memories(*compare(network, rule, data.draw(cuts(network))))


@pytest.mark.parametrize("rule", FEW_CONNECTIONS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_one_core_a_layer_they_are_the_same_bit_for_bit(rule, dtype):
    network = pooled_network()
    parts, whole = compare(network, rule, one_core_each(network), dtype=dtype)
    for mine, theirs in zip(parts.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_optimizer_waits_for_the_tiles():
    network = pooled_network()
    memories = make(network, "dfa")
    memories.run_step(*minibatch(network))
    memories.begin_step(*minibatch(network))
    before = memories.weights[0].copy()
    with pytest.raises(SimulationError, match="layer 1: its gradient is of 20 rows of maps and not of all 50"):
        memories.run_task("update", 1, 0, 4, 0, 5, map_rows=(0, 4))
    memories.run_task("update", 1, 0, 4, 0, 5, map_rows=(4, 10))
    np.testing.assert_array_equal(memories.weights[0], before)
