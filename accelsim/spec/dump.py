"""A chip back as YAML: everything merged and filled in, with units where they lose nothing."""

from __future__ import annotations

from typing import Any

import yaml

from accelsim.spec.arch import ArchSpec
from accelsim.units import binary_size, parse, si, unit_of_key

#: Units of the keys that may be written as text; all others are plain numbers.
_WRITTEN = ("B", "B/s", "Hz", "s")
_DIGITS = 15


def arch_yaml(arch: ArchSpec) -> str:
    """Return a file that loads to the same chip."""
    data = _readable(arch.model_dump(mode="json", exclude_none=True), "")
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _readable(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {k: _readable(v, k) for k, v in value.items() if not _says_nothing(k, v)}
    if isinstance(value, list):
        return [_readable(entry, "") for entry in value]
    unit = unit_of_key(key)
    if unit in _WRITTEN and isinstance(value, int | float):
        return _quantity(value, unit)
    return value


def _says_nothing(key: str, value: Any) -> bool:
    return (key == "estimated" and value is False) or value in ([], {}, "")


def _quantity(value: float, unit: str) -> str | float:
    text = binary_size(value) if unit == "B" else si(value, unit, digits=_DIGITS)
    return text if parse(text, unit) == value else value
