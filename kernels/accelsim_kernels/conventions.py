"""Casts as libraries make them, where they differ from each other: one table.

Read off torch 2.13 and ml_dtypes 0.6, and compared with both in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.codec import encode
from accelsim_kernels.e8m0 import encode_e8m0

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Convention:
    """One cast of a library: nearest, ties to even; binary64 is rounded to binary32 first.

    Attributes:
        overflow: ``saturate`` or ``overflow``, as ``encode`` knows them.
        nan: codes of NaN with and without its sign bit, where the format has none.
        tie: another tie than to even.
    """

    overflow: str = "overflow"
    nan: tuple[int, int] | None = None
    tie: str = "nearest_even"


_PLAIN, _SATURATING = Convention(), Convention("saturate")
_POWERS = Convention(tie="nearest_away")

#: Library → format → its cast.
CONVENTIONS = {
    "torch": {
        "fp8_e4m3": _SATURATING,  # infinity becomes 448, too
        "fp8_e5m2": _PLAIN, "fp8_e4m3fnuz": _PLAIN, "fp8_e5m2fnuz": _PLAIN, "e8m0": _POWERS,
        "bf16": _PLAIN, "fp16": _PLAIN,
    },
    "ml_dtypes": {
        "fp8_e4m3": _PLAIN, "fp8_e5m2": _PLAIN, "fp8_e4m3fnuz": _PLAIN, "fp8_e5m2fnuz": _PLAIN,
        "fp8_e4m3b11fnuz": _PLAIN, "fp8_e4m3ieee": _PLAIN, "fp8_e3m4ieee": _PLAIN,
        "e8m0": _POWERS, "bf16": _PLAIN, "fp16": _PLAIN,
        # NaN becomes a zero of the other sign.
        "fp6_e3m2": Convention("saturate", (0, 0x20)),
        "fp6_e2m3": Convention("saturate", (0, 0x20)),
        "fp4_e2m1": Convention("saturate", (0, 0x8)),
    },
}  # fmt: skip


def library_cast(x: npt.ArrayLike, format: str, library: str) -> Array:
    """Return the codes that a library's cast gives; NaN has one canonical code here.

    Args:
        x: float32 or float64, of any shape.
        format: one that the library has.
        library: one of ``CONVENTIONS``.

    Raises:
        ValueError: another type or name.
    """
    if library not in CONVENTIONS:
        raise ValueError(f"library is {library!r}; {', '.join(CONVENTIONS)} are allowed")
    known = CONVENTIONS[library]
    if format not in known:
        raise ValueError(f"format is {format!r}; {library} has {', '.join(known)}")
    how, given = known[format], np.asarray(x)
    if given.dtype not in (np.float32, np.float64):
        raise ValueError(f"x is {given.dtype}, float32 or float64 is needed")
    numbers = array("x", given, given.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = numbers.astype(np.float32, copy=False)
        wide = narrow.astype(np.float64)
    if format == "e8m0":
        saturate = how.overflow == "saturate"
        return encode_e8m0(wide, how.tie, False, saturate, np.int64(0), 0, library)
    codes = encode(narrow, format, how.tie, how.overflow)
    if how.nan is not None:
        nan = np.isnan(narrow)
        codes[nan] = np.where(np.signbit(narrow[nan]), *how.nan)
    return codes
