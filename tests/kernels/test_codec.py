"""Codes and numbers of every format against the search in fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.cast import encode_fp8
from accelsim_kernels.codec import decode, encode, numbers_of
from accelsim_kernels.codec_packing import pack_codes, unpack_codes
from accelsim_kernels.codec_rules import ROUNDINGS
from accelsim_kernels.e8m0 import READINGS, encode_e8m0
from accelsim_kernels.formats import FORMATS, format_of
from tests.kernels import naive_codec
from tests.kernels.support import SEEDS

P3109 = tuple(
    f"p3109_k{k}p{p}{sign}{domain}"
    for k in range(2, 9)
    for sign in "su"
    for domain in "fe"
    for p in range(1, k + (sign == "u"))
)
NARROW = (*(name for name, fmt in FORMATS.items() if fmt.bits <= 8 and name != "bool"), *P3109)
ENCODED = tuple(name for name in NARROW if format_of(name).has_zero)
HALVES = ("fp16", "bf16", "int16", "uint16")
PLAIN = tuple(name for name, how in ROUNDINGS.items() if not how.random)
RANDOM = tuple(name for name, how in ROUNDINGS.items() if how.random)
SPECIAL = (np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0, 3e38, -3e38, 1e-45, -1e-45, 2e-38, -1.0)


def points(name: str, count: int) -> npt.NDArray[np.float32]:
    """Return numbers on, halfway between, and beside those of a format, and special ones."""
    grid = np.array(naive_codec.grid(name)[: 2 ** (count + 1)])
    halves = (grid[1:] + grid[:-1]) / 2
    with np.errstate(over="ignore"):
        exact = np.concatenate([grid, halves]).astype(np.float32)
    beside = [np.nextafter(exact, np.float32(edge)) for edge in (-np.inf, np.inf)]
    found = np.concatenate([exact, *beside])
    return np.concatenate([found, -found, np.array(SPECIAL, np.float32)])


def check(x: npt.NDArray[Any], name: str, rounding: str, overflow: str, **more: Any) -> None:
    fmt = format_of(name)
    missing = 0 if fmt.nan_code is None and overflow == "overflow" else None
    found = encode(x, name, rounding, overflow, missing=missing, **more)
    bits, count = more.get("bits", np.zeros(x.size, int)), more.get("bit_count", 0)
    wanted = [
        0 if missing == 0 and np.isnan(value) else naive_codec.encode(
            value, name, rounding, overflow, drawn, count, more.get("flush", False)
        )
        for value, drawn in zip(x.tolist(), bits.tolist(), strict=True)
    ]  # fmt: skip
    wrong = np.flatnonzero(found != np.array(wanted))
    assert wrong.size == 0, [(x[i], found[i], wanted[i]) for i in wrong[:5]]


@pytest.mark.parametrize("name", NARROW)
def test_every_code_is_decoded_and_encoded_again(name: str) -> None:
    fmt = format_of(name)
    wanted = np.array([naive_codec.number(name, code) for code in range(2**fmt.bits)])
    codes = np.arange(2**fmt.bits, dtype=np.uint8)
    kept = ~np.isnan(wanted) & ~(fmt.sign_ignored & (codes > 0x7F))
    for dtype in (np.float32, np.float64):
        found = decode(codes, name, dtype)
        assert np.array_equal(found, wanted, equal_nan=True)
        assert np.array_equal(np.signbit(found[kept]), np.signbit(wanted[kept]))
        for rounding in PLAIN:
            overflow = "saturate" if fmt.nan_code is None else "overflow"
            assert np.array_equal(encode(found, name, rounding, overflow)[kept], codes[kept])
        assert np.isnan(wanted[encode(found, name)[np.isnan(wanted)]]).all()


@pytest.mark.parametrize("name", [name for name in ENCODED if name not in P3109])
def test_every_tie_and_what_lies_beside(name: str) -> None:
    x = points(name, format_of(name).bits)
    check(x, name, "nearest_even", "saturate")
    for place, rounding in enumerate(PLAIN):
        for overflow in ("saturate", "overflow"):
            check(x[place::17], name, rounding, overflow)
            check(x[place::19].astype(np.float64), name, rounding, overflow)
    check(x[::5], name, "nearest_even", "saturate", flush=True)


@pytest.mark.parametrize("bits", range(2, 9))
def test_ties_of_p3109(bits: int) -> None:
    for name in P3109:
        if format_of(name).bits != bits:
            continue
        x = points(name, bits)
        chosen = np.random.default_rng(bits).choice(x, 24)
        for rounding in PLAIN:
            for overflow in ("saturate", "overflow"):
                check(chosen, name, rounding, overflow)
        check(x[-len(SPECIAL) :].astype(np.float64), name, "nearest_even", "overflow")


@pytest.mark.parametrize("name", HALVES)
@settings(max_examples=10)
@given(seed=SEEDS, rounding=st.sampled_from(PLAIN))
def test_wider_formats(name: str, seed: int, rounding: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**32, 200, dtype=np.uint32).view(np.float32)
    near = (rng.standard_normal(200) * 2.0 ** rng.integers(-30, 18, 200)).astype(np.float32)
    for numbers in (x, near, near.astype(np.float64) * (1 + 2.0**-40)):
        for overflow in ("saturate", "overflow"):
            check(numbers, name, rounding, overflow)


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(RANDOM), st.integers(1, 20), st.sampled_from((*ENCODED, "bf16")))
def test_random_bits(seed: int, rounding: str, count: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    fmt = format_of(name)
    spread = rng.integers(fmt.least_exponent - 4, fmt.largest_exponent + 3, 64)
    with np.errstate(over="ignore"):
        x = (rng.standard_normal(64) * 2.0 ** np.clip(spread, -130, 127)).astype(np.float32)
    bits = rng.integers(0, 2**count, 64, dtype=np.uint32)
    check(x, name, rounding, "saturate", bits=bits, bit_count=count)
    check(x.astype(np.float64), name, rounding, "saturate", bits=bits, bit_count=count)


@settings(max_examples=20)
@given(SEEDS, st.sampled_from(PLAIN))
def test_formats_of_32_bits(seed: int, rounding: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**64, 100, dtype=np.uint64).view(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype(np.float32)
    if rounding == "nearest_even":
        found = decode(encode(x, "fp32", rounding, "overflow"), "fp32")
        assert np.array_equal(found, wanted, equal_nan=True)
    single = rng.integers(0, 2**32, 100, dtype=np.uint32).view(np.float32)
    kept = ~np.isnan(single)
    codes = encode(single, "fp32", rounding, "overflow")
    assert np.array_equal(codes[kept], single.view(np.uint32)[kept])
    # tf32 is bfloat16 with three more places; what it cuts off are the low 13 bits.
    cut = encode(single, "tf32", "toward_zero", "overflow")
    assert np.array_equal(cut[kept], single.view(np.uint32)[kept] & np.uint32(0xFFFFE000))
    with np.errstate(invalid="ignore"):
        whole = np.rint(single.astype(np.float64))
    found = decode(encode(single, "int32"), "int32", np.float64)
    assert np.array_equal(found[kept], np.clip(whole, -(2.0**31), 2.0**31 - 1)[kept])
    same = encode(x, "fp64", rounding, "overflow")
    assert np.array_equal(decode(same, "fp64", np.float64), x, equal_nan=True)


def test_one_rounding_not_two() -> None:
    """A binary64 number beside a tie is not rounded to the tie first."""
    tie = 1.0 + 2.0**-4
    assert encode(np.array([tie, tie + 2.0**-40]), "fp8_e4m3").tolist() == [0x38, 0x39]


def test_every_binary32_number_by_strides() -> None:
    """The older kernel of FP8 has a route of its own."""
    x = np.arange(0, 2**32, 9973, dtype=np.uint32).view(np.float32)
    for name in ("fp8_e4m3", "fp8_e5m2"):
        found, wanted = encode(x, name), encode_fp8(x, name)
        nan = np.isnan(x)
        assert np.array_equal(found[~nan], wanted[~nan])
        assert np.isnan(numbers_of(name)[found[nan]]).all()


@pytest.mark.parametrize("reading", READINGS)
def test_powers_of_two(reading: str) -> None:
    exact = np.array([naive_codec.number("e8m0", code) for code in range(255)])
    for tie, up in (("nearest_even", False), ("nearest_away", False), ("truncate", True)):
        found = encode_e8m0(exact, tie, up, True, np.int64(0), 0, reading)
        # The libraries' smallest power is the exponent field 0.
        assert np.array_equal(found, np.arange(255))
    assert encode(np.array([np.nan, -1.0, 0.0, 1.5, 3.0]), "e8m0").tolist() == [
        255,
        255,
        0,
        128,
        128,
    ]
    assert encode(np.array([np.inf, 2.0**128, 1e-300]), "e8m0").tolist() == [254, 254, 0]
    assert encode(np.array([np.inf, 2.0**128]), "e8m0", "up", "overflow").tolist() == [255, 255]


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(NARROW), st.integers(0, 40), st.integers(0, 3))
def test_codes_are_packed_without_gaps(seed: int, name: str, count: int, rows: int) -> None:
    bits = format_of(name).bits
    codes = np.random.default_rng(seed).integers(0, 2**bits, (rows, count), dtype=np.uint8)
    packed = pack_codes(codes, name)
    assert packed.shape == (rows, -(-count * bits // 8))
    for row, line in zip(packed, codes.tolist(), strict=True):
        whole = sum(code << (bits * place) for place, code in enumerate(line))
        assert int.from_bytes(row.tobytes(), "little") == whole
    assert np.array_equal(unpack_codes(packed, name, count), codes)


def test_four_codes_of_six_bits_take_three_bytes() -> None:
    assert pack_codes(np.array([1, 2, 3, 4], np.uint8), "fp6_e3m2").tolist() == [0x81, 0x30, 0x10]
    assert pack_codes(np.array([0x1, 0xF], np.uint8), "fp4_e2m1").tolist() == [0xF1]
    assert pack_codes(np.array([1, 2, 3], np.uint8), "int2").tolist() == [0b111001]


def test_any_layout_is_taken() -> None:
    x = np.linspace(-4, 4, 24, dtype=np.float32).reshape(4, 6)
    x.flags.writeable = False
    wanted = encode(x.copy(), "fp8_e4m3")
    assert np.array_equal(encode(x, "fp8_e4m3"), wanted)
    assert np.array_equal(encode(x.T, "fp8_e4m3"), wanted.T)
    assert np.array_equal(encode(x[::2, ::3], "fp8_e4m3"), wanted[::2, ::3])
    assert encode(np.float32(1.0), "fp8_e4m3").shape == ()
    for shape in ((0,), (3, 0), (0, 2)):
        empty = encode(np.zeros(shape, np.float32), "fp6_e2m3")
        assert empty.shape == shape
        assert decode(empty, "fp6_e2m3").shape == shape


@pytest.mark.parametrize(
    ("arguments", "more", "text"),
    [
        ((np.zeros(2, np.int32), "fp16"), {}, "x is int32, float32 or float64 is needed"),
        ((np.zeros(2), "fp9"), {}, "format is 'fp9'"),
        ((np.zeros(2), "fp4_e2m1"), {"missing": 16}, "missing is 16, no code of fp4_e2m1"),
        ((np.zeros(2), "int64"), {}, "has no codec"),
        ((np.zeros(2), "fp16", "odd"), {}, "rounding is 'odd'"),
        ((np.zeros(2), "fp16", "up", "wrap"), {}, "overflow is 'wrap'"),
        ((np.zeros(2), "fp4_e2m1", "up", "overflow"), {}, "neither infinity nor NaN"),
        ((np.zeros(2), "fp16", "stochastic"), {}, "bit_count from 1 to 32"),
        ((np.zeros(2), "fp16"), {"bit_count": 2}, "the rounding draws none"),
        (
            (np.zeros(2), "fp16", "stochastic"),
            {"bits": np.array([1, 4], np.uint8), "bit_count": 2}, "bits holds 4",
        ),
        (
            (np.zeros(2), "fp16", "stochastic"),
            {"bits": np.zeros(3, np.uint8), "bit_count": 2}, "bits is uint8",
        ),
        (
            (np.zeros(2), "fp64", "stochastic"),
            {"bits": np.zeros(2, np.uint32), "bit_count": 20}, "too many for this format",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(arguments: Any, more: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode(*arguments, **more)


def test_codes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="codes is int8, uint8 is needed"):
        decode(np.zeros(2, np.int8), "fp8_e4m3")
    with pytest.raises(ValueError, match="dtype is float16"):
        decode(np.zeros(2, np.uint8), "fp8_e4m3", np.float16)
    with pytest.raises(ValueError, match="up to 8 bits are packed"):
        pack_codes(np.zeros(2, np.uint8), "fp16")
    with pytest.raises(ValueError, match="at least one axis"):
        pack_codes(np.uint8(3), "int4")
    with pytest.raises(ValueError, match="5 codes of 4 bits take 3 bytes"):
        unpack_codes(np.zeros(2, np.uint8), "int4", 5)
