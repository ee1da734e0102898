"""Putting one description over another: what ``extends`` and ``--set`` do.

Maps are merged key by key; everything else is replaced, lists whole. What was said about the base
does not silently become a claim about the result: a number that is replaced without a source of its
own is listed under ``estimated``, and the base's measured errors (``validation``) are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from accelsim.errors import FileError, nearest
from accelsim.spec.fields import is_number, model_at, type_at
from accelsim.spec.locate import Document, Finding, Mark, Place, describe, dotted, parse

#: Keys that say something about a chip without changing it.
_WORDS = {"name", "description", "note", "source", "estimated", "schema_version", "validation"}


class _Refused(Exception):
    """An override that cannot be applied, with the reason."""


def extend(model: type[BaseModel], base: Document, top: Document) -> Document:
    """Return ``top`` laid over ``base``."""
    data = _over(model, base.data, top.data, ())
    if not _WORDS.issuperset(top.data) and "validation" not in top.data:
        data.pop("validation", None)
    return Document(
        tuple(dict.fromkeys(top.sources + base.sources)),
        data,
        {**base.keys, **top.keys},
        {**base.values, **top.values},
        top.findings + base.findings,
    )


def override(model: type[BaseModel], document: Document, setting: str) -> Document:
    """Return the document with ``a.b=c`` applied; one that cannot be applied becomes a finding."""
    source = f"--set {setting}"
    document = replace(document, sources=(*document.sources, source))
    try:
        parts, value = _split(setting, source)
        place, anchor = _resolve(document.data, parts)
    except _Refused as refused:
        finding = Finding(Mark(source), (), str(refused))
        return replace(document, findings=(*document.findings, finding))
    data = _at(document.data, place[:anchor], lambda old: _nested(model, old, value, place, anchor))
    if place[0] not in _WORDS:
        data.pop("validation", None)
    new = [place[:n] for n in range(1, len(place)) if place[:n] not in document.keys]
    keys = {part: Mark(source) for part in (*new, place)}
    return replace(
        document,
        data=data,
        keys={**document.keys, **keys, **{place + p: mark for p, mark in value.keys.items()}},
        values={**document.values, **{place + p: mark for p, mark in value.values.items()}},
        findings=(
            *document.findings,
            *(replace(found, place=place + found.place) for found in value.findings),
        ),
    )


def _over(model: type[BaseModel], base: Any, top: Any, place: Place) -> Any:
    """Merge maps, replace the rest, and keep track of which numbers lost their source."""
    if not (isinstance(base, Mapping) and isinstance(top, Mapping)):
        return top
    merged = dict(base)
    changed = []
    for key, value in top.items():
        merged[key] = _over(model, base.get(key), value, (*place, key))
        if merged[key] != base.get(key) and _is_figure(model, (*place, key)):
            changed.append(key)
    stated = {"source", "estimated"} & set(top)
    if changed and not stated and model_at(model, place):
        merged["estimated"] = _with(base.get("estimated", False), changed)
    return merged


def _is_figure(model: type[BaseModel], place: Place) -> bool:
    """Whether a number, or a table of numbers, belongs at a place."""
    kind = type_at(model, place)
    table = type_at(model, (*place, "any")) if model_at(model, place) is None else None
    return kind is not None and (is_number(kind) or is_number(table))


def _with(estimated: Any, changed: Sequence[str]) -> Any:
    if not isinstance(estimated, list) and estimated is not False:
        return estimated
    return list(dict.fromkeys([*(estimated or ()), *changed]))


def _nested(model: type[BaseModel], old: Any, value: Document, place: Place, anchor: int) -> Any:
    top = value.data
    for part in reversed(place[anchor:]):
        top = {part: top}
    return _over(model, old, top, place[:anchor])


def _at(data: Any, place: Place, change: Any) -> Any:
    """Return a copy of the data in which the value at a place is ``change`` of the old one."""
    if not place:
        return change(data)
    copy = list(data) if isinstance(data, list) else dict(data)
    copy[place[0]] = _at(data[place[0]], place[1:], change)  # type: ignore[index]  # list or dict, as read
    return copy


def _split(setting: str, source: str) -> tuple[list[str], Document]:
    path, equals, text = setting.partition("=")
    parts = [part.strip() for part in path.split(".")]
    if not equals or not all(parts):
        raise _Refused("a key and a value are needed, as in --set clock_hz=2GHz")
    if not text.strip():
        raise _Refused("there is no value behind the equals sign")
    if parts[0] == "extends":
        raise _Refused("extends cannot be set: give the other chip by its name")
    try:
        return parts, parse(text, source, lines=False)
    except FileError as error:
        raise _Refused(f"the value {error.mistakes[0].what}") from None


def _resolve(data: Any, parts: Sequence[str]) -> tuple[Place, int]:
    """Return the place that dotted parts mean, and how many of its steps lead to the last entry.

    Entries of a list go by their number or their ``name``.
    """
    place: list[str | int] = []
    anchor = 0
    for part in parts:
        if isinstance(data, list):
            index = _entry(data, part, tuple(place))
            data = data[index]
            place.append(index)
            anchor = len(place)
            continue
        if data is not None and not isinstance(data, dict):
            raise _Refused(f"{dotted(tuple(place))} is {describe(data)}, it holds no {part!r}")
        data = data.get(part) if data else None
        place.append(part)
    return tuple(place), anchor


def _entry(entries: Sequence[Any], part: str, place: Place) -> int:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    numbers = f"0 to {len(entries) - 1}" if len(entries) > 1 else "0"
    known = [name for name in names if isinstance(name, str)]
    raise _Refused(
        f"{dotted(place)} has no entry {part!r}, entries are {numbers}{_named(part, known)}"
    )


def _named(part: str, known: Sequence[str]) -> str:
    return nearest(part, known) if known else ""
