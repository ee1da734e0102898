"""Casts beside the libraries whose conventions they follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelsim_kernels.codec import encode, numbers_of
from accelsim_kernels.conventions import CONVENTIONS, library_cast
from accelsim_kernels.formats import FORMATS, format_of

_ALL = np.arange(0, 2**32, 49_999, dtype=np.uint32)
#: Numbers of every exponent, and those around the ends of FP8.
_X = np.concatenate(
    [_ALL, np.arange(0x43DF0000, 0x43F10000, 4096, dtype=np.uint32),
     np.arange(0x00000000, 0x00C00000, 65_521, dtype=np.uint32), _ALL ^ np.uint32(0x7FFFFFFF)]
).view(np.float32)  # fmt: skip

ML_DTYPES = {
    "fp8_e4m3": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2", "fp8_e4m3fnuz": "float8_e4m3fnuz",
    "fp8_e5m2fnuz": "float8_e5m2fnuz", "fp8_e4m3b11fnuz": "float8_e4m3b11fnuz",
    "fp8_e4m3ieee": "float8_e4m3", "fp8_e3m4ieee": "float8_e3m4", "e8m0": "float8_e8m0fnu",
    "bf16": "bfloat16", "fp16": "float16", "fp6_e3m2": "float6_e3m2fn", "fp6_e2m3": "float6_e2m3fn",
    "fp4_e2m1": "float4_e2m1fn",
}  # fmt: skip
TORCH = {
    "fp8_e4m3": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2", "fp8_e4m3fnuz": "float8_e4m3fnuz",
    "fp8_e5m2fnuz": "float8_e5m2fnuz", "e8m0": "float8_e8m0fnu", "bf16": "bfloat16",
    "fp16": "float16",
}  # fmt: skip


def _same(found: npt.NDArray[Any], wanted: npt.NDArray[Any], format: str) -> bool:
    """Tell whether codes are equal, all NaNs being one."""
    numbers = numbers_of(format)
    nan = np.isnan(numbers[found]) & np.isnan(numbers[wanted])
    return bool(np.all((found == wanted) | nan))


@pytest.mark.parametrize("format", ML_DTYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ml_dtypes(format: str, dtype: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(getattr(ml_dtypes, ML_DTYPES[format], np.float16))
    with np.errstate(all="ignore"):
        x = _X.astype(dtype)
        wanted = x.astype(kind).view(np.uint8 if kind.itemsize == 1 else np.uint16)
    if kind == np.float16 and dtype == np.float64:
        return  # NumPy's own type, which rounds once
    assert _same(library_cast(x, format, "ml_dtypes"), wanted, format)


@pytest.mark.parametrize("format", TORCH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch(format: str, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    with np.errstate(all="ignore"):
        x = _X.astype(dtype)
    kind = getattr(torch, TORCH[format])
    bits = torch.uint8 if format_of(format).bits == 8 else torch.uint16
    wanted = torch.from_numpy(x).to(kind).view(bits).numpy()
    assert _same(library_cast(x, format, "torch"), wanted, format)


def test_gfloat() -> None:
    gfloat = pytest.importorskip("gfloat")
    formats = pytest.importorskip("gfloat.formats")
    x = np.linspace(-3.2, 3.2, 4001)
    for signed, precision in ((True, 3), (True, 4), (False, 2)):
        kind = gfloat.Signedness.Signed if signed else gfloat.Signedness.Unsigned
        for domain, letter in ((gfloat.Domain.Extended, "e"), (gfloat.Domain.Finite, "f")):
            info = formats.format_info_p3109(8, precision, kind, domain)
            name = f"p3109_k8p{precision}{'s' if signed else 'u'}{letter}"
            numbers = x if signed else np.abs(x)
            for mode, rounding in (("TiesToEven", "nearest_even"), ("TowardPositive", "up")):
                rounded = gfloat.round_ndarray(info, numbers, gfloat.RoundMode[mode])
                wanted = gfloat.encode_ndarray(info, rounded)
                assert np.array_equal(encode(numbers, name, rounding, "overflow"), wanted)


def test_every_convention_is_of_a_known_format() -> None:
    assert all(name in FORMATS for row in CONVENTIONS.values() for name in row)
    with pytest.raises(ValueError, match="library is 'jax'"):
        library_cast(_X, "fp8_e4m3", "jax")
    with pytest.raises(ValueError, match="format is 'fp4_e2m1'; torch has"):
        library_cast(_X, "fp4_e2m1", "torch")
    with pytest.raises(ValueError, match="x is int8, float32 or float64 is needed"):
        library_cast(np.zeros(1, np.int8), "bf16", "torch")
