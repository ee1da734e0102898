"""YAML with positions: every key and value of a file knows the line and column it stands in.

Only plain YAML is read: no tags, no merge keys, nothing that is executed. Mistakes of the text
(a key given twice, ``12:30`` that YAML 1.1 takes for 750) are collected and never end the reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from accelsim.errors import FileError, Mistake

#: Where a value stands in the data: ``("memories", 1, "size_bytes")``.
Place = tuple[str | int, ...]

_MAX_BYTES = 1 << 20
_MAX_VALUES = 20_000
_MAX_DEPTH = 32
_PLAIN_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
_OCTAL = re.compile(r"[-+]?0[0-7_]*[1-7][0-7_]*")


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, and the scalar as it is written there."""

    source: str
    line: int = 0
    column: int = 0
    text: str = ""

    @property
    def where(self) -> str:
        """``path:line:column``, or the bare source where there are no lines."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake that still knows its position, so that mistakes can be put in order."""

    mark: Mark
    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file (or of several, merged), with a mark for every key and value."""

    sources: tuple[str, ...]
    data: Any
    keys: dict[Place, Mark] = field(default_factory=dict)
    values: dict[Place, Mark] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def mark(self, place: Place) -> Mark:
        """Return the position of a value; of its key where the value is a mapping or a list."""
        value = self.values.get(place)
        if value is not None and value.text:
            return value
        return self.keys.get(place) or value or Mark(self.sources[0])

    def written(self, place: Place) -> str:
        """Return a scalar as the text has it; empty for mappings and lists."""
        return self.values[place].text if place in self.values else ""

    def mistakes(self, findings: Iterable[Finding]) -> list[Mistake]:
        """Return findings as mistakes in the order of the text, each once."""
        rank = {source: number for number, source in enumerate(self.sources)}
        ordered = sorted(
            dict.fromkeys(findings),
            key=lambda f: (rank.get(f.mark.source, len(rank)), f.mark.line, f.mark.column),
        )
        return [Mistake(f.mark.where, dotted(f.place), f.what) for f in ordered]


def dotted(place: Place) -> str:
    """Return a place as a user writes it: ``memories.1.size_bytes``."""
    return ".".join(str(part) for part in place)


def read(path: Path, shown: str) -> Document:
    """Read a YAML file whose top is a mapping.

    Args:
        path: the file.
        shown: the file's name in messages, as the user gave it.

    Raises:
        FileError: there is no such file, or it is not one mapping in plain YAML.
    """
    document = parse(_text(path, shown), shown)
    if not isinstance(document.data, dict):
        found = "nothing but comments" if document.data is None else describe(document.data)
        raise _error(Mark(shown, 1, 1), f"found {found}, a mapping of keys is needed")
    return document


def _text(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise _error(Mark(shown), "no such file") from None
    except IsADirectoryError:
        raise _error(Mark(shown), "is a folder, a YAML file is needed") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise _error(Mark(shown), f"cannot be read: {reason}") from None
    if len(raw) > _MAX_BYTES:
        raise _error(Mark(shown), f"is larger than {_MAX_BYTES >> 20} MiB, too large for YAML")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(Mark(shown), "is not text in UTF-8") from None
    if not text.strip():
        raise _error(Mark(shown), "is empty")
    return text


def parse(text: str, source: str, *, lines: bool = True) -> Document:
    """Read YAML of any shape; ``lines`` is false where positions mean nothing (``--set``).

    Raises:
        FileError: the text is not plain YAML.
    """
    walk = _Walk(source, lines)
    try:
        node = yaml.SafeLoader(text).get_single_node()
        data = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as problem:
        raise _yaml_error(problem, source, lines) from None
    except yaml.YAMLError as problem:
        reason = str(problem).splitlines()[0]
        raise _error(Mark(source), f"is not YAML: {reason}") from None
    except RecursionError:
        raise _error(Mark(source), "is nested too deeply") from None
    return Document((source,), data, walk.keys, walk.values, tuple(walk.findings))


def describe(value: Any) -> str:
    """Return a value for a message: ``'text'``, ``3``, ``a mapping``."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _error(mark: Mark, what: str) -> FileError:
    return FileError([Mistake(mark.where, "", what)])


