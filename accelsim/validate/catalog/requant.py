"""Integer layers and codes, as LiteRT's reference kernels, ONNX Runtime and torch make them."""

from __future__ import annotations

import numpy as np

from accelsim.validate.catalog.bits import Array
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.conv import conv2d_int8
from accelsim_kernels.integer import matmul_int8
from accelsim_kernels.requant import (
    TYPES,
    Requantization,
    activation_range,
    factors,
    requantize,
)
from accelsim_kernels.requant_float import dynamic_quantize, quantize_linear
from accelsim_kernels.requant_linear import linear_int8, linear_sums, matmul_int16


def _litert_quantize(case: Case) -> Array:
    """QUANTIZE: the source without its zero point, in int32, which wraps; a multiplier, a shift."""
    x, target = case["x"], str(case.fact("dst"))
    sums = (x.astype(np.int64) - case.fact("in_zp")).astype(np.int32)
    factor = factors(case.fact("in_scale"), 1.0, case.fact("out_scale"), "tflite")
    return requantize(sums[None], Requantization.of("tflite", factor, case.fact("out_zp"), target))


def _by(case: Case, rule: str, format: str) -> Requantization:
    scale, zero = float(case.fact("out_scale")), int(case.fact("out_zp"))
    low, high = activation_range(str(case.fact("act")).lower(), scale, zero, format)
    real = factors(case.fact("in_scale"), case["wscale"], scale, rule)
    return Requantization.of(rule, real, zero, format, low, high)


def _litert_linear(case: Case) -> Array:
    """FULLY_CONNECTED: the factor stays in binary64."""
    if case["x"].dtype == np.int16:
        sums = matmul_int16(case["x"], case["w"], case["b"])
        return requantize(sums, _by(case, "litert", "int16"))
    zero, bias = int(case.fact("in_zp")), case["b"]
    return linear_int8(case["x"], case["w"], _by(case, "litert", "int8"), zero, bias=bias)


def _litert_conv(case: Case) -> Array:
    """CONV_2D: a multiplier and a shift per channel."""
    stride, padding = int(case.fact("stride")), str(case.fact("padding")).lower()
    return conv2d_int8(
        case["x"], case["w"], _by(case, "tflite", "int8"), stride=(stride, stride),
        padding="same" if padding == "same" else "valid", x_zero=int(case.fact("in_zp")),
        bias=case["b"],
    )  # fmt: skip


def _right(case: Case) -> tuple[Array, Array]:
    """Return a right operand ``[k, n]`` by columns, and its zero points."""
    return np.ascontiguousarray(case["b"].T), case["b_zero"]


def _onnx_sums(case: Case) -> Array:
    b, zeros = _right(case)
    return linear_sums(case["a"], b, int(case["a_zero"]), zeros)


def _onnx_linear(case: Case) -> Array:
    b, zeros = _right(case)
    real = factors(case["a_scale"], case["b_scale"], case["y_scale"], "onnxruntime")
    target = case["y_zero"].dtype.name
    by = Requantization.of("onnxruntime", real, int(case["y_zero"]), target)
    return linear_int8(case["a"], b, by, int(case["a_zero"]), zeros)


def _onnx_quantize(case: Case) -> Array:
    codes = quantize_linear(case["x"], float(case.fields["scale"]), 0, case.fields["format"])
    return codes.astype(np.float32)


def _onnx_dynamic(case: Case) -> Array:
    codes, scale, zero = dynamic_quantize(case["x"])
    found: dict[str, Array] = {"y": codes, "scale": np.asarray(scale), "zp": np.asarray(zero)}
    return found[case.fields["role"]]


def _torch_quantize(case: Case) -> Array:
    scale, zero = float(case.fields["scale"]), int(case.fields["zero"])
    return quantize_linear(case["x"], scale, zero, case.fields["kind"], "torch")


def _torch_sums(case: Case) -> Array:
    return matmul_int8(case["a"], np.ascontiguousarray(case["b"].T))


_LAYER = {"x": "{case}_x", "w": "{case}_w", "b": "{case}_b", "wscale": "{case}_wscale"}
_CODES = {"a": "{case}_a", "b": "{case}_b", "a_zero": "{case}_az", "b_zero": "{case}_bz"}
_SCALES = {"a_scale": "{case}_as_", "b_scale": "{case}_bs", "y_scale": "{case}_ys"}
_INTEGERS = (*(name for name in TYPES if name != "int32"), "int4", "uint4")
_SCALE = r"[\d.]+(?:e-?\d+)?"

OUTPUTS: tuple[Output, ...] = (
    Output(
        "requant_tflite", "{case}_out_litert_ref", {"case": r"rq\d+"}, {"x": "{case}_x"}, "int",
        _litert_quantize,
    ),
    Output(
        "requant_tflite", "{case}_out_litert_ref", {"case": r"fc\d+"}, _LAYER, "int",
        _litert_linear,
    ),
    Output(
        "requant_tflite", "{case}_out_litert_ref", {"case": r"cv\d+"}, _LAYER, "int", _litert_conv
    ),
    Output(
        "requant_onnxruntime", "{case}_matmulinteger", {"case": r"qmm\d+"}, _CODES, "int",
        _onnx_sums,
    ),
    Output(
        "requant_onnxruntime", "{case}_y", {"case": r"qmm\d+"},
        {**_CODES, **_SCALES, "y_zero": "{case}_yz"}, "int", _onnx_linear,
    ),
    Output(
        "requant_onnxruntime", "ql_{format}_s{scale}",
        {"format": _INTEGERS, "scale": _SCALE}, {"x": "ql_x"}, "number", _onnx_quantize, key="",
        listed={"scale": ("1.0", "0.37")},
    ),
    Output(
        "requant_onnxruntime", "{case}_{role}",
        {"case": r"dql\d+", "role": ("y", "scale", "zp")}, {"x": "{case}_x"}, "number",
        _onnx_dynamic,
    ),
    Output(
        "requant_torch", "intmm_y", {}, {"a": "intmm_a", "b": "intmm_b"}, "int", _torch_sums,
        key="",
    ),
    Output(
        "requant_torch", "qpt_q{kind}_{scale}_{zero}",
        {"kind": ("int8", "uint8", "int32"), "scale": _SCALE, "zero": r"-?\d+"}, {"x": "qpt_x"},
        "int", _torch_quantize, key="",
        listed={"scale": ("0.5", "0.123", "1.0"), "zero": ("3", "-7", "7", "0")},
    ),
)  # fmt: skip
