"""What the axes of an image are: channels, rows and columns."""

from __future__ import annotations

from neurosim.errors import DatasetError

ImageShape = tuple[int, ...]
ImageMap = tuple[int, int, int]

_CHANNELS_OF_COLOUR = (3, 4)


def image_map(shape: ImageShape | None) -> ImageMap | None:
    """Return [channels, rows, columns] of an image of [rows, columns] or [channels, rows, columns]; None for others."""
    if shape is None or len(shape) not in (2, 3):
        return None
    channels, rows, columns = shape if len(shape) == 3 else (1, *shape)
    return channels, rows, columns


def channels_of(place: str, shape: ImageShape | None, inputs: int) -> int:
    """Return how many stretches of a sample have a mean and deviation of their own.

    An image has one per channel; what is no image has one per input.

    Raises:
        DatasetError: the channels of a colour image come last.
    """
    if shape is None:
        return inputs
    found = image_map(shape)
    if found is None:
        return 1
    check_channels_first(place, found)
    return found[0]


def check_channels_first(place: str, shape: ImageMap) -> None:
    """Raise DatasetError for an image whose channels seem to come last."""
    if shape[2] in _CHANNELS_OF_COLOUR and shape[0] not in (1, *_CHANNELS_OF_COLOUR):
        raise DatasetError(
            f"{place}: images of {show_shape(shape)}, whose channels come last; give them as [samples, channels, rows, "
            "columns], such as x.transpose(0, 3, 1, 2)"
        )


def show_shape(shape: ImageShape) -> str:
    """Return a shape as it is read aloud: 3 x 32 x 32."""
    return " x ".join(str(size) for size in shape)
