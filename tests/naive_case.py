"""What the slow twins are asked about: a network, a rule, a chip and who owns what, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from naive_maps import LayerMap, Part, cut

from neurosim.chips import Chip
from neurosim.networks.geometry import LayerShape, dense_shape
from neurosim.networks.shapes import Layer, layer_shapes
from neurosim.rules import Rule

__all__ = ["OPERATIONS", "STATE_WORDS", "Case", "blocks", "cut", "index_bits"]

T = TypeVar("T")

STATE_WORDS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}
OPERATIONS = {"sgd": 2, "momentum": 4, "rmsprop": 9, "adam": 14}


def blocks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut ``values`` into consecutive groups of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training step of one rule on one chip.

    ``cores[l-1]`` are the core numbers of layer l in slice order, in ``tiles[l-1]`` tiles of rows (empty: one each);
    ``sparse[l]`` is [n_l, s], the source values that feed each unit that hidden layer l hands on; empty ``trainable``
    and ``dropout`` mean all trained, none dropped. ``layers``, with the map ``image`` [channels, rows, columns] that
    the first reads, describe a network with convolutions, whose ``widths`` follow from it; else all are dense.
    """

    widths: Sequence[int] = ()
    rule: Rule
    chip: Chip
    cores: Sequence[Sequence[int]]
    batch: int
    microbatch: int
    optimizer: str = "sgd"
    delivery: str = "multicast"
    overlap: str = "none"
    window: int = 2
    loss: str = "softmax"
    targets: str = "labels"
    trainable: Sequence[bool] = ()
    dropout: Sequence[float] = ()
    weight_decay: bool = False
    clip_value: bool = False
    phases: str = "all"
    sparse: Mapping[int, Sequence[Sequence[int]]] = field(default_factory=dict)
    image: tuple[int, int, int] = (1, 1, 1)
    layers: Sequence[Layer] = ()
    tiles: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.layers:
            channels, image_rows, columns = self.image
            handed = [each.handed for each in self.maps]
            widths = [channels * image_rows * columns, *(grid.channels * grid.rows * grid.columns for grid in handed)]
            object.__setattr__(self, "widths", tuple(widths))
        rows, _ = self.chip.core.lanes
        limited = not self.chip.behind_channel and not self.chip.core.systolic
        if limited and self.microbatch > rows * self.chip.core.accumulators_per_lane:
            raise ValueError(f"microbatch {self.microbatch} is more than the lanes' accumulators hold")
        if self.rule.matrix == "sign" and self.rule.feedback.magnitude in ("xavier", "one") and self.generated:
            raise ValueError("one constant per layer has nothing to generate")
        if self.rule.error == "target" and self.rule.sparse and self.targets == "labels":
            raise ValueError("a one-hot target selects a column: sparse columns are not described")

    @cached_property
    def shapes(self) -> Sequence[LayerShape]:
        """The shapes of layers 1..L."""
        if self.layers:
            return layer_shapes(self.image, self.layers)
        return [dense_shape(before, units) for before, units in zip(self.widths, self.widths[1:], strict=False)]

    @cached_property
    def maps(self) -> list[LayerMap]:
        """The geometry of layers 1..L on their cores."""
        tiles = self.tiles or [1] * len(self.shapes)
        return [LayerMap(*each) for each in zip(self.shapes, self.cores, tiles, strict=True)]

    @property
    def convolves(self) -> bool:
        """Whether some layer is a convolution."""
        return any(shape.convolves for shape in self.shapes)

    @property
    def depth(self) -> int:
        """L, the number of layers with weights."""
        return len(self.cores)

    @property
    def state_words(self) -> int:
        """Optimizer state words per weight, s of the contract."""
        return STATE_WORDS[self.optimizer]

    @property
    def generated(self) -> bool:
        """Whether B or magnitudes are drawn again instead of stored (redrawn magnitudes always are)."""
        return self.rule.feedback.storage == "generated" or self.rule.feedback.magnitude == "every_step"

    @property
    def one_hot_target(self) -> bool:
        """Whether the hidden errors come from a class number: drtp's selected column."""
        return self.rule.error == "target" and self.targets == "labels"

    @property
    def label_bits(self) -> int:
        """Bits of one sample's target as it enters the chip: a class number, or n_L values."""
        outputs = self.widths[-1]
        return outputs * self.chip.widths.activation_bits if self.targets == "dense" else max(1, index_bits(outputs))

    def samples(self) -> list[range]:
        """Return the samples of each microbatch of the step."""
        starts = range(0, self.batch, self.microbatch)
        return [range(start, min(start + self.microbatch, self.batch)) for start in starts]

    def map(self, layer: int) -> LayerMap:
        """Return the geometry of a layer."""
        return self.maps[layer - 1]

    def parts(self, layer: int) -> list[Part]:
        """Return what each core holds of a layer, in slice order."""
        return self.maps[layer - 1].parts

    def part_on(self, layer: int, core: int) -> Part | None:
        """Return what a core holds of a layer, if anything."""
        return next((part for part in self.parts(layer) if part.core == core), None)

    def slices(self, layer: int) -> dict[int, Sequence[int]]:
        """Return the units of a layer that each of its cores hands on, by core number, in slice order."""
        return {part.core: part.units for part in self.parts(layer)}

    def tiled(self, layer: int) -> bool:
        """Whether the weights of a layer have copies."""
        return self.parts(layer)[-1].tile > 0

    def tile_parts(self, layer: int) -> list[list[Part]]:
        """Return the slices of a layer by tile."""
        tiles: dict[int, list[Part]] = {}
        for part in self.parts(layer):
            tiles.setdefault(part.tile, []).append(part)
        return list(tiles.values())

    def forward_end(self, layer: int) -> str:
        """Return which task makes what the layer hands on."""
        return "pool" if self.map(layer).pooled else "forward"

    def error_end(self, layer: int) -> str:
        """Return which task makes the layer's error."""
        return "unpool" if self.map(layer).pooled else "error"

    def remembers_largest(self, layer: int) -> bool:
        """Whether the layer's pool keeps where the largest units were, for the error's way back."""
        return self.map(layer).max_pooled and self.phases == "all" and self.has_error(layer)

    @property
    def argmax_bits(self) -> int:
        """Bits of the place of the largest unit in a window, the same for all max pools of the network."""
        most = 0
        for each in self.maps:
            if each.max_pooled and each.shape.pool is not None:
                most = max(most, index_bits(each.shape.pool.rows.kernel * each.shape.pool.columns.kernel))
        return most

    def trained(self, layer: int) -> bool:
        """Whether the layer has an update."""
        if self.rule.error == "none" and layer < self.depth:
            return False
        return not self.trainable or bool(self.trainable[layer - 1])

    def has_error(self, layer: int) -> bool:
        """Whether the layer's error is computed: it is trained, or a computed error has it as its source."""
        if layer == self.depth:
            return any(self.trained(each) for each in range(1, self.depth + 1))
        if self.rule.error == "none":
            return False
        if self.rule.error == "next" and layer > 1 and self.has_error(layer - 1):
            return True
        return self.trained(layer)

    def drops(self, layer: int) -> bool:
        """Whether the layer drops neurons; inference (forward only) never does."""
        return self.phases == "all" and bool(self.dropout) and self.dropout[layer - 1] > 0

    def source_layer(self, layer: int) -> int:
        """Return the layer whose width is that of the source of hidden layer ``layer``'s error."""
        return layer + 1 if self.rule.error == "next" else self.depth

    def terms(self, layer: int, neuron: int) -> list[int]:
        """Return the source values that a hidden neuron's error is made of."""
        if self.rule.sparse:
            return [int(index) for index in self.sparse[layer][neuron]]
        return list(range(self.widths[self.source_layer(layer)]))

    def error_values(self, layer: int, part: Part) -> set[int]:
        """Return the values of its source's error that a slice of a hidden layer needs for its own errors."""
        if self.rule.error == "next":
            return set(self.map(layer + 1).errors_for(part))
        return {term for unit in part.units for term in self.terms(layer, unit)}

    def magnitudes(self) -> bool:
        """Whether there is a random number for each connection of hidden errors: B, or drawn magnitudes."""
        if self.rule.matrix == "sign":
            return self.rule.feedback.magnitude in ("every_step", "once")
        return self.rule.matrix == "random"


def index_bits(outputs: int) -> int:
    """Return ceil(log2 outputs); 0 for one output, which needs no index."""
    bits = 0
    while 2**bits < outputs:
        bits += 1
    return bits
