"""Whether a JSON value is a run: the keys and types that every report relies on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

#: The version of ``run.json`` that is read and written.
SCHEMA_VERSION = 1

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _corners(value: Any) -> bool:
    return _table(value) and all(_number(value.get(c)) for c in ("low", "typical", "high"))


def _table_of(check: Check) -> Check:
    return lambda value: _table(value) and all(check(entry) for entry in value.values())


def _list_of(check: Check) -> Check:
    return lambda value: _list(value) and all(check(entry) for entry in value)


def _keys(**checks: Check) -> Check:
    return lambda value: (
        _table(value)
        and all(name in value and check(value[name]) for name, check in checks.items())
    )


def _optional(**checks: Check) -> Check:
    return lambda value: (
        _table(value) and all(check(value[name]) for name, check in checks.items() if name in value)
    )


def _both(first: Check, second: Check) -> Check:
    return lambda value: first(value) and second(value)


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _pair(value: Any) -> bool:
    return _list(value) and len(value) == 2 and all(_number(entry) for entry in value)


_DECIBELS = _or_null(_number)
_LEVEL = _keys(
    level=_whole, what=_text, n=_whole, exact_match=_number, fp32_exact_match=_number
)  # fmt: skip
_TASK = _keys(
    fp32_exact_match=_number, fp32_interval=_pair, difference=_number, difference_interval=_pair,
    levels=_list_of(_LEVEL),
)  # fmt: skip
_GAP = _both(
    _keys(problems=_whole),
    _optional(
        exact_match_exact=_or_null(_number), exact_match_fast=_or_null(_number), sqnr_db=_DECIBELS
    ),
)
_NUMERICS = _optional(
    tokens=_whole, text=_text, problems=_whole, native_ops=_list_of(_text), task=_or_null(_TASK),
    gap=_or_null(_GAP), signature=_text, weights=_text,
)  # fmt: skip

_NEEDED: Mapping[str, Mapping[str, Check]] = {
    "": {
        "id": _text, "arch": _text, "model": _text, "recipe": _text, "fidelity": _text,
        "phase": _text, "totals": _table, "layers": _list, "chip": _table,
    },
    "totals": {
        "cycles": _whole, "seconds": _number, "macs": _whole, "executed_macs": _whole,
        "energy_pj": _corners, "area_mm2": _corners, "power_w": _number, "dram_bytes": _whole,
        "utilization": _number, "bound_by": _text,
    },
    "chip": {"clock_hz": _number},
    "layer": {
        "name": _text, "op": _text, "shape": _table, "formats": _table_of(_text),
        "repeats": _whole, "macs": _whole, "executed_macs": _whole, "cycles": _whole,
        "compute_cycles": _whole, "stalls": _table_of(_whole), "bound_by": _text,
        "dram_bytes": _whole, "sram_bytes": _whole, "energy_pj": _corners, "utilization": _number,
    },
}  # fmt: skip

_OPTIONAL: Mapping[str, Mapping[str, Check]] = {
    "": {"sizes": _table_of(_number), "notes": _list_of(_text), "validation": lambda value: True,
         "numerics": _or_null(_NUMERICS)},
    "totals": {
        "tokens_per_second": _or_null(_number), "energy_per_token_j": _or_null(_corners),
        "energy_by_part": _table_of(_corners), "area_by_part": _table_of(_corners),
        "numerics_mode": _text, "sqnr_db": _DECIBELS, "max_abs_error": _or_null(_number),
        "sqnr_quantization_db": _DECIBELS, "sqnr_arithmetic_db": _DECIBELS,
        "top1_agreement": _or_null(_number), "kl_divergence": _or_null(_number),
        "exact_match": _or_null(_number), "exact_match_interval": _or_null(_pair),
        "exact_match_n": _or_null(_whole),
    },
    "chip": {
        "dram_bytes_per_s": _or_null(_number), "dram_sustained_bytes_per_s": _or_null(_number),
        "peaks": _list_of(_keys(activation=_text, weight=_text, macs_per_s=_number)),
        "levels": _list_of(_keys(name=_text, size_bytes=_number, bandwidth_bytes_per_s=_number)),
    },
    "layer": {
        "bytes_by_level": _table_of(_whole), "energy_by_part": _table_of(_corners),
        "start_ps": _whole, "duration_ps": _whole, "peak_macs_per_s": _number, "nest": _text,
        "mapping": _table_of(_number),
        "fused": _list_of(_text), "sqnr_quantization_db": _DECIBELS,
        "sqnr_arithmetic_db": _DECIBELS, "sqnr_propagated_db": _DECIBELS,
        "max_abs_error": _or_null(_number), "sqnr_stderr_db": _DECIBELS,
    },
}  # fmt: skip


def problem(value: Any) -> str:
    """Return why a value is not a run that can be reported, ``""`` when it is one."""
    if not isinstance(value, dict) or "schema_version" not in value:
        return "is not a run of accelsim: it has no schema_version"
    if value["schema_version"] != SCHEMA_VERSION:
        version = value["schema_version"]
        return f"has schema_version {version!r}; this accelsim reads {SCHEMA_VERSION}"
    found = _part_problem(value, "", "")
    for name in ("totals", "chip"):
        found = found or _part_problem(value[name], name, f"{name}.")
    if found:
        return found
    for index, layer in enumerate(value["layers"]):
        found = found or _part_problem(layer, "layer", f"layers[{index}].")
    return found


def _part_problem(value: Any, part: str, prefix: str) -> str:
    if not isinstance(value, dict):
        return f"is not a run of accelsim: {prefix.rstrip('.')} is not an object"
    for name, check in _NEEDED[part].items():
        if name not in value:
            return f"is not a run of accelsim: {prefix}{name} is missing"
        if not check(value[name]):
            return f"is not a run of accelsim: {prefix}{name} is of another kind"
    for name, check in _OPTIONAL[part].items():
        if name in value and not check(value[name]):
            return f"is not a run of accelsim: {prefix}{name} is of another kind"
    return ""
