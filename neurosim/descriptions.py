"""Descriptions: strict TOML read into frozen pydantic models, with `based_on`, sources, and errors in one sentence."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from neurosim.errors import DescriptionError, nearest_guess
from neurosim.explanations import explain, key_paths, part_of, shown
from neurosim.sources import flat_sources, merge_sources, without_removed


def whole(value: object) -> object:
    """Return a whole float as an int: let ``1e9`` stand where a count is meant: TOML reads it as a float."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


MOST_COUNT = 2**31 - 1
"""Largest count in a description: products of two fit 64 bits, and larger ones are refused before they pass them."""

Count = Annotated[int, BeforeValidator(whole), Field(ge=0, le=MOST_COUNT)]
PositiveCount = Annotated[int, BeforeValidator(whole), Field(ge=1, le=MOST_COUNT)]
NeuronCount = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**24)]
ByteCount = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**40)]
Seed = Annotated[int, BeforeValidator(whole), Field(ge=0, le=2**64 - 1)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
PositiveAmount = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]

Init = TypeVar("Init", bound=Callable[..., None])


def keeps_places(init: Init) -> Init:
    """Mark an ``__init__`` that only hands on its fields, so that pydantic validates nested parts without calling it.

    Errors of nested parts then reach the outermost description, which knows their full place.
    """
    init.__pydantic_base_init__ = True  # type: ignore[attr-defined]
    return init


def _tuples(value: object) -> object:
    """Turn lists into tuples: TOML and JSON have only arrays, frozen models only tuples."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


class Description(BaseModel):
    """A frozen, strict description: unknown keys, wrong types and non-finite numbers are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @keeps_places
    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            name = data.get("name")
            place = name if isinstance(name, str) and name else type(self).__name__
            raise DescriptionError(explain(error, type(self), data, place)) from None

    @model_validator(mode="before")
    @classmethod
    def _arrays_are_tuples(cls, data: Any) -> Any:
        return {key: _tuples(value) for key, value in data.items()} if isinstance(data, Mapping) else data


Model = TypeVar("Model", bound=Description)


def validate(model: type[Model], data: Mapping[str, Any], place: str) -> Model:
    """Return the model of ``data``; raise DescriptionError with one sentence that begins with ``place``."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise DescriptionError(explain(error, model, data, place)) from None


# Merging


def _merge_tables(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge_tables(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return ``base`` with single keys overridden, at any depth; arrays are replaced whole.

    Keys that are not overridden keep their sources; a number that is takes the source given with it, or is marked
    ``assumed`` as set in ``place``.
    """
    merged = _merge_tables(base, changes)
    if isinstance(base.get("sources"), Mapping) and isinstance(changes.get("sources", {}), Mapping):
        kept = {**base, "sources": without_removed(flat_sources(base["sources"]), base, merged)}
        merged["sources"] = merge_sources(kept, changes, place)
    return merged


# TOML files

