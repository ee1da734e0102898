"""Affine integers step by step, and beside torchao where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.affine import (
    MAPPINGS,
    choose_parameters,
    dequantize_affine,
    limits,
    quantize_affine,
)
from tests.kernels.support import SEEDS, numbers, same

FORMATS = ("int2", "int4", "int8", "uint2", "uint4", "uint8")
F = np.float32


def naive_parameters(part: list[float], low: int, high: int, mapping: str) -> tuple[float, int]:
    least, most = F(min([0.0, *part])), F(max([0.0, *part]))
    floor = F(2.0**-126)
    if mapping == "asymmetric":
        scale = max((most - least) / F(high - low), floor)
        return float(scale), int(min(max(F(low) - np.rint(least / scale), low), high))
    if mapping == "symmetric":
        scale = max(-least, most) / F((high - low) / 2)
    else:
        below = least / F(low) if low else F(0)
        scale = max(below, most / F(high))
    return float(max(scale, floor)), (high + low + 1) // 2


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=15)
@given(
    seed=SEEDS, mapping=st.sampled_from(MAPPINGS), rows=st.integers(1, 3), k=st.integers(1, 30),
    group=st.integers(0, 12),
)  # fmt: skip
def test_step_by_step(format: str, seed: int, mapping: str, rows: int, k: int, group: int) -> None:
    x, (low, high) = numbers(seed, rows, k, spread=20), limits(format)
    found = choose_parameters(x, format, mapping, group=group)
    codes = quantize_affine(x, *found, format, group=group)
    back = dequantize_affine(codes, *found, group=group)
    size = group or k
    steps = found.scales.reshape(rows, -1)
    points = found.zero_points.reshape(rows, -1)
    for row, number in np.ndindex(steps.shape):
        part = slice(number * size, number * size + size)
        wanted = naive_parameters(x[row, part].tolist(), low, high, mapping)
        assert (float(steps[row, number]), int(points[row, number])) == wanted
        scale, point = F(wanted[0]), F(wanted[1])
        with np.errstate(over="ignore"):
            whole = np.clip(np.rint(x[row, part] * (F(1) / scale)) + point, low, high)
        assert np.array_equal(codes[row, part], whole)
        assert same(back[row, part], (whole - point) * scale)


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("unit", ["tensor", "row", "group"])
def test_torchao(mapping: str, unit: str) -> None:
    torch = pytest.importorskip("torch")
    ao = pytest.importorskip("torchao.quantization.quant_primitives")
    kinds = {
        "int4": (torch.int8, -8, 7), "int8": (torch.int8, -128, 127), "uint4": (torch.uint8, 0, 15),
    }  # fmt: skip
    x = numbers(9, 24, 96, spread=12)
    x[3], x[4] = np.abs(x[3]), -np.abs(x[4])
    block = {"tensor": (24, 96), "row": (1, 96), "group": (1, 32)}[unit]
    group = 32 if unit == "group" else 0
    for format, (kind, low, high) in kinds.items():
        t = torch.from_numpy(x)
        scales, points = ao.choose_qparams_affine(
            t, ao.MappingType[mapping.upper()], block, kind, low, high
        )
        codes = ao.quantize_affine(t, block, scales, points, kind, low, high)
        back = ao.dequantize_affine(codes, block, scales, points, kind, low, high)
        found = choose_parameters(x, format, mapping, group=group, per_tensor=unit == "tensor")
        mine = quantize_affine(x, *found, format, group=group)
        assert same(found.scales, scales.numpy())
        assert np.array_equal(found.zero_points, points.numpy())
        assert np.array_equal(mine, codes.numpy())
        assert same(dequantize_affine(mine, *found, group=group), back.numpy())


def test_special_numbers_and_layouts() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]], F)
    codes = quantize_affine(x, F(1.0), np.int32(0), "int4")
    assert codes.tolist() == [[-8, 7, -8, 0]]
    wide = numbers(1, 8, 12)
    wide.flags.writeable = False
    found = choose_parameters(wide[::2], "int8")
    assert np.array_equal(found.scales, choose_parameters(wide, "int8").scales[::2])
    assert choose_parameters(wide.T.copy().T, "uint4", per_tensor=True).scales.shape == ()
    for shape in ((0, 4), (3, 0)):
        empty = np.zeros(shape, F)
        found = choose_parameters(empty, "int8")
        assert quantize_affine(empty, *found, "int8").shape == shape
        assert dequantize_affine(empty.astype(np.int8), *found).shape == shape


@pytest.mark.parametrize(
    ("arguments", "more", "text"),
    [
        ((np.zeros((2, 3)), "int8"), {}, "x is float64"),
        ((np.zeros((2, 3), F), "fp8_e4m3"), {}, "format is 'fp8_e4m3'"),
        ((np.zeros((2, 3), F), "mxint8"), {}, "format is 'mxint8'"),
        ((np.zeros((2, 3), F), "int8", "affine"), {}, "mapping is 'affine'"),
        ((np.zeros((2, 3), F), "int8"), {"group": -2}, "group is -2"),
        ((np.zeros((2, 3), F), "int8"), {"group": 2, "per_tensor": True}, "group is 2"),
        ((np.full((2, 3), np.nan, F), "int8"), {}, "NaN or infinity"),
    ],
)
def test_what_has_no_scale_is_named(arguments: Any, more: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        choose_parameters(*arguments, **more)


def test_what_does_not_fit_is_named() -> None:
    x, one, zero = np.zeros((2, 6), F), np.ones(2, F), np.zeros(2, np.int32)
    with pytest.raises(ValueError, match=r"scales has the shape \(2,\), \(2, 3\) is needed"):
        quantize_affine(x, one, zero, "int8", group=2)
    with pytest.raises(ValueError, match="not positive"):
        quantize_affine(x, one * 0, zero, "int8")
    with pytest.raises(ValueError, match="no code of uint4"):
        quantize_affine(x, one, zero - 1, "uint4")
    with pytest.raises(ValueError, match="codes is int32, int8 is needed"):
        dequantize_affine(np.zeros((2, 6), np.int32), one, zero)
