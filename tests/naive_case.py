"""What the slow twins are asked about: a network, a rule, a chip and who owns what, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neurosim.chips import Chip
from neurosim.rules import Rule

STATE_WORDS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}
OPERATIONS = {"sgd": 2, "momentum": 4, "rmsprop": 9, "adam": 14}


def cut(length: int, parts: int) -> list[range]:
    """Cut 0..length-1 into consecutive slices that differ by at most one, larger first."""
    slices, start = [], 0
    for part in range(parts):
        size = length // parts + (1 if part < length % parts else 0)
        slices.append(range(start, start + size))
        start += size
    return slices


def blocks(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Cut ``values`` into consecutive groups of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training step of one rule on one chip.

    ``cores[l-1]`` are the core numbers of layer l in slice order; ``sparse[l]`` is [n_l, s], the source values that
    feed each neuron of hidden layer l; empty ``trainable`` and ``dropout`` mean all trained, none dropped.
    """

    widths: Sequence[int]
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

    def __post_init__(self) -> None:
        rows, _ = self.chip.core.lanes
        if self.microbatch > rows * self.chip.core.accumulators_per_lane and not self.chip.behind_channel:
            raise ValueError(f"microbatch {self.microbatch} is more than the lanes' accumulators hold")
        if self.rule.matrix == "sign" and self.rule.feedback.magnitude in ("xavier", "one") and self.generated:
            raise ValueError("one constant per layer has nothing to generate")
        if self.rule.error == "target" and self.rule.sparse and self.targets == "labels":
            raise ValueError("a one-hot target selects a column: sparse columns are not described")

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.widths) - 1

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

    def slices(self, layer: int) -> dict[int, range]:
        """Return the neurons of a layer that each of its cores owns, by core number, in slice order."""
        owners = self.cores[layer - 1]
        return dict(zip(owners, cut(self.widths[layer], len(owners)), strict=True))

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
