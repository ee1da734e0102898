"""Rounding and FP8 codes: every code, every midpoint, and libraries that do the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.cast import all_finite, decode_fp8, encode_fp8
from accelsim_kernels.rounding import round_to
from tests.kernels import naive
from tests.kernels.support import bits, same

FP8 = ("fp8_e4m3", "fp8_e5m2")
CODES = np.arange(256, dtype=np.uint8)


def midpoints(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Every tie between neighbours, all of which binary32 can hold."""
    finite = np.unique(values[np.isfinite(values)]).astype(np.float64)
    return ((finite[:-1] + finite[1:]) / 2).astype(np.float32)


def around(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values, midpoints between neighbours, and what lies right beside both."""
    points = np.concatenate([np.unique(values[np.isfinite(values)]), midpoints(values)])
    beside = [np.nextafter(points, np.float32(edge)) for edge in (-np.inf, np.inf)]
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3e38, -3e38], np.float32)
    # Half a step above the largest number of each format: infinite, or saturated.
    ends = np.array([65520.0, (2.0 - 2.0**-8) * 2.0**127, 464.0, 61440.0], np.float32)
    below, above = (np.nextafter(ends, np.float32(edge)) for edge in (0, np.inf))
    return np.concatenate([points, *beside, special, ends, -ends, below, above])


def test_every_bf16_number_and_every_tie() -> None:
    every = (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32)
    assert same(round_to(every, "bf16"), every)
    points = around(np.unique(every[np.isfinite(every)])[::97])
    points = np.concatenate([points, midpoints(every)])
    assert same(round_to(points, "bf16"), [naive.rounded(x, "bf16") for x in points.tolist()])


def test_every_fp16_number_and_every_tie() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    assert same(round_to(every, "fp16"), every)
    points = around(np.unique(every[np.isfinite(every)])[::61])
    points = np.concatenate([points, midpoints(every)])
    assert same(round_to(points, "fp16"), [naive.rounded(x, "fp16") for x in points.tolist()])


@pytest.mark.parametrize("fmt", FP8)
def test_every_fp8_code_and_every_tie(fmt: str) -> None:
    numbers = decode_fp8(CODES, fmt)
    real = np.isfinite(numbers)
    assert np.array_equal(encode_fp8(numbers[real], fmt), CODES[real])
    points = around(numbers)
    wanted = [naive.rounded(x, fmt, saturate=True) for x in points.tolist()]
    assert same(decode_fp8(encode_fp8(points, fmt), fmt), wanted)


@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_any_number(values: list[float]) -> None:
    x = np.array(values, np.float32)
    for fmt in ("bf16", "fp16"):
        assert same(round_to(x, fmt), [naive.rounded(v, fmt) for v in x.tolist()])
    for fmt in FP8:
        wanted = [naive.rounded(v, fmt, saturate=True) for v in x.tolist()]
        assert same(decode_fp8(encode_fp8(x, fmt), fmt), wanted)


def test_torch_rounds_alike() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(50_000) * 2.0 ** rng.integers(-150, 120, 50_000)).astype(np.float32)
    given_tensor = torch.from_numpy(x)
    for fmt, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        assert same(round_to(x, fmt), given_tensor.to(dtype).float().numpy())
    for fmt, dtype, top in (
        ("fp8_e4m3", torch.float8_e4m3fn, 448.0), ("fp8_e5m2", torch.float8_e5m2, 57344.0),
    ):  # fmt: skip
        inside = np.clip(x, -top, top)
        wanted = torch.from_numpy(inside).to(dtype).view(torch.uint8).numpy()
        assert np.array_equal(encode_fp8(inside, fmt), wanted)
        table = torch.from_numpy(CODES).view(dtype).float().numpy()
        assert same(decode_fp8(CODES, fmt), table)


@pytest.mark.parametrize(("fmt", "name"), [("fp8_e4m3", "e4m3fn"), ("fp8_e5m2", "e5m2")])
def test_published_casts(fmt: str, name: str, reference: Path) -> None:
    with np.load(reference / "numerics" / "open_casts.npz") as data:
        x = data[f"{name}__x"].view(np.float32)
        wanted = data[f"{name}__gfloat_TiesToEven_sat"].astype(np.uint8)
    found = encode_fp8(x, fmt)
    real = ~np.isnan(x)
    assert real.sum() > 2000
    assert np.array_equal(found[real], wanted[real])
    assert np.isnan(decode_fp8(found[~real], fmt)).all()


def test_the_sign_of_what_is_no_number_is_kept() -> None:
    x = np.array([np.nan, -np.nan] * 40, np.float32)
    for fmt in FP8:
        assert encode_fp8(x, fmt).tolist() == [0x7F, 0xFF] * 40
        assert np.isnan(decode_fp8(encode_fp8(x, fmt), fmt)).all()


def test_views_of_arrays_and_read_only_ones() -> None:
    x = np.linspace(-500, 500, 60, dtype=np.float32).reshape(6, 10)
    x.setflags(write=False)
    view = x.T[::3]
    assert same(round_to(view, "bf16"), round_to(view.copy(), "bf16"))
    codes = encode_fp8(x, "fp8_e4m3")
    assert np.array_equal(encode_fp8(view, "fp8_e4m3"), codes.T[::3])
    codes.setflags(write=False)
    assert same(decode_fp8(codes.T, "fp8_e4m3"), decode_fp8(codes, "fp8_e4m3").T)
    assert not all_finite(np.full((2, 2), np.inf, np.float32).T)


def test_finite_is_told_apart() -> None:
    x = np.ones((3, 5), np.float32)
    assert all_finite(x)
    assert all_finite(np.zeros((0,), np.float32))
    for wrong in (np.nan, np.inf, -np.inf):
        y = x.copy()
        y[2, 4] = wrong
        assert not all_finite(y)


def test_what_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="format is 'int8'; fp32, bf16, fp16 are allowed"):
        round_to(np.zeros(1, np.float32), "int8")
    with pytest.raises(ValueError, match="x is float64, float32 is needed"):
        round_to(np.zeros(1), "bf16")
    with pytest.raises(ValueError, match="format is 'fp8'; fp8_e4m3, fp8_e5m2 are allowed"):
        encode_fp8(np.zeros(1, np.float32), "fp8")
    with pytest.raises(ValueError, match="codes is int8, uint8 is needed"):
        decode_fp8(np.zeros(1, np.int8), "fp8_e4m3")
    assert bits(round_to(np.zeros((2, 0), np.float32), "bf16")).shape == (2, 0)
