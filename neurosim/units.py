"""The one table of unit suffixes; axis labels and text for people are derived from it."""

from __future__ import annotations

import math
from typing import NamedTuple

from neurosim.errors import NeurosimError


class Unit(NamedTuple):
    """What a suffix of a name says: the symbol on an axis, and the base unit that SI prefixes go with."""

    axis: str
    base: str
    factor: float = 1.0
    prefixed: bool = True
    """Whether the base is a symbol that a prefix is written to (``mJ``), and not a noun (``M cycles``)."""


UNITS: dict[str, Unit] = {
    "pj_per_word": Unit("pJ/word", "J/word", 1e-12),
    "pj_per_flit": Unit("pJ/flit", "J/flit", 1e-12),
    "pj_per_bit": Unit("pJ/bit", "J/bit", 1e-12),
    "pj": Unit("pJ", "J", 1e-12),
    "joules": Unit("J", "J"),
    "w_chip": Unit("W per chip", "W", 1.0),
    "w_core": Unit("W per core", "W", 1.0),
    "w": Unit("W", "W"),
    "seconds": Unit("s", "s"),
    "mhz": Unit("MHz", "Hz", 1e6),
    "deg": Unit("degrees", "°", 1.0),
    "percent": Unit("%", "%"),
    "ratio": Unit("ratio", "", 1.0, prefixed=False),
    "bits_per_cycle": Unit("bits/cycle", "bits/cycle", prefixed=False),
    "words_per_cycle": Unit("words/cycle", "words/cycle", prefixed=False),
    "per_cycle": Unit("per cycle", "per cycle", prefixed=False),
    "per_router": Unit("per router", "per router", prefixed=False),
    "per_lane": Unit("per lane", "per lane", prefixed=False),
    "bit_hops": Unit("bit-hops", "bit-hops", prefixed=False),
    "flit_hops": Unit("flit-hops", "flit-hops", prefixed=False),
    "bits": Unit("bits", "bits", prefixed=False),
    "bytes": Unit("B", "B"),
    "words": Unit("words", "words", prefixed=False),
    "flits": Unit("flits", "flits", prefixed=False),
    "cycles": Unit("cycles", "cycles", prefixed=False),
    "epochs": Unit("epochs", "epochs", prefixed=False),
    "macs": Unit("MACs", "MACs", prefixed=False),
    "ops": Unit("operations", "operations", prefixed=False),
    "reads": Unit("reads", "reads", prefixed=False),
    "writes": Unit("writes", "writes", prefixed=False),
    "generated": Unit("values", "values", prefixed=False),
    "messages": Unit("messages", "messages", prefixed=False),
}
"""Suffix of a name (after its last underscores) -> its unit."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_UNPREFIXED = ("°", "%", "")


def suffix_of(name: str) -> str | None:
    """Return the longest suffix in UNITS that a name ends with: ``read_pj_per_word`` -> ``pj_per_word``."""
    words = name.split("_")
    return next((tail for start in range(len(words)) if (tail := "_".join(words[start:])) in UNITS), None)


def axis_label(name: str) -> str:
    """Return the label of an axis: ``energy_pj`` -> ``energy (pJ)``; a name without a unit keeps its words.

    >>> axis_label("makespan_cycles")
    'makespan (cycles)'
    """
    suffix = suffix_of(name)
    if suffix is None:
        return name.replace("_", " ")
    quantity = name.removesuffix(suffix).rstrip("_").replace("_", " ")
    unit = UNITS[suffix].axis
    return f"{quantity} ({unit})" if quantity else unit


def human(value: float, unit: str = "", digits: int = 3) -> str:
    """Return a value as text with an SI prefix and ``digits`` significant digits.

    ``unit`` is a suffix of UNITS or a name that ends with one; without a unit the value is a plain count.

    >>> human(1.3e9, "energy_pj"), human(39_239_680, "bit_hops"), human(0, "seconds")
    ('1.3 mJ', '39.2 M bit-hops', '0 s')

    Raises:
        NeurosimError: the unit is in no row of UNITS.
    """
    suffix = suffix_of(unit)
    if suffix is None and unit:
        raise NeurosimError(f"'{unit}' ends with no known unit; known are {', '.join(UNITS)}")
    row = UNITS[suffix] if suffix else Unit("", "", prefixed=False)
    if not math.isfinite(value):
        return f"{value} {row.base}".rstrip()
    if row.base in _UNPREFIXED and suffix is not None:
        return f"{_significant(value, digits)} {row.base}".rstrip()
    scaled, prefix = _scaled(value * row.factor, digits)
    if row.prefixed:
        return f"{scaled} {prefix}{row.base}"
    return " ".join(part for part in (scaled, prefix, row.base) if part)


def _significant(value: float, digits: int) -> str:
    """Write ``value`` with so many significant digits, without an exponent and without trailing zeros."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(value: float, digits: int) -> tuple[str, str]:
    """Return the value over a power of 1000 as text, and the prefix of that power."""
    if value == 0:
        return "0", ""
    # Rounding first, so that 999.9996 becomes 1 k and not 1000.
    rounded = float(f"{value:.{digits - 1}e}")
    power = 3 * math.floor(math.floor(math.log10(abs(rounded))) / 3)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return _significant(rounded / 10.0**power, digits), _PREFIXES[power]
