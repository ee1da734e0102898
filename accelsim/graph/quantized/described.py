"""What a checkpoint's ``quantization_config`` says, as far as reading its weights needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry
from accelsim.graph.quantized.scheme import Scheme

#: Types of numbers of a weight of so many bits.
_FLOATS = {8: "fp8_e4m3", 6: "fp6_e2m3", 4: "fp4_e2m1"}

#: What a name that is a pattern begins with.
PATTERN = "re:"
#: From a module's name and its tensors by local names to how it is quantized.
Find = Callable[[str, Mapping[str, Entry]], Scheme]


@dataclass(frozen=True)
class Described:
    """A method of quantization with its settings.

    Attributes:
        method: as ``quant_method`` spells it.
        markers: local names of tensors that only modules with codes have.
        scheme: how a module is quantized.
    """

    method: str
    markers: tuple[str, ...]
    scheme: Find


class Settings:
    """A part of a configuration that is read key by key.

    Args:
        values: the part.
        where: its place, for messages.

    Raises:
        CheckpointError: it is no mapping.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, Mapping):
            raise CheckpointError(f"{where}: is {values!r}; a mapping is needed")
        self.values, self.where = values, where

    def part(self, key: str) -> Settings:
        """Return a part of this part."""
        return Settings(self.values.get(key), f"{self.where}.{key}")

    def integer(self, key: str, default: int | None = None, low: int = 1) -> int:
        """Return a whole number of at least ``low``."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise CheckpointError(
                f"{self.where}.{key}: is {value!r}; a whole number of at least {low} is needed"
            )
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return a truth value."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.where}.{key}: is {value!r}; true or false is needed")
        return value

    def choice(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Return one of some names."""
        value = self.values.get(key)
        value = default if value is None else value
        if value not in known:
            raise CheckpointError(f"{self.where}.{key}: is {value!r}; known are {', '.join(known)}")
        return str(value)

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names; none when it is missing."""
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise CheckpointError(f"{self.where}.{key}: is {value!r}; a list of names is needed")
        for one in value:
            self.pattern(key, one.removeprefix(PATTERN) if one.startswith(PATTERN) else "")
        return tuple(value)

    def pattern(self, key: str, text: str) -> re.Pattern[str]:
        """Return a pattern of names."""
        try:
            return re.compile(text)
        except re.error as error:
            raise CheckpointError(f"{self.where}.{key}: {text!r} is no pattern: {error}") from None

    def absent(self, *keys: str) -> None:
        """Refuse settings that change values and are not read."""
        for key in keys:
            if self.values.get(key):
                raise CheckpointError(f"{self.where}.{key}: is set, and is not read")


def codes_of(settings: Settings) -> str:
    """Return the format of codes of ``num_bits`` and ``type``.

    Raises:
        CheckpointError: there is none.
    """
    bits = settings.integer("num_bits", 8)
    if settings.choice("type", ("int", "float"), "int") == "int":
        if bits > 8:
            raise CheckpointError(f"{settings.where}.num_bits: is {bits}; 1 to 8 are read")
        return f"int{bits}"
    if bits not in _FLOATS:
        raise CheckpointError(
            f"{settings.where}.num_bits: is {bits}; floats have {', '.join(map(str, _FLOATS))}"
        )
    return _FLOATS[bits]
