"""The configurations of GPTQ, AWQ and torchao."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry, read_metadata
from accelsim.graph.quantized.described import Described, Settings
from accelsim.graph.quantized.layouts_torchao import QDATA
from accelsim.graph.quantized.scheme import ActivationCodes, Scheme

_GPTQ_BITS = (2, 3, 4, 8)


def describe_gptq(settings: Settings) -> Described:
    """Return what a configuration of GPTQ says.

    Raises:
        CheckpointError: a key or value that is not read.
    """
    layout = settings.choice("checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    whole = _gptq(settings, layout, None)
    special = settings.part("dynamic") if settings.values.get("dynamic") else Settings({}, "")
    # Of GPTQModel: patterns with settings of their own; "-:" leaves modules out.
    found = [
        (special.pattern(key, key.removeprefix("+:")), _gptq(special.part(key), layout, whole))
        for key in special.values
        if not key.startswith("-:")
    ]

    def scheme(module: str, parts: Mapping[str, Entry]) -> Scheme:
        return next((one for pattern, one in found if pattern.match(module)), whole)

    return Described("gptq", ("qweight",), scheme)


def _gptq(settings: Settings, layout: str, otherwise: Scheme | None) -> Scheme:
    bits = settings.integer("bits", int(otherwise.format[3:]) if otherwise else None)
    if bits not in _GPTQ_BITS:
        known = ", ".join(map(str, _GPTQ_BITS))
        raise CheckpointError(f"{settings.where}.bits: is {bits}; {known} are read")
    size = settings.integer("group_size", otherwise.group or -1 if otherwise else None, low=-1)
    symmetric = settings.flag("sym", otherwise.symmetric if otherwise else True)
    return Scheme(layout, f"int{bits}", max(size, 0), symmetric=symmetric)


def describe_awq(settings: Settings) -> Described:
    """Return what a configuration of AWQ says.

    Raises:
        CheckpointError: a key or value that is not read.
    """
    settings.choice("version", ("gemm", "GEMM"), "gemm")
    settings.choice("backend", ("autoawq",), "autoawq")
    bits = settings.integer("bits", settings.values.get("w_bit"))
    if bits != 4:
        raise CheckpointError(f"{settings.where}.bits: is {bits}; 4 is read")
    size = settings.integer("group_size", settings.values.get("q_group_size"), low=-1)
    found = Scheme("awq", "int4", max(size, 0), symmetric=not settings.flag("zero_point", True))
    return Described("awq", ("qweight",), lambda module, parts: found)


def describe_torchao(settings: Settings) -> Described:
    """Return what torchao says, tensor by tensor, in the headers of its files."""
    known: dict[Path, Mapping[str, str]] = {}

    def scheme(module: str, parts: Mapping[str, Entry]) -> Scheme:
        file = parts[QDATA].file
        if file not in known:
            known[file] = read_metadata(file)
        return _torchao(known[file].get(f"{module}.weight"), f"{file}: {module}.weight")

    return Described("torchao", (QDATA,), scheme)


def _torchao(text: str | None, where: str) -> Scheme:
    try:
        row = json.loads(text or "")
        kind, data = str(row["_type"]), Settings(row["_data"], where)
    except (ValueError, TypeError, KeyError):
        raise CheckpointError(f"{where}: its header does not say what it is") from None
    if kind not in _KINDS:
        raise CheckpointError(
            f"{where}: is a {kind} of torchao; {', '.join(_KINDS)} are read (what is packed for "
            "one device is not)"
        )
    return _KINDS[kind](data)


def _named(settings: Settings, key: str, names: Mapping[str, str]) -> str:
    value = settings.values.get(key)
    found = value.get("_data") if isinstance(value, Mapping) else value
    if found not in names:
        raise CheckpointError(f"{settings.where}.{key}: is {found!r}; {', '.join(names)} are read")
    return names[str(found)]


def _blocks(settings: Settings, found: Scheme) -> Scheme:
    """Sizes of blocks as rows and groups: a block of one whole row has no group."""
    size = settings.values.get("block_size")
    if not isinstance(size, list) or len(size) != 2:
        raise CheckpointError(f"{settings.where}.block_size: is {size!r}; two sizes are needed")
    return replace(found, rows=int(size[0]), group=int(size[1]))


def _int8(settings: Settings) -> Scheme:
    return _blocks(settings, Scheme("torchao-int", "int8", activation=_by_token(settings, "int8")))


def _by_token(settings: Settings, fmt: str) -> ActivationCodes | None:
    given: Any = settings.values.get("act_quant_kwargs")
    if given is None:
        return None
    inner = Settings(given, f"{settings.where}.act_quant_kwargs").part("_data")
    granularity = inner.part("granularity").choice("_type", ("PerRow",))
    symmetric = "SYMMETRIC"
    if "mapping_type" in inner.values:
        symmetric = _named(inner, "mapping_type", {n: n for n in ("SYMMETRIC", "ASYMMETRIC")})
    return ActivationCodes(fmt, "token", symmetric=bool(granularity) and symmetric == "SYMMETRIC")


def _intx(settings: Settings) -> Scheme:
    widths = {f"int{bits}": f"int{bits}" for bits in range(1, 9)}
    activation = None
    if settings.values.get("activation_quantization") is not None:
        kind = _named(settings, "activation_quantization", {"int8_asym_per_token": "int8"})
        activation = ActivationCodes(kind, "token", symmetric=False)
    fmt = _named(settings, "target_dtype", widths)
    return _blocks(settings, Scheme("torchao-int", fmt, activation=activation))


def _float8(settings: Settings) -> Scheme:
    found = Scheme("torchao-float8", "fp8_e4m3", activation=_by_token(settings, "fp8_e4m3"))
    return _blocks(settings, found)


_ELEMENTS = {
    "float8_e4m3fn": "fp8_e4m3", "float8_e5m2": "fp8_e5m2", "float4_e2m1fn_x2": "fp4_e2m1",
}  # fmt: skip


def _mx(settings: Settings) -> Scheme:
    size, activation = settings.integer("block_size"), None
    if settings.values.get("act_quant_kwargs") is not None:
        inner = settings.part("act_quant_kwargs").part("_data")
        activation = ActivationCodes(_named(inner, "elem_dtype", _ELEMENTS), "group", size, "e8m0")
    fmt = _named(settings, "elem_dtype", _ELEMENTS)
    return Scheme(_swizzled(settings, "torchao-mx"), fmt, size, activation=activation)


def _nvfp4(settings: Settings) -> Scheme:
    size, activation = settings.integer("block_size"), None
    if settings.values.get("act_quant_kwargs") is not None:
        activation = ActivationCodes("fp4_e2m1", "group", size, "ue4m3")
    return Scheme(_swizzled(settings, "torchao-nvfp4"), "fp4_e2m1", size, activation=activation)


def _swizzled(settings: Settings, layout: str) -> str:
    return f"{layout}-swizzled" if settings.flag("is_swizzled_scales", False) else layout


_KINDS: Mapping[str, Callable[[Settings], Scheme]] = {
    "Int8Tensor": _int8, "IntxUnpackedToInt8Tensor": _intx, "Float8Tensor": _float8,
    "MXTensor": _mx, "NVFP4Tensor": _nvfp4,
}  # fmt: skip
