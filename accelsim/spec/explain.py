"""A file's data against its model: the object, or every mistake in a sentence of its own."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from accelsim.errors import Mistake, nearest
from accelsim.spec.fields import alternatives, field_at, is_number, model_at, needed, type_at
from accelsim.spec.locate import Document, Finding, Place, describe

Model = TypeVar("Model", bound=BaseModel)

_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}
_NAME = "a name of letters, digits, '_', '.' and '-'"


def build(model: type[Model], document: Document) -> tuple[Model | None, list[Mistake]]:
    """Return the object that a document describes, and all mistakes found (none: it is good)."""
    findings = [*document.findings]
    findings += [
        Finding(document.mark(place), place, text)
        for place, text in _traps(model, document, document.data, ())
    ]
    built: Model | None = None
    try:
        built = model.model_validate(document.data)
    except ValidationError as error:
        findings += _explained(model, document, error, {f.place for f in findings})
    return built, document.mistakes(findings)


def _traps(
    model: type[BaseModel], document: Document, value: Any, place: Place
) -> Iterator[tuple[Place, str]]:
    """Find values that pydantic would take although nobody means them."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _traps(model, document, child, (*place, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _traps(model, document, child, (*place, index))
    elif isinstance(value, bool) and is_number(kind := type_at(model, place)):
        yield place, f"{_found(document, place)}, {needed(kind)} is needed"
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, f"found {value}, a finite number is needed"


def _explained(
    model: type[BaseModel], document: Document, error: ValidationError, known: Collection[Place]
) -> Iterator[Finding]:
    # One sentence per place: a union reports each of its branches.
    seen = set(known)
    found = [(_place(document.data, one), one) for one in error.errors(include_url=False)]
    for place, details in found:
        if (place in seen and place) or _is_echo(document, place, details):
            continue
        # A mapping is no text; but when there is more to say about it, it was meant to be one.
        if details["type"] == "string_type" and any(
            other[: len(place)] == place and one["type"] != "string_type" for other, one in found
        ):
            continue
        seen.add(place)
        missing = details["type"] == "missing"
        mark = document.mark(place[:-1] if missing else place)
        yield Finding(mark, place, _sentence(model, document, place, details))


def _is_echo(document: Document, place: Place, details: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries hold mistakes themselves."""
    if details["type"] != "too_short":
        return False
    least: int = details["ctx"]["min_length"]
    return len(_value(document.data, place)) >= least


def _place(data: Any, details: ErrorDetails) -> Place:
    """Return where an error stands in the data: pydantic's path without its names of branches."""
    place: list[str | int] = []
    for part in details["loc"]:
        in_map = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_map or in_list:
            data = data[part]
            place.append(part)
        elif details["type"] == "missing" and part == details["loc"][-1]:
            place.append(part)
    return tuple(place)


def _sentence(
    model: type[BaseModel], document: Document, place: Place, details: ErrorDetails
) -> str:
    kind = details["type"]
    context = details.get("ctx", {})
    if kind == "missing":
        field = field_at(model, place)
        about = field.description if field else None
        return f"this key is missing: {about}" if about else "this key is missing"
    if kind == "extra_forbidden":
        parent = model_at(model, place[:-1])
        return f"unknown key{nearest(str(place[-1]), parent.model_fields if parent else ())}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", details["msg"]))
    if kind in ("too_short", "too_long"):
        return _wrong_length(context)
    found = _found(document, place)
    if (allowed := _allowed(kind, context)) is not None:
        return f"{found}, {allowed} is needed"
    return _wrong_type(document, place, type_at(model, place), found)


def _allowed(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        return f"a number {word} {context[bound]:g}"
    if kind == "string_too_short":
        return "text that is not empty"
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return _NAME if "A-Za-z0-9_.-" in pattern else f"text that matches {pattern}"
    return None


def _wrong_length(context: Mapping[str, Any]) -> str:
    actual = context["actual_length"]
    found = f"found {actual} {'entry' if actual == 1 else 'entries'}"
    if "min_length" in context:
        return f"{found}, at least {context['min_length']} must be listed"
    return f"{found}, at most {context['max_length']} can be listed"


def _value(data: Any, place: Place) -> Any:
    for part in place:
        data = data[part]
    return data


def _found(document: Document, place: Place) -> str:
    value = _value(document.data, place)
    written = document.written(place)
    if isinstance(value, bool) and written.lower() not in ("true", "false"):
        return f"found {written}, which YAML reads as {describe(value)}"
    return f"found {describe(value)}"


def _wrong_type(document: Document, place: Place, kind: Any, found: str) -> str:
    sentence = f"{found}, {needed(kind)} is needed"
    value = _value(document.data, place)
    plain = set(alternatives(kind))
    if int in plain and isinstance(value, str) and (whole := _whole(value)) is not None:
        return f"{sentence} (YAML takes {value} for text: write {whole})"
    if str in plain and not isinstance(value, dict | list):
        return f"{sentence} (put it in quotes)"
    names = [str(name) for part in plain if get_origin(part) is Literal for name in get_args(part)]
    close = difflib.get_close_matches(str(value), names, n=1)
    return f"{sentence} (did you mean {close[0]!r}?)" if close else sentence


def _whole(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and value.is_integer() else None
