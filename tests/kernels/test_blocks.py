"""Block formats against fractions, and against torchao where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.blocks import (
    BLOCK_FORMATS,
    SCALE_RULES,
    dequantize_blocks,
    quantize_blocks,
    tensor_scale,
)
from accelsim_kernels.codec import decode
from accelsim_kernels.codec_packing import pack_codes
from accelsim_kernels.formats import format_of
from accelsim_kernels.microxcaling import ELEMENTS, quantize_elementwise, quantize_mx
from tests.kernels import naive_blocks, naive_codec
from tests.kernels.support import SEEDS, numbers, same

POWERS = ("floor", "even", "ceil", "rceil")
CASES = [(name, rule) for name, row in BLOCK_FORMATS.items() for rule in
         (POWERS if row.scale == "e8m0" else ("absmax",))]  # fmt: skip


def mixed(seed: int, rows: int, k: int) -> npt.NDArray[np.float32]:
    """Return rows of their own magnitude, near powers of two, tiny, huge and zero."""
    rng = np.random.default_rng(seed)
    x = numbers(seed, rows, k, spread=4)
    with np.errstate(over="ignore"):
        x *= np.float32(2) ** rng.integers(-140, 118, (rows, 1)).astype(np.float32)
    peaks = rng.integers(1, 255, rows).astype(np.uint32) << 23
    peaks = (peaks + rng.integers(-3, 4, rows)).astype(np.uint32).view(np.float32)
    if k:
        x[:, rng.integers(k)] = np.where(rng.random(rows) < 0.5, peaks, x[:, 0])
    x[rng.random(rows) < 0.1] = 0
    return np.clip(np.nan_to_num(x), -3e38, 3e38).astype(np.float32)


@pytest.mark.parametrize(("name", "rule"), CASES)
@settings(max_examples=8)
@given(
    seed=SEEDS, k=st.integers(1, 40), block=st.sampled_from([0, 1, 8, 13]),
    rounding=st.sampled_from(["nearest_even", "nearest_away", "toward_zero"]),
    tensor=st.sampled_from([1.0, 0.25, 3.7e-5, 2.0**100]),
)  # fmt: skip
def test_blocks_are_those_of_the_standard(
    name: str, rule: str, seed: int, k: int, block: int, rounding: str, tensor: float
) -> None:
    fmt, x = BLOCK_FORMATS[name], mixed(seed, 3, k)
    tensor = tensor if name == "nvfp4" else 1.0
    found = quantize_blocks(x, name, rule, rounding, block=block, tensor_scale=tensor)
    size = block or fmt.block
    for row, codes, scales in zip(x.tolist(), found.codes, found.scales, strict=True):
        for number, scale in enumerate(scales.tolist()):
            part = slice(number * size, number * size + size)
            with np.errstate(all="ignore"):
                wanted = naive_blocks.quantize(row[part], name, rule, rounding, tensor)
            assert (codes[part].tolist(), scale) == wanted, (row[part], number)
    back = dequantize_blocks(*found, name, block=block, dtype=np.float64)
    for place in np.ndindex(x.shape):
        step = naive_codec.number(fmt.scale, int(found.scales[place[0], place[1] // size]))
        assert back[place] == naive_codec.number(fmt.element, int(found.codes[place])) * step


def test_special_numbers() -> None:
    x = np.zeros((4, 32), np.float32)
    x[0, 3], x[1, 4], x[2, 5] = np.nan, np.inf, -np.inf
    for name, rule in CASES:
        found = quantize_blocks(x, name, rule)
        fmt = BLOCK_FORMATS[name]
        numbers_ = decode(found.codes, fmt.element)
        assert np.isnan(decode(found.scales, fmt.scale)[0, 0])
        assert found.scales[3, 0] == (0 if fmt.scale == "e8m0" else 0x08)
        most = numbers_[1, 4]
        assert most == float(naive_blocks.largest(fmt.element)), name
        assert numbers_[2, 5] == (-most if format_of(fmt.element).is_float else -2.0)
        assert not numbers_[3].any()


@pytest.mark.parametrize("element", ["e4m3", "e5m2", "e2m1", "e2m3", "e3m2"])
@pytest.mark.parametrize("mode", ["FLOOR", "RCEIL", "CEIL", "EVEN"])
def test_torchao_mx(element: str, mode: str) -> None:
    torch = pytest.importorskip("torch")
    mx = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor")
    kinds = {
        "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2, "e2m1": torch.float4_e2m1fn_x2,
        "e2m3": mx.DTYPE_FP6_E2M3, "e3m2": mx.DTYPE_FP6_E3M2,
    }  # fmt: skip
    name = next(k for k in BLOCK_FORMATS if k.endswith(element))
    x = mixed(5, 400, 64)
    x[7, 3], x[8, 40], x[9, 2] = np.nan, np.inf, -np.inf
    mode_ = mx.ScaleCalculationMode[mode]
    scales, codes = mx.to_mx(torch.from_numpy(x), kinds[element], 32, mode_)
    found = quantize_blocks(x, name, f"torchao_{mode.lower()}")
    assert np.array_equal(found.scales, scales.view(torch.uint8).numpy())
    mine = pack_codes(found.codes, "fp4_e2m1") if element == "e2m1" else found.codes
    theirs = codes.view(torch.uint8).numpy()
    nan = np.isnan(decode(found.codes, BLOCK_FORMATS[name].element))
    assert np.array_equal(mine[~nan], theirs[~nan]) if nan.any() else np.array_equal(mine, theirs)


@pytest.mark.parametrize("scaled", [False, True])
def test_torchao_nvfp4(scaled: bool) -> None:
    torch = pytest.importorskip("torch")
    nv = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    x = mixed(6, 300, 48)
    x = x * np.float32(2.0**-60) if scaled else np.clip(x, -1e4, 1e4)
    scale = tensor_scale(x)
    given_ = torch.tensor(scale) if scaled else None
    if scaled:
        assert scale == float(nv.per_tensor_amax_to_scale(torch.from_numpy(x).abs().max()))
    scales, codes = nv.nvfp4_quantize(torch.from_numpy(x), 16, given_)
    found = quantize_blocks(x, "nvfp4", tensor_scale=scale if scaled else 1.0)
    assert np.array_equal(found.scales, scales.view(torch.uint8).numpy().reshape(300, 3))
    assert np.array_equal(pack_codes(found.codes, "fp4_e2m1"), codes.numpy())


LEAST = {"fp8_e4m3": -6, "fp8_e5m2": -14, "fp6_e3m2": -2, "fp6_e2m3": 0, "fp4_e2m1": 0,
         "fp16": -14, "bf16": -126}  # fmt: skip


@pytest.mark.parametrize("rounding", ["nearest", "floor", "even"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_microxcaling_elements(name: str, rounding: str) -> None:
    fmt = format_of(name)
    bits = fmt.mantissa_bits if fmt.is_float else fmt.bits - 2
    most = float(naive_blocks.largest(name)) if fmt.is_float else 2.0 - 2.0**-bits
    x = mixed(3, 30, 8).reshape(-1)
    x = np.concatenate([x, np.array([0.49999997, -0.0, 2.5, 0.24999999, 15.999999], np.float32)])
    found = quantize_elementwise(x, name, rounding, saturate=True)
    wanted = naive_blocks.microxcaling(x.tolist(), bits, LEAST.get(name, -9999), most, rounding)
    assert same(found, np.array(wanted, np.float32))


def test_microxcaling_blocks() -> None:
    x = mixed(4, 20, 40)
    kept = np.abs(x).max(axis=1) < 1e30
    x = np.where(np.abs(x) < 2.0**-100, 0, x)[kept]
    for name in ("fp8_e4m3", "fp4_e2m1", "int8"):
        found = quantize_mx(x, name, "even")
        assert found.shape == x.shape
        assert same(quantize_mx(found, name, "even") + 0.0, found + 0.0)
    odd = np.ones((4, 8), np.float32)
    odd[0, 1], odd[1, 2] = np.nan, -np.inf
    assert np.isnan(quantize_mx(odd, "int8", block=8)).all(axis=1).tolist() == [1, 1, 0, 0]
    tiny = np.full((1, 8), 2.0**-130, np.float32)
    assert not quantize_mx(tiny, "fp8_e4m3", flush=True).any()
    assert quantize_mx(tiny, "fp8_e4m3").all()
    # Its logarithm is 128 in binary32, and 2^128 is none of its numbers.
    huge = np.array([np.finfo(np.float32).max], np.float32)
    assert np.isnan(quantize_elementwise(huge, "fp8_e4m3", saturate=True)).all()
    assert quantize_elementwise(huge, "int8").tolist() == [127 / 64]


def test_any_layout_is_taken() -> None:
    x = mixed(1, 6, 64)
    x.flags.writeable = False
    whole = quantize_blocks(x, "mxfp8_e4m3")
    half = quantize_blocks(x[::2], "mxfp8_e4m3")
    assert np.array_equal(whole.codes[::2], half.codes)
    for shape in ((0, 32), (3, 0), (0, 0)):
        empty = quantize_blocks(np.zeros(shape, np.float32), "nvfp4")
        assert empty.codes.shape == shape
        assert dequantize_blocks(*empty, "nvfp4").shape == shape
        assert quantize_mx(np.zeros(shape, np.float32), "int8").shape == shape
    assert tensor_scale(np.zeros((0, 3), np.float32)) == 1.0


def test_rceil_is_exact_where_torchao_is_not() -> None:
    """Just above a power of two, torchao's binary32 logarithm is the power below."""
    x = np.zeros((1, 32), np.float32)
    x[0, 0] = np.nextafter(np.float32(448 * 2.0**40), np.float32(np.inf))
    x[0, 0] = np.nextafter(x[0, 0], np.float32(np.inf))
    assert quantize_blocks(x, "mxfp8_e4m3", "rceil").scales[0, 0] == 168
    assert quantize_blocks(x, "mxfp8_e4m3", "torchao_rceil").scales[0, 0] == 167


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers(2, 1100, 512)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("ACCELSIM_THREADS", threads)
        found.append(quantize_blocks(x, "mxfp6_e3m2"))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("arguments", "more", "text"),
    [
        ((np.zeros((2, 3)), "nvfp4"), {}, "x is float64, float32 is needed"),
        ((np.zeros(3, np.float32), "nvfp4"), {}, "a matrix is needed"),
        ((np.zeros((2, 3), np.float32), "mxfp5"), {}, "format is 'mxfp5'"),
        ((np.zeros((2, 3), np.float32), "nvfp4", "floor"), {}, "nvfp4 takes absmax"),
        ((np.zeros((2, 3), np.float32), "mxint8", "", "stochastic"), {}, "rounding is"),
        ((np.zeros((2, 3), np.float32), "mxint8"), {"block": -1}, "block is -1"),
        ((np.zeros((2, 3), np.float32), "mxint8"), {"tensor_scale": 2.0}, "blocks alone"),
        ((np.zeros((2, 3), np.float32), "nvfp4"), {"tensor_scale": 0.0}, "positive number"),
    ],
)
def test_what_does_not_fit_is_named(arguments: Any, more: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        quantize_blocks(*arguments, **more)


def test_what_does_not_fit_the_others_is_named() -> None:
    codes = np.zeros((2, 40), np.uint8)
    with pytest.raises(ValueError, match=r"scales has the shape \(2, 1\), \(2, 2\) is needed"):
        dequantize_blocks(codes, np.zeros((2, 1), np.uint8), "mxfp8_e4m3")
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="format is 'e8m0'"):
        quantize_mx(x, "e8m0")
    with pytest.raises(ValueError, match="rounding is 'up'"):
        quantize_elementwise(x, "int8", "up")
    with pytest.raises(ValueError, match="block is 0"):
        quantize_mx(x, "int8", block=0)
    with pytest.raises(ValueError, match="scale_bits is 9"):
        quantize_mx(x, "int8", scale_bits=9)
    assert {rule.scales for rule in SCALE_RULES.values()} == {"e8m0", "ue4m3"}
