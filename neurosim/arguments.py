"""Arguments of functions, checked like fields of a description: place, value, and what is allowed in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from neurosim.errors import DescriptionError, nearest_guess


def checked_count(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number (``200``, ``1e6``, a NumPy integer) as an int.

    Raises:
        DescriptionError: it is not whole, below ``least`` or above ``most``.
    """
    allowed = f"a whole number from {least} {'on' if most is None else f'to {most}'}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise DescriptionError(f"{name} = {_shown(value)}: must be {allowed}")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise DescriptionError(f"{name} = {_shown(number)}: must be {allowed}")
    return number


def checked_fraction(name: str, value: Any, *, above_0: bool = False, below_1: bool = False) -> float:
    """Return a number from 0 to 1 as a float; either end may be left out.

    Raises:
        DescriptionError: it is no number or lies outside.
    """
    low, high = "above 0" if above_0 else "from 0", "below 1" if below_1 else "up to 1"
    allowed = f"a fraction {low} and {high}, such as 0.25"
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1 or (above_0 and value == 0) or (below_1 and value == 1):
        raise DescriptionError(f"{name} = {_shown(value)}: must be {allowed}")
    return float(value)


def checked_choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return one of the ``allowed`` words.

    Raises:
        DescriptionError: it is none of them (with the nearest guess).
    """
    words = tuple(allowed)
    if not isinstance(value, str) or value not in words:
        guess = nearest_guess(value, words) if isinstance(value, str) else ""
        raise DescriptionError(f"{name} = {_shown(value)}: allowed are {', '.join(words)}{guess}")
    return value


def checked_path(name: str, value: Any) -> str:
    """Return a path as text.

    Raises:
        DescriptionError: it is neither text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise DescriptionError(f"{name} = {_shown(value)}: must be the path of a file, as text or a Path")
    return os.fsdecode(value)


def checked_list(name: str, value: Any) -> list[Any]:
    """Return a list of one or more; a lone name, path or description counts as a list of itself.

    Raises:
        DescriptionError: it is empty.
    """
    # Text and descriptions could be gone through too, letter by letter and field by field.
    alone = isinstance(value, str | os.PathLike) or hasattr(type(value), "model_fields")
    found = [value] if alone or not isinstance(value, Iterable) else list(value)
    if not found:
        raise DescriptionError(f"{name} = []: must name at least one")
    return found


def _shown(value: object) -> str:
    """Write a value as Python does, shortened."""
    try:
        text = repr(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."
