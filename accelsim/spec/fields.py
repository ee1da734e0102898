"""Looking up the type of a place in a file: what may stand at ``memories.1.size_bytes``."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from accelsim.spec.locate import Place


def alternatives(kind: Any) -> Iterator[Any]:
    """Yield the plain types of an annotation: ``Annotated`` unwrapped, unions taken apart."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from alternatives(get_args(kind)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(kind):
            yield from alternatives(part)
    else:
        yield kind


def type_at(model: type[BaseModel], place: Place) -> Any:
    """Return the annotation at a place of a model's file, or None where there is none."""
    kind: Any = model
    for part in place:
        kind = next((step for step in _steps(kind, part) if step is not None), None)
        if kind is None:
            return None
    return kind


def _steps(kind: Any, part: str | int) -> Iterator[Any]:
    for plain in alternatives(kind):
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            info = plain.model_fields.get(str(part))
            yield info.annotation if info else None
        elif get_origin(plain) in (tuple, list) and isinstance(part, int):
            yield get_args(plain)[0]
        elif get_origin(plain) is dict:
            yield get_args(plain)[1]


def model_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """Return the model of the mapping at a place, or None where it is no mapping of fixed keys."""
    kind = type_at(model, place)
    for plain in alternatives(kind):
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            return plain
    return None


def field_at(model: type[BaseModel], place: Place) -> FieldInfo | None:
    """Return the field at a place, or None where the last step is not a field."""
    parent = model_at(model, place[:-1]) if place else None
    return parent.model_fields.get(str(place[-1])) if parent else None


def is_number(kind: Any) -> bool:
    """Whether values are numbers (whole or not, null allowed) and nothing else."""
    plain = [part for part in alternatives(kind) if part is not type(None)]
    return bool(plain) and all(
        part in (int, float)
        or (get_origin(part) is Literal and all(isinstance(v, int) for v in get_args(part)))
        for part in plain
    )


def needed(kind: Any) -> str:
    """Say what may stand somewhere: ``a whole number``, ``a list``, ``true or false``."""
    return " or ".join(dict.fromkeys(_noun(plain) for plain in alternatives(kind)))


_NOUNS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _noun(plain: Any) -> str:
    if plain in _NOUNS:
        return _NOUNS[plain]
    if plain is type(None):
        return "null"
    if get_origin(plain) in (tuple, list):
        return "a list"
    if get_origin(plain) is Literal:
        names = [str(value) for value in get_args(plain)]
        return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    return "a mapping of keys"
