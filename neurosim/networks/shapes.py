"""From a description's layers to the shapes of those that have weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neurosim.networks.conv import Conv, both
from neurosim.networks.dense import Dense
from neurosim.networks.geometry import Axis, LayerShape, Map, PoolShape, dense_shape, padded_axis
from neurosim.networks.pool import Flatten, Pool

Layer = Dense | Conv | Pool | Flatten


def layer_shapes(inputs: int | tuple[int, int, int], layers: Sequence[Layer]) -> tuple[LayerShape, ...]:
    """Return the shapes of layers 1..L, each with the pool that follows it.

    Raises:
        ValueError: a layer that cannot read what comes before it, by its number among all ``layers``.
    """
    shapes: list[LayerShape] = []
    current: int | Map = inputs if isinstance(inputs, int) else Map(*inputs)
    for number, layer in enumerate(layers, start=1):
        place = f"layers.{number}"
        if isinstance(layer, Dense):
            if not isinstance(current, int):
                raise ValueError(
                    f"{place}: a dense layer cannot read a map of {current}; put kind = 'flatten' before it"
                )
            shapes.append(dense_shape(current, layer.units))
            current = layer.units
            continue
        if isinstance(current, int):
            raise ValueError(
                f"{place}.kind: '{layer.kind}': needs a map of channels, rows and columns, and what comes before is "
                f"{current} values; write inputs = [channels, rows, columns], or take a dense layer"
            )
        if isinstance(layer, Flatten):
            current = current.units
        elif isinstance(layer, Conv):
            shapes.append(_conv_shape(current, layer, place))
            current = shapes[-1].outputs
        else:
            if number == 1 or not isinstance(layers[number - 2], Conv):
                raise ValueError(
                    f"{place}.kind: '{layer.kind}': pools what a convolution makes; put it right after one"
                )
            shapes[-1] = replace(shapes[-1], pool=_pool_shape(current, layer, place))
            current = shapes[-1].outputs
    if not layers or not isinstance(layers[-1], Dense):
        raise ValueError(
            f"layers.{len(layers)}: the last layer must be dense, as its outputs are compared with targets"
        )
    return tuple(shapes)


def _conv_shape(inputs: Map, layer: Conv, place: str) -> LayerShape:
    axes = [
        padded_axis(*numbers)
        for numbers in zip(
            (inputs.rows, inputs.columns), both(layer.kernel), both(layer.stride), layer.borders, strict=True
        )
    ]
    _check_fits(inputs, axes, place)
    return LayerShape(inputs, axes[0], axes[1], layer.channels, convolves=True)


def _pool_shape(inputs: Map, layer: Pool, place: str) -> PoolShape:
    stride = layer.kernel if layer.stride is None else layer.stride
    axes = [
        padded_axis(size, kernel, step, layer.padding)
        for size, kernel, step in zip((inputs.rows, inputs.columns), both(layer.kernel), both(stride), strict=True)
    ]
    _check_fits(inputs, axes, place)
    return PoolShape(layer.kind, axes[0], axes[1])


def _check_fits(inputs: Map, axes: Sequence[Axis], place: str) -> None:
    for name, axis in zip(("rows", "columns"), axes, strict=True):
        if axis.outputs < 1:
            raise ValueError(
                f"{place}.kernel: {axis.kernel}: is more than the {axis.size} {name} of a map of {inputs}; take a "
                "smaller kernel or more padding"
            )