Shipped = Mapping[str, Path | Mapping[str, Any]]
"""What a name stands for: a file, or a description's data."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raise DescriptionError for an absent, unreadable or ill-formed one."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DescriptionError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DescriptionError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DescriptionError(f"{path}: is not text in UTF-8, as a TOML file must be") from None
    except tomllib.TOMLDecodeError as error:
        reason = str(error).replace("Cannot overwrite a value", "the key is given twice")
        raise DescriptionError(f"{path}: is not valid TOML: {reason}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets a thousand deep
        raise DescriptionError(f"{path}: cannot be read as TOML: {error}") from None


def read_based(path: Path, shipped: Shipped, kind: str, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a file's data merged over those of its ``based_on``: a shipped name, or a path relative to the file.

    A base never passes on its name.
    """
    resolved = path.resolve()
    if resolved in seen:
        chain = " -> ".join(file.name for file in (*seen, resolved))
        raise DescriptionError(f"{path.name}: based_on goes in a circle: {chain}; end it at a file without based_on")
    data = read_toml(path)
    base = data.pop("based_on", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise DescriptionError(f"{path.stem}.based_on: {shown(base)}: must be the name of a {kind} or a path in quotes")
    inherited = _base_data(base, path, shipped, kind, (*seen, resolved))
    inherited.pop("name", None)
    return merge(inherited, data, path.name)


def _base_data(base: str, path: Path, shipped: Shipped, kind: str, seen: tuple[Path, ...]) -> dict[str, Any]:
    found = shipped.get(base)
    if isinstance(found, Mapping):
        return dict(found)
    if found is None:
        found = path.parent / base
        if not found.is_file():
            raise DescriptionError(f"{path.stem}.based_on: {unknown(base, kind, shipped)}")
    return read_based(found, shipped, kind, seen)


def unknown(name: str, kind: str, allowed: Mapping[str, Any]) -> str:
    """Return the sentence for a name that is neither shipped nor a file."""
    there_are = f"there are {', '.join(allowed)}, or give" if allowed else "give"
    return f"'{name}' is no {kind}{nearest_guess(name, allowed)}; {there_are} the path of a TOML file"


def is_path(source: str | os.PathLike[str]) -> bool:
    """Return whether a source is meant as a file: a path object, or text that ends in .toml or holds a separator."""
    return not isinstance(source, str) or source.endswith(".toml") or os.sep in source


def load(model: type[Model], source: str | os.PathLike[str] | Model, shipped: Shipped, kind: str) -> Model:
    """Return the description that a name, a path or a model stands for; ``kind`` is what errors call it.

    Raises:
        DescriptionError: no such name or file, ill-formed TOML, or a value that the model refuses.
    """
    if isinstance(source, model):
        return source
    if not isinstance(source, str | os.PathLike):
        raise DescriptionError(f"{shown(source)}: must be a {kind}'s name, a path, or a {model.__name__}")
    found = shipped.get(source) if isinstance(source, str) else None
    if found is None and not is_path(source):
        raise DescriptionError(unknown(str(source), kind, shipped))
    if isinstance(found, Mapping):
        return validate(model, found, str(source))
    path = Path(source) if found is None else found
    data = read_based(path, shipped, kind)
    if "name" in model.model_fields:
        data.setdefault("name", path.stem)
    name = data.get("name")
    return validate(model, data, name if isinstance(name, str) and name else path.stem)


def to_toml(model: Description) -> str:
    """Return a description as TOML that reads back as the same description; absent values are left out."""
    return tomli_w.dumps(model.model_dump(exclude_none=True))


# Overriding single fields


def parse_value(text: str) -> Any:
    """Return the value of ``--set KEY=TEXT``: a TOML value, or a bare word as text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # not TOML, or TOML with a number of thousands of digits
        return text.strip()
    return parsed["value"] if len(parsed) == 1 else text


def override(model: Model, key: str, text: str) -> Model:
    """Return ``model`` with the field at a dotted key set, as ``--set noc.flit_bits=32`` does.

    Positions count from 1: ``layers.2.units``. A key that occurs once may stand without its table: ``flit_bits``.
    ``none`` empties a field that may be absent.

    Raises:
        DescriptionError: there is no such field (with the nearest guess), or its value is refused.
    """
    steps = resolved_key(type(model), key.strip()).split(".")
    value = parse_value(text)
    if value == "none" and _may_be_none(type(model), steps):
        value = None
    data = model.model_dump(exclude_unset=True)
    place = str(data.get("name") or type(model).__name__)
    changes = _changes(data, model, steps, value, f"{place}.{key}")
    return validate(type(model), merge(data, changes, "an override"), place)


def resolved_key(model: type[Description], key: str) -> str:
    """Return the full dotted path of a key that stands without its table, if it occurs in one table only."""
    if key in model.model_fields or "." in key:
        return key
    places = [path for path in key_paths(model) if path.rpartition(".")[2] == key]
    if len(places) > 1:
        raise DescriptionError(f"{key}: stands in several tables; write {' or '.join(places)}")
    return places[0] if places else key


def _changes(data: Mapping[str, Any], model: Description, steps: list[str], value: Any, place: str) -> dict[str, Any]:
    """Return the nested tables that set one field; an array of tables is copied with one of them changed."""
    step, rest = steps[0], steps[1:]
    inner = dict(model).get(step)
    if not rest:
        return {step: value}
    if inner is None:
        return {step: _nested(rest, value)}
    if isinstance(inner, Description):
        return {step: _changes(data.get(step, {}), inner, rest, value, place)}
    if isinstance(inner, Mapping):
        return {step: {".".join(rest): value}}
    if not (isinstance(inner, tuple) and all(isinstance(item, Description) for item in inner)):
        raise DescriptionError(f"{place}: {step} is a single value and has no key '{rest[0]}'")
    if not (rest[0].isdecimal() and 1 <= int(rest[0]) <= len(inner)) or not rest[1:]:
        raise DescriptionError(f"{place}: {step} are numbered 1 to {len(inner)}: write {step}.1.KEY")
    items = [item.model_dump(exclude_unset=True) for item in inner]
    chosen = int(rest[0]) - 1
    items[chosen] = _merge_tables(items[chosen], _changes(items[chosen], inner[chosen], rest[1:], value, place))
    return {step: items}


def _nested(steps: list[str], value: Any) -> Any:
    return {steps[0]: _nested(steps[1:], value)} if steps else value


def _may_be_none(model: type[BaseModel], steps: list[str]) -> bool:
    """Return whether the field at a dotted key may be absent."""
    field = model.model_fields.get(steps[0])
    if field is None:
        return False
    if not steps[1:]:
        return type(None) in get_args(field.annotation)
    inner = part_of(field.annotation)
    rest = [step for step in steps[1:] if not step.isdecimal()]
    return inner is not None and bool(rest) and _may_be_none(inner, rest)
