"""The one face of all products: what it takes, what it refuses, parts of K."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim_kernels import PRESETS
from accelsim_kernels.product import matmul

A8, B8 = np.full((3, 40), 0x38, np.uint8), np.full((5, 40), 0x38, np.uint8)  # ones
ONES = np.full((3, 5), 40.0, np.float32)
E8 = {"a_scales": np.full((3, 2), 127, np.uint8), "b_scales": np.full((5, 2), 127, np.uint8)}


def test_codes_in_bits_out() -> None:
    found = matmul(A8, B8, "hopper_fp8")
    assert found.dtype == np.uint32
    assert np.array_equal(found.view(np.float32), ONES)
    half = matmul(A8, B8, PRESETS["hopper_fp8_f16"])
    assert np.array_equal(half.view(np.float16), ONES)


def test_floating_point_arrays_are_bits() -> None:
    a, b = np.ones((3, 40), np.float16), np.ones((5, 40), np.float16)
    wanted = matmul(a.view(np.uint16), b.view(np.uint16), "ampere_fp16")
    assert np.array_equal(matmul(a, b, "ampere_fp16"), wanted)
    c = np.full((3, 5), 2.0, np.float32)
    assert np.array_equal(matmul(a, b, "ampere_fp16", c).view(np.float32), ONES + 2)
    tf32 = matmul(a.astype(np.float32), b.astype(np.float32), "ampere_tf32")
    assert np.array_equal(tf32.view(np.float32), ONES)


def test_operands_are_left_as_they_are() -> None:
    a, b, c = A8.copy(), B8.copy(), np.zeros((3, 5), np.uint32)
    for array in (a, b, c):
        array.flags.writeable = False
    matmul(a, b, "hopper_fp8", c)
    assert np.array_equal(a, A8) and np.array_equal(b, B8) and not c.any()


def test_any_layout() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 120, (40, 6), np.uint8).T[::2], rng.integers(0, 120, (5, 80), np.uint8)
    found = matmul(a, b[:, ::2], "hopper_fp8")
    assert np.array_equal(found, matmul(a.copy(), np.ascontiguousarray(b[:, ::2]), "hopper_fp8"))


@pytest.mark.parametrize("name", ["hopper_fp8", "blackwell_nvfp4"])
@pytest.mark.parametrize("shape", [(0, 5, 32), (3, 0, 32), (3, 5, 0)])
def test_nothing_to_do(name: str, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    scales: dict[str, Any] = {}
    if PRESETS[name].scale:
        scales = {f"{x}_scales": np.zeros((r, k // 16), np.uint8) for x, r in (("a", m), ("b", n))}
    c = np.full((m, n), 0x80000000, np.uint32)
    found = matmul(np.zeros((m, k), np.uint8), np.zeros((n, k), np.uint8), name, c, **scales)
    assert np.array_equal(found, c)  # minus zero is kept where no instruction runs


def test_packed_fp4_is_the_same() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 16, (rows, 70), np.uint8) for rows in (4, 7))
    for name in ("blackwell_nvfp4", "blackwell_fp8"):
        more: dict[str, Any] = {}
        if name == "blackwell_nvfp4":
            more = {f"{x}_scales": rng.integers(40, 60, (r, 5), np.uint8)
                    for x, r in (("a", 4), ("b", 7))}  # fmt: skip
        wanted = matmul(a, b, name, a_format="fp4_e2m1", b_format="fp4_e2m1", **more)
        packed = [x[:, ::2] | (x[:, 1::2] << 4) for x in (a, b)]
        found = matmul(
            packed[0], packed[1], name, a_format="fp4_e2m1x2", b_format="fp4_e2m1x2", **more
        )
        assert np.array_equal(found, wanted)


def test_promotion_adds_ranges_in_fp32() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.integers(0, 120, (rows, 300), np.uint8) for rows in (4, 130))
    scales = rng.random((4, 3), np.float32), rng.random((2, 3), np.float32)
    found = matmul(a, b, "hopper_fp8_promoted", a_scales=scales[0], b_scales=scales[1])
    total = np.zeros((4, 130), np.float32)
    for part in range(3):
        k = slice(128 * part, 128 * part + 128)
        one = matmul(a[:, k], b[:, k], "hopper_fp8").view(np.float32)
        column = np.repeat(scales[1][:, part], 128)[:130]
        factor = scales[0][:, part, None] * column
        # A product of two binary32 numbers is exact in binary64; so is the sum here, or nearly so.
        total = (factor.astype(np.float64) * one + total).astype(np.float32)
    assert np.array_equal(found.view(np.float32), total)


def test_split_k_adds_parts_in_fp32() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 120, (rows, 300), np.uint8) for rows in (4, 5))
    made = replace(PRESETS["hopper_fp8"], name="split", split=3)
    c = np.ones((4, 5), np.float32)
    total = c.copy()
    for start in (0, 128, 256):  # ceil(300 / 3 / 32) instructions
        k = slice(start, start + 128)
        total += matmul(a[:, k], b[:, k], "hopper_fp8").view(np.float32)
    assert np.array_equal(matmul(a, b, made, c).view(np.float32), total)


REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "preset": ((A8, B8, "hoper_fp8"), {}, "hopper_fp8"),
    "format": ((A8, B8, "hopper_fp8"), {"a_format": "fp16"}, "a_format is 'fp16'; hopper_fp8"),
    "type": ((A8.astype(np.int32), B8, "hopper_fp8"), {}, "a is int32; codes of fp8_e4m3"),
    "vector": ((A8[0], B8, "hopper_fp8"), {}, "a has the shape"),
    "depth": ((A8[:, 1:], B8, "hopper_fp8"), {}, "a has K=39, b has K=40"),
    "c shape": ((A8, B8, "hopper_fp8", np.zeros((5, 3), np.uint32)), {}, "c has the shape"),
    "c type": ((A8, B8, "hopper_fp8", np.zeros((3, 5), np.int64)), {}, "c is int64"),
    "range": ((A8, B8, "blackwell_fp8"), {"b_format": "fp4_e2m1"}, "b holds 56; .* 0 to 15"),
    "missing": ((A8, B8, "blackwell_mxfp8"), {}, "a_scales is missing"),
    "unwanted": ((A8, B8, "hopper_fp8"), E8, "a_scales is given"),
    "length": (
        (A8, B8, "blackwell_mxfp8"), {**E8, "b_scales": E8["a_scales"]}, "b_scales has the shape"
    ),
    "scale type": (
        (A8, B8, "blackwell_mxfp8"), {**E8, "a_scales": np.ones((3, 2), np.float32)},
        "a_scales is float32",
    ),
    "half promoted": (
        (A8, B8, replace(PRESETS["hopper_fp8_f16"], promotion=128)), {}, "in FP32"
    ),
    "chunk": ((A8, B8, replace(PRESETS["hopper_fp8"], chunk=64)), {}, "chunk is 64"),
    "bits": ((A8, B8, replace(PRESETS["hopper_fp8"], fraction_bits=30)), {}, "fraction_bits"),
    "zero": ((A8, B8, replace(PRESETS["hopper_fp8"], zero_exponent=0)), {}, "zero_exponent"),
    "group": (
        (A8 & 7, B8 & 7, replace(PRESETS["blackwell_mxfp4"], group=8)), E8, "groups of 8"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    arguments, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        matmul(*arguments, **options)


def test_an_arithmetic_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="arithmetic is int"):
        matmul(A8, B8, 3)  # type: ignore[arg-type]  # that is the point