def _yaml_error(problem: yaml.MarkedYAMLError, source: str, lines: bool) -> FileError:
    where = problem.problem_mark or problem.context_mark
    mark = Mark(source, where.line + 1, where.column + 1) if where and lines else Mark(source)
    what = str(problem.problem or problem.context)
    if "expected a single document" in f"{problem.context} {what}":
        return _error(mark, "a second document starts here (---), one is needed")
    if "\\t" in what:
        return _error(mark, "is not YAML: a tab cannot indent, use spaces")
    context = f" ({problem.context})" if problem.context and problem.context != what else ""
    return _error(mark, f"is not YAML: {what}{context}")


class _Walk:
    """Turns nodes into data, keeping a mark for each."""

    def __init__(self, source: str, lines: bool) -> None:
        self.keys: dict[Place, Mark] = {}
        self.values: dict[Place, Mark] = {}
        self.findings: list[Finding] = []
        self._source = source
        self._lines = lines
        self._scalars = yaml.SafeLoader("")
        self._left = _MAX_VALUES
        self._open: set[int] = set()

    def value(self, node: yaml.Node, place: Place) -> Any:
        """Return the data of a node, and note where it stands."""
        self._limit(node, place)
        self.values[place] = self._mark(node)
        if node.tag.rpartition(":")[2] not in _PLAIN_TAGS:
            self._find(node, place, f"the tag {node.tag!r} is not read, plain YAML is needed")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._open.add(id(node))
        data = self._children(node, place)
        self._open.discard(id(node))
        return data

    def _children(self, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        entries = []
        for index, child in enumerate(node.value):
            self.keys[(*place, index)] = self._mark(child, text="")
            entries.append(self.value(child, (*place, index)))
        return entries

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, child in node.value:
            name = self._key(key_node, place)
            if name is None:
                continue
            here = (*place, name)
            if name in data:
                first = self.keys[here]
                self._find(key_node, here, f"given twice, first in line {first.line}")
                continue
            self.keys[here] = self._mark(key_node, text="")
            data[name] = self.value(child, here)
        return data

    def _key(self, node: yaml.Node, place: Place) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._find(node, place, "a key is text, found a list or a mapping")
            return None
        if node.tag.endswith(":merge"):
            self._find(node, place, "merge keys (<<) are not read: use extends, or repeat the keys")
            return None
        if not node.tag.endswith(":str"):
            what = f"a key is text, but YAML reads {node.value} as something else: quote it"
            self._find(node, place, what)
            return None
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        kind = node.tag.rpartition(":")[2]
        text = str(node.value)
        if kind in ("str", "timestamp"):
            return text
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            self._find(node, place, f"found {text!r}, which YAML cannot read")
            return None
        if kind in ("int", "float") and ":" in text:
            self._find(node, place, f"YAML reads {text} as {value:g} (base 60): quote it")
        elif kind == "int" and _OCTAL.fullmatch(text):
            self._find(node, place, f"YAML reads {text} as {value} (octal): leave out the zero")
        return value

    def _limit(self, node: yaml.Node, place: Place) -> None:
        self._left -= 1
        if id(node) in self._open:
            raise _error(self._mark(node), "an alias refers to the value that holds it")
        if self._left < 0:
            raise _error(self._mark(node), f"holds more than {_MAX_VALUES} values, aliases counted")
        if len(place) > _MAX_DEPTH:
            raise _error(self._mark(node), f"is nested deeper than {_MAX_DEPTH} levels")

    def _mark(self, node: yaml.Node, text: str | None = None) -> Mark:
        written = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        if not self._lines:
            return Mark(self._source, text=written if text is None else text)
        start = node.start_mark
        shown = written if text is None else text
        return Mark(self._source, start.line + 1, start.column + 1, shown)

    def _find(self, node: yaml.Node, place: Place, what: str) -> None:
        self.findings.append(Finding(self._mark(node), place, what))
