"""Geometry: windows over maps, against lists of every tap."""

import itertools

import pytest

from neurosim.errors import DescriptionError
from neurosim.networks import NETWORKS, Axis, load_network
from neurosim.networks.geometry import padded_axis

AXES = [
    axis
    for size, kernel, stride in itertools.product((1, 2, 5, 6), (1, 2, 3), (1, 2, 3))
    for before, after in itertools.product(range(kernel), repeat=2)
    if (axis := Axis(size, kernel, stride, before, after)).outputs >= 1
]


def taps(axis):
    """List (output, input) of every tap."""
    return [(y, y * axis.stride - axis.before + v) for y in range(axis.outputs) for v in range(axis.kernel)]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_ranges_and_counts_are_those_of_all_taps(axis):
    assert [list(axis.taps_of(y)) for y in range(axis.outputs)] == [
        [i for output, i in taps(axis) if output == y] for y in range(axis.outputs)
    ]
    for lo, hi in itertools.combinations(range(axis.size + 1), 2):
        inside = [(y, i) for y, i in taps(axis) if lo <= i < hi]
        nearest = [min(max(i, 0), axis.size - 1) for _, i in taps(axis)]
        assert axis.taps_inside((0, axis.outputs), (lo, hi)) == len(inside)
        assert axis.taps_at(lo, hi) == sum(lo <= i < hi for i in nearest)
        windows = [y for y in range(axis.outputs) if axis.taps_of(y).start < hi and axis.taps_of(y).stop > lo]
        assert axis.readers(lo, hi) == ((windows[0], windows[-1] + 1) if windows else (0, 0))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "outputs", "before", "after"),
    [(32, 5, 1, 32, 2, 2), (32, 3, 2, 16, 0, 1), (5, 3, 2, 3, 1, 1), (4, 2, 2, 2, 0, 0), (3, 1, 2, 2, 0, 0)],
)
def test_same_padding_puts_the_odd_one_behind(size, kernel, stride, outputs, before, after):
    axis = padded_axis(size, kernel, stride, "same")
    assert (axis.outputs, axis.before, axis.after) == (outputs, before, after)


@pytest.mark.parametrize(
    ("name", "weights", "macs"),
    [
        ("cifar10-cnn", 13_736_992, 151_048_192),
        ("cifar10-cnn-valid", 10_066_976, 125_566_976),
        ("lenet", 61_470, 416_520),
    ],
)
def test_the_shipped_networks_have_the_weights_and_macs_of_their_sources(name, weights, macs):
    assert name in NETWORKS
    shapes = load_network(name).shapes
    assert (sum(shape.weights for shape in shapes), sum(shape.macs for shape in shapes)) == (weights, macs)


HEAD = 'inputs = [3, 8, 8]\n[[layers]]\nkind = "conv"\nchannels = 3\nkernel = 3\n'
TAIL = '[[layers]]\nkind = "flatten"\n[[layers]]\nunits = 3\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "[[layers]]\nunits = 3\n", "layers.2: a dense layer cannot read a map of 3 x 8 x 8; put"),
        (HEAD, "layers.1: the last layer must be dense"),
        (HEAD + 'padding = "vald"\n' + TAIL, "layers.1.padding: 'vald': must be 'same' or 'valid' or"),
        (HEAD + "padding = [0, 3, 0, 0]\n" + TAIL, "layers.1.padding: 3: a window of 3 rows would lie outside"),
        (HEAD.replace("kernel = 3", "kernle = 3") + TAIL, "layers.1.kernle: unknown key; did you mean 'kernel'?"),
        (HEAD.replace('"conv"', '"convv"') + TAIL, "layers.1.kind: 'convv': must be one of 'dense', 'conv'"),
        (HEAD.replace("[3, 8, 8]", "[3, 8]") + TAIL, "n.inputs: [3, 8]: must be a number of values, or ["),
        (HEAD.replace("[3, 8, 8]", "192") + TAIL, "layers.1.kind: 'conv': needs a map of channels, rows and columns"),
        (HEAD.replace("kernel = 3", 'kernel = 9\npadding = "valid"') + TAIL, "layers.1.kernel: 9: is more than the 8"),
        (HEAD.replace('kind = "conv"\n', "") + TAIL, "n.layers.1.kind: is missing: a layer with channels or a kernel"),
        ('inputs = [3, 8, 8]\n[[layers]]\nkind = "max_pool"\nkernel = 2\n' + TAIL, "pools what a convolution makes"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_together_say_which_and_what_would(tmp_path, text, sentence):
    path = tmp_path / "n.toml"
    path.write_text(text)
    with pytest.raises(DescriptionError) as caught:
        load_network(path)
    assert sentence in str(caught.value)


def test_a_copy_with_other_layers_has_other_shapes():
    network = load_network("lenet")
    assert network.widths[-1] == 10
    wider = network.model_copy(
        update={"layers": (*network.layers[:-1], network.layers[-1].model_copy(update={"units": 7}))}
    )
    assert (wider.widths[-1], network.widths[-1]) == (7, 10)
