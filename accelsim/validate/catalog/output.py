"""What an output array is: its name, the arrays that it is computed from, and the kernel.

Names are templates over fields. A field is a tuple of choices, or a regular expression where any
text will do; so one row covers all arrays of a naming scheme, and the names of outputs follow from
those of operands, where a file holds no outputs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from accelsim.validate.catalog.bits import SPELLED, Array

Arrays = Mapping[str, Array]
Fields = Mapping[str, str]


class Unfit(Exception):
    """An output cannot be computed; the text says why."""


@dataclass(frozen=True)
class Case:
    """What a kernel is called with.

    Attributes:
        arrays: operands by role.
        fields: what stands in the places of the name.
        entry: what the index says about the case; empty where it says nothing.
    """

    arrays: Arrays
    fields: Fields
    entry: Mapping[str, Any]

    def __getitem__(self, role: str) -> Array:
        """Return an operand."""
        return self.arrays[role]

    def format(self, name: str = "format") -> str:
        """Return the format that a field spells, as this package spells it."""
        return SPELLED.get(self.fields[name], self.fields[name])

    def fact(self, key: str) -> Any:
        """Return what the index says.

        Raises:
            Unfit: it does not.
        """
        if key not in self.entry:
            raise Unfit(f"the index does not say its {key!r}")
        return self.entry[key]


@dataclass(frozen=True)
class Output:
    """Arrays that a kernel computes.

    Attributes:
        set: name of the set.
        name: template of the array's name.
        fields: what the places of the templates may hold: choices, or a regular expression.
        needs: role to template of the name of an operand.
        may: the same of operands that may be absent.
        holds: format of the codes or bits, which says what is NaN; may name fields.
        compute: from the operands.
        key: template of the case's key in the index.
        listed: choices of fields that may hold any text, with which names follow from operands.
    """

    set: str
    name: str
    fields: Mapping[str, str | tuple[str, ...]]
    needs: Mapping[str, str]
    holds: str
    compute: Callable[[Case], Array]
    may: Mapping[str, str] = field(default_factory=dict)
    key: str = "{case}"
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the names of the outputs."""
        return self._pattern(self.name)

    def _pattern(self, template: str) -> re.Pattern[str]:
        parts, seen = [], set()
        for text, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", template):
            parts.append(re.escape(text))
            if name in seen:
                parts.append(f"(?P={name})")
            elif name:
                seen.add(name)
                parts.append(f"(?P<{name}>{self._choices(name)})")
        return re.compile("".join(parts))

    def _choices(self, name: str) -> str:
        allowed = self.fields[name]
        return allowed if isinstance(allowed, str) else "|".join(map(re.escape, allowed))

    def named(self, known: Iterable[str]) -> Iterator[str]:
        """Yield the names of the outputs that follow from operands.

        Names with a field that no operand tells, and that has no choices, do not.
        """
        if not self.needs:
            yield from self._spelled({})
            return
        first = self._pattern(next(iter(self.needs.values())))
        there = set(known)
        for name in sorted(there):
            match = first.fullmatch(name)
            if match is None:
                continue
            for output in self._spelled(match.groupdict()):
                told = self.pattern.fullmatch(output)
                fields = {} if told is None else told.groupdict()
                if all(need.format(**fields) in there for need in self.needs.values()):
                    yield output

    def _known(self, name: str) -> tuple[str, ...]:
        allowed = self.fields[name]
        return self.listed.get(name, ()) if isinstance(allowed, str) else allowed

    def _spelled(self, told: Fields) -> Iterator[str]:
        names = re.findall(r"\{(\w+)\}", self.name)
        open_ = [name for name in dict.fromkeys(names) if name not in told]
        for values in itertools.product(*(self._known(name) for name in open_)):
            yield self.name.format(**told, **dict(zip(open_, values, strict=True)))


@dataclass(frozen=True)
class Job:
    """One output.

    Attributes:
        output: the row of the table.
        fields: what stands in the places of its name.
        entry: what the index says about its case.
    """

    output: Output
    fields: Fields
    entry: Mapping[str, Any]

    @property
    def holds(self) -> str:
        """Format of its codes or bits."""
        return self.output.holds.format(**self.fields)

    def compute(self, arrays: Arrays) -> Array:
        """Return what the kernel makes of the operands.

        Raises:
            Unfit: operands are absent, or do not fit the kernel or each other.
        """
        places = {role: name.format(**self.fields) for role, name in self.output.needs.items()}
        absent = [place for place in places.values() if place not in arrays]
        if absent:
            raise Unfit(f"it is computed from {absent[0]}, which is not there")
        more = {role: name.format(**self.fields) for role, name in self.output.may.items()}
        places |= {role: name for role, name in more.items() if name in arrays}
        operands = {role: arrays[name] for role, name in places.items()}
        try:
            return self.output.compute(Case(operands, self.fields, self.entry))
        except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            raise Unfit(f"its operands do not fit: {error}") from None
