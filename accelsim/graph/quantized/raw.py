"""Tensors as safetensors files hold them: bits of a type, read from and written to their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry
from accelsim.graph.quantized.coded import numbers_of

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: Types of a file, and how NumPy holds their bits.
HELD: Mapping[str, Any] = {
    "BOOL": np.uint8, "U8": np.uint8, "I8": np.int8, "F8_E5M2": np.uint8, "F8_E4M3": np.uint8,
    "F8_E8M0": np.uint8, "I16": np.int16, "U16": np.uint16, "F16": np.float16, "BF16": np.uint16,
    "I32": np.int32, "U32": np.uint32, "F32": np.float32, "F64": np.float64, "I64": np.int64,
    "U64": np.uint64,
}  # fmt: skip
#: Types of a file that numbers and scales are read from, and their format.
FORMAT_OF: Mapping[str, str] = {
    "F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "ue4m3", "F8_E8M0": "e8m0",
}  # fmt: skip
TYPE_OF: Mapping[str, str] = {fmt: kind for kind, fmt in FORMAT_OF.items()}


class Raw(NamedTuple):
    """A tensor of a file.

    Attributes:
        kind: its type as the file spells it.
        values: its bits, in the type of ``HELD``.
    """

    kind: str
    values: Array


def read_raw(name: str, entry: Entry) -> Raw:
    """Return what lies at an entry's place.

    Raises:
        CheckpointError: a type that is not held, or a file that cannot be read or ends early.
    """
    if entry.dtype not in HELD:
        raise CheckpointError(
            f"{entry.file}: {name!r} is stored as {entry.dtype}; {', '.join(HELD)} are read"
        )
    count = math.prod(entry.shape)
    try:
        found = np.fromfile(entry.file, HELD[entry.dtype], count, offset=entry.offset)
    except OSError as error:
        raise CheckpointError(f"{entry.file}: cannot be read: {error.strerror}") from None
    if found.size != count:
        raise CheckpointError(f"{entry.file}: truncated while reading {name!r}")
    return Raw(entry.dtype, found.reshape(entry.shape))


def numbers(name: str, raw: Raw) -> Float32:
    """Return plain numbers or scales as float32.

    Raises:
        CheckpointError: they are of another type.
    """
    if raw.kind == "BF16":
        return (raw.values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if raw.kind in ("F32", "F16"):
        return raw.values.astype(np.float32)
    if raw.kind in FORMAT_OF:
        return numbers_of(FORMAT_OF[raw.kind])[raw.values]
    raise CheckpointError(
        f"{name}: is stored as {raw.kind}; numbers are read from {', '.join(FORMAT_OF)}"
    )


def stored(name: str, values: Float32, fmt: str) -> Raw:
    """Return float32 numbers in a format that holds them exactly.

    Raises:
        CheckpointError: numbers that are none of the format, or a format that is none.
    """
    if fmt not in TYPE_OF:
        raise CheckpointError(f"{name}: no format is {fmt!r}; {', '.join(TYPE_OF)} are allowed")
    kind = TYPE_OF[fmt]
    raw = Raw(kind, _bits(np.ascontiguousarray(values, np.float32), fmt))
    same = numbers(name, raw) == values
    if not same.all():
        raise CheckpointError(
            f"{name}: {int((~same).sum()):,} numbers of {same.size:,} are no numbers of {fmt}; "
            "round them first"
        )
    return raw


def _bits(values: Float32, fmt: str) -> Array:
    if fmt == "fp32":
        return values
    if fmt == "fp16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16)
    if fmt == "bf16":
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    # Both are in ascending order up to their NaN.
    table = numbers_of(fmt)[: 127 if fmt == "ue4m3" else 255]
    place: Array = np.searchsorted(table, values).clip(0, len(table) - 1).astype(np.uint8)
    return place
