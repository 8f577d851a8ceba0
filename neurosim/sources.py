"""Sources: where each number of a description comes from, keyed by the number's dotted path or a prefix of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def number_paths(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every number (or array of numbers) under its dotted path, ``sources`` left out."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and (prefix or key != "sources"):
            found |= number_paths(value, f"{prefix}{key}.")
        elif isinstance(value, int | float | list | tuple) and not isinstance(value, bool):
            found[prefix + key] = value
    return found


def source_of(sources: Mapping[str, str], path: str) -> str | None:
    """Return the source of a dotted path: its own entry, or that of the longest prefix."""
    while path and path not in sources:
        path = path.rpartition(".")[0]
    return sources.get(path)


def flat_sources(sources: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return sources keyed by dotted path, whether written ``"core.mac_pj" = ...`` or as nested tables."""
    flat: dict[str, Any] = {}
    for key, value in sources.items():
        flat |= flat_sources(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def merge_sources(base: Mapping[str, Any], changes: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the base's sources with every changed number's replaced: an old source never covers a new number."""
    own = flat_sources(changes.get("sources", {}))
    numbers = number_paths(changes)
    changed = {path: source_of(own, path) or f"assumed: given by {place} without a source" for path in numbers}
    rest = {key: text for key, text in own.items() if not covers(key, numbers)}
    return {**flat_sources(base["sources"]), **rest, **changed}


def without_removed(sources: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Return the sources without those of tables that were there before and are not any more."""
    old, new = number_paths(before), number_paths(after)
    return {key: text for key, text in sources.items() if covers(key, new) or not covers(key, old)}


def covers(key: str, numbers: Mapping[str, Any]) -> bool:
    """Return whether a source's key is one of the numbers' paths or a prefix of one."""
    return any(f"{path}.".startswith(f"{key}.") for path in numbers)


def assumed_numbers(numbers: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    """Return one line for each reason why numbers are assumed, naming the numbers: those without a source too.

    A table whose numbers all share the reason is named in their place.
    """
    reasons = {path: why_assumed(source_of(sources, path)) for path in numbers}
    by_reason: dict[str, dict[str, None]] = {}
    for path, reason in reasons.items():
        if reason is not None:
            table = _shared_table(path, reasons)
            by_reason.setdefault(reason, {})[table or f"{path} = {_plain(numbers[path])}"] = None
    return [f"{', '.join(places)}: {reason}" for reason, places in by_reason.items()]


def why_assumed(source: str | None) -> str | None:
    """Return why a number is assumed, or None where it has a source."""
    if source is None:
        return "no source is given"
    return source.removeprefix("assumed:").strip() if source.startswith("assumed:") else None


def _shared_table(path: str, reasons: Mapping[str, str | None]) -> str | None:
    """Return the outermost table around a path in which every number has the same reason."""
    steps = path.split(".")
    for depth in range(1, len(steps)):
        table = ".".join(steps[:depth])
        if all(reason == reasons[path] for other, reason in reasons.items() if other.startswith(f"{table}.")):
            return table
    return None


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_plain(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
