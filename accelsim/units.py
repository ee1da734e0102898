"""Quantities with units: the one place that reads and prints ``32 KiB`` or ``1.2 TB/s``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

# Exact, so that "100 ns" and 1e-7 are one number, and equal chips have one id.
_SI = {
    prefix: Fraction(10) ** power
    for prefix, power in {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15}.items()
}
_SMALL = {
    prefix: Fraction(10) ** power
    for prefix, power in {"m": -3, "u": -6, "µ": -6, "n": -9, "p": -12, "f": -15}.items()
}
_BINARY = {
    prefix: Fraction(2) ** power
    for prefix, power in {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}.items()
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµ/²0-9]*)\s*")

#: Unit suffix of a key → the unit that a string value may be written in.
KEY_UNITS = {
    "bytes_per_s": "B/s",
    "bytes": "B",
    "hz": "Hz",
    "s": "s",
    "nm": "nm",
    "pj": "pJ",
    "w": "W",
    "mm2": "mm2",
    "um2": "um2",
    "v": "V",
}


def unit_of_key(key: str) -> str | None:
    """Return the unit that a key's name ends in (``size_bytes`` → ``B``), or None."""
    for suffix, unit in KEY_UNITS.items():
        if key == suffix or key.endswith("_" + suffix):
            return unit
    return None


def parse(text: str | float, unit: str) -> float:
    """Read a quantity in ``unit``; a plain number is already in it.

    Args:
        text: ``"32 KiB"``, ``"1.2 TB/s"``, ``"1e9"`` or a number.
        unit: base unit such as ``B``, ``B/s``, ``Hz``, ``s``, ``pJ``.

    Raises:
        ValueError: no number, another unit, or a value that is not finite.
    """
    if isinstance(text, bool):
        raise ValueError(f"found {text!r}, a number in {unit} is needed")
    if isinstance(text, int | float):
        return _finite(float(text), text)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"found {text!r}, a number with a unit such as '4 {unit}' is needed")
    number, suffix = match.groups()
    scale = _scale(suffix, unit)
    if scale is None:
        raise ValueError(f"found unit {suffix!r} in {text!r}, {unit} (with k, M, G, T) is needed")
    try:
        return _finite(float(Fraction(number) * scale), text)
    except OverflowError:
        return _finite(math.inf, text)


def _finite(value: float, text: object) -> float:
    if not math.isfinite(value):
        raise ValueError(f"found {text!r}, a finite number is needed")
    return value


def _scale(suffix: str, unit: str) -> Fraction | None:
    if suffix == "":
        return Fraction(1)
    if not suffix.endswith(unit):
        return None
    prefix = suffix[: len(suffix) - len(unit)]
    return (_SI | (_BINARY if unit.startswith("B") else _SMALL)).get(prefix)


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """Print with an SI prefix: ``si(2.5e9, "B/s")`` → ``2.5 GB/s``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}".rstrip()
    steps = [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)]
    steps += [("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12)]
    # A value that rounds up to 1000 belongs to the next prefix.
    rounded = float(f"{abs(value):.{digits}g}")
    for prefix, size in steps:
        if rounded >= size:
            return f"{_plain(value / size, digits)} {prefix}{unit}".rstrip()
    return f"{value:.{digits}g} {unit}".rstrip()


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text else text


def binary_size(n_bytes: float) -> str:
    """Print a memory's size with a binary prefix: ``2 MiB``."""
    for prefix in ("Ti", "Gi", "Mi", "Ki"):
        size = float(_BINARY[prefix])
        if n_bytes >= size:
            return f"{_plain(n_bytes / size, 4)} {prefix}B"
    return f"{n_bytes:g} B"


@dataclass(frozen=True, slots=True)
class Range:
    """A low / typical / high triple. The ends are corners, not confidence limits."""

    low: float = 0.0
    typical: float = 0.0
    high: float = 0.0

    def __add__(self, other: Range) -> Range:
        return self._with(other, lambda a, b: a + b)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.typical * factor, self.high * factor)

    def times(self, other: Range) -> Range:
        """Multiply corner by corner."""
        return self._with(other, lambda a, b: a * b)

    def _with(self, other: Range, combine: Callable[[float, float], float]) -> Range:
        return Range(
            combine(self.low, other.low),
            combine(self.typical, other.typical),
            combine(self.high, other.high),
        )

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"low": self.low, "typical": self.typical, "high": self.high}

    @staticmethod
    def total(parts: Iterable[Range]) -> Range:
        """Add up; each corner is summed exactly (order does not matter)."""
        listed = list(parts)
        return Range(
            math.fsum(p.low for p in listed),
            math.fsum(p.typical for p in listed),
            math.fsum(p.high for p in listed),
        )
