"""Explanations: pydantic's validation errors as one sentence with place, value, what is allowed and nearest guess."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from neurosim.errors import nearest_guess


def part_of(annotation: Any) -> type[BaseModel] | None:
    """Return the description inside ``Channel | None`` or ``tuple[Dense, ...]``, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((part for inner in get_args(annotation) if (part := part_of(inner))), None)


def alternatives_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the descriptions that may stand in one place by the tag that tells them apart, if there are several."""
    found: dict[str, type[BaseModel]] = {}
    for inner in get_args(annotation):
        tags = [tag.tag for tag in getattr(annotation, "__metadata__", ()) if isinstance(tag, Tag)]
        if tags and isinstance(inner, type) and issubclass(inner, BaseModel):
            found[tags[0]] = inner
        found |= alternatives_of(inner)
    return found


def key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every key of a model: ``noc``, ``noc.flit_bits``, ..."""
    for key, field in model.model_fields.items():
        yield prefix + key
        part = part_of(field.annotation)
        if part is not None and get_origin(field.annotation) is not tuple:
            yield from key_paths(part, f"{prefix}{key}.")


def _walk(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[int | str], type[BaseModel] | None]:
    """Return the steps of a pydantic location that name keys, and the model that owns the last one.

    Left out are positions in arrays of numbers (the whole array is shown) and the names pydantic gives to alternatives.
    """
    steps: list[int | str] = []
    owner: type[BaseModel] | None = model
    inside: Any = model
    alternatives: dict[str, type[BaseModel]] = {}
    for step in loc:
        if isinstance(step, str) and step in alternatives:
            inside, alternatives = alternatives[step], {}
            continue
        if isinstance(step, str) and isinstance(inside, type) and issubclass(inside, BaseModel):
            owner = inside
            field = owner.model_fields.get(step)
            inside = None if field is None else part_of(field.annotation) or field.annotation
            alternatives = {} if field is None else alternatives_of(field.annotation)
        elif not (isinstance(step, int) and part_of(inside)) and get_origin(inside) is not dict:
            break
        steps.append(step)
    return steps, owner


def _dotted(place: str, steps: list[int | str]) -> str:
    """Join a place and its steps; positions count from 1, as layers do in the equations."""
    return ".".join([place, *(str(step + 1) if isinstance(step, int) else step for step in steps)])


def _value_at(data: Any, steps: list[int | str]) -> Any:
    """Return the value that the steps lead to, or None."""
    for step in steps:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def shown(value: object) -> str:
    """Write a value as TOML would, shortened: ``'tanh'``, ``[0, 8]``, ``true``."""
    if isinstance(value, str):
        text = repr(value)
    else:
        try:
            text = json.dumps(value)
        except TypeError:
            text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


_BEGINS_WITH_KEY = re.compile(r"[a-z_][a-z_.0-9]*: ")
_ALLOWED = {
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list in brackets",
    "dict_type": "must be a table of keys",
    "model_type": "must be a table of keys",
    "too_short": "must have at least {min_length} values",
    "too_long": "must have at most {max_length} values",
    "literal_error": "must be {expected}",
}


def _what(problem: Mapping[str, Any], owner: type[BaseModel] | None) -> str:
    """Return what is wrong and what is allowed, for one of pydantic's problems."""
    kind, context, key = problem["type"], problem.get("ctx", {}), str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "extra_forbidden" and owner is not None:
        return f"unknown key{_key_guess(key, owner)}"
    if problem["loc"] and isinstance(problem["loc"][-1], int) and kind == "missing":
        return "has too few values"
    text = _ALLOWED.get(kind)
    return str(problem["msg"]) if text is None else text.format(**{name: _plain(of) for name, of in context.items()})


def _word_guess(problem: Mapping[str, Any]) -> str:
    """Guess the word that was meant, where only certain words are allowed."""
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return ""
    allowed = problem["ctx"]["expected"].replace(" or ", ", ").split(",")
    return nearest_guess(problem["input"], [word.strip(" '") for word in allowed])


def _key_guess(key: str, owner: type[BaseModel]) -> str:
    """Guess the key that was meant: one of the same table, then one further down, else list the table's."""
    if guess := nearest_guess(key, owner.model_fields):
        return guess
    deeper = {path.rpartition(".")[2]: path for path in key_paths(owner)}
    meant = difflib.get_close_matches(key, deeper, n=1, cutoff=0.8)
    return f"; did you mean '{deeper[meant[0]]}'?" if meant else f"; allowed are {', '.join(owner.model_fields)}"


def explain(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], place: str) -> str:
    """Return one sentence for a validation error: place, value, what is allowed, nearest guess."""
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one: the misspelling says more.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    if first["type"] == "union_tag_invalid":
        tag, kinds = first["ctx"]["tag"], first["ctx"]["expected_tags"]
        guess = nearest_guess(tag, re.findall(r"'([^']*)'", kinds))
        return f"{_dotted(place, [*first['loc'], 'kind'])}: {shown(tag)}: must be one of {kinds}{guess}"
    steps, owner = _walk(model, first["loc"])
    path = _dotted(place, steps)
    if first["type"] == "value_error":
        text = str(first["ctx"]["error"])
        return f"{path}.{text}" if _BEGINS_WITH_KEY.match(text) else f"{path}: {text}"
    alike = [problem for problem in problems if _walk(model, problem["loc"])[0] == steps]
    what = " or ".join(dict.fromkeys(_what(problem, owner) for problem in alike)).replace(" or must be ", " or ")
    absent = first["type"] == "extra_forbidden" or (first["type"] == "missing" and steps == list(first["loc"]))
    value = first["input"] if steps == list(first["loc"]) else _value_at(data, steps)
    return f"{path}: {'' if absent else f'{shown(value)}: '}{what}{_word_guess(first)}"


def _plain(limit: object) -> object:
    """Write the limit 0.0 as 0."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
