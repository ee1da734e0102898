"""Block formats and affine integers, as other libraries make them."""

from __future__ import annotations

import numpy as np

from accelsim.validate.catalog.bits import Array, bits32, numbers
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.affine import (
    MAPPINGS,
    Parameters,
    choose_parameters,
    dequantize_affine,
    quantize_affine,
)  # fmt: skip
from accelsim_kernels.blocks import (
    BLOCK_FORMATS,
    Blocks,
    block_format,
    dequantize_blocks,
    quantize_blocks,
)  # fmt: skip
from accelsim_kernels.codec_packing import pack_codes
from accelsim_kernels.matmul import matmul_fp64
from accelsim_kernels.microxcaling import ELEMENTS, ROUNDINGS, quantize_elementwise, quantize_mx
from accelsim_kernels.rounding import round_to

_NUMBER = r"\d+"
_SWITCH = ("0", "1")
_SOURCES = ("f32", "bf16")
#: Elements as torchao's vectors spell them, and their block formats.
_TORCHAO = {
    "e4m3": "mxfp8_e4m3", "e5m2": "mxfp8_e5m2", "e2m1": "mxfp4_e2m1", "fp6_e2m3": "mxfp6_e2m3",
    "fp6_e3m2": "mxfp6_e3m2",
}  # fmt: skip


def _microxcaling(case: Case) -> Array:
    fields = case.fields
    found = quantize_mx(
        numbers(case["x"]), fields["format"], fields["rounding"],
        block=int(fields.get("block", "32")), flush=fields.get("flush") == "1",
    )  # fmt: skip
    return bits32(found)


def _elementwise(case: Case) -> Array:
    fields = case.fields
    found = quantize_elementwise(
        numbers(case["x"]), fields["format"], fields["rounding"],
        saturate=fields["saturate"] == "1", subnormals=fields["subnormals"] == "1",
    )  # fmt: skip
    return bits32(found)


def _gemm(case: Case) -> Array:
    """Return a product whose blocks lie along K, added in another order than torch's."""
    left, right = case["a"], np.ascontiguousarray(case["b"].T)
    rows, columns = (
        quantize_mx(part, case.fields["format"]).astype(np.float64) for part in (left, right)
    )
    return matmul_fp64(rows, columns).astype(np.float32)


def _source(case: Case) -> Array:
    """Return the numbers that torchao quantized: binary32, or what torch rounds to bfloat16."""
    x = numbers(case["x"])
    if case.fields["source"] == "f32":
        return x
    # Where torch rounds many numbers at once, every NaN becomes 0xFFFF.
    nan = np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), nan, round_to(x, "bf16").view(np.uint32)).view(np.float32)


def _part(blocks: Blocks, format: str, part: str) -> Array:
    if part == "scale":
        return blocks.scales
    element = block_format(format).element
    return pack_codes(blocks.codes, element) if element == "fp4_e2m1" else blocks.codes


def _torchao(case: Case) -> Array:
    name, rule = _TORCHAO[case.fields["format"]], f"torchao_{case.fields['mode'].lower()}"
    return _part(quantize_blocks(_source(case), name, rule), name, case.fields["part"])


def _nvfp4(case: Case) -> Array:
    scale = float(case["scale"]) if "scale" in case.arrays else 1.0
    blocks = quantize_blocks(_source(case), "nvfp4", "torchao_absmax", tensor_scale=scale)
    return _part(blocks, "nvfp4", case.fields["part"])


def _gfloat(case: Case) -> Array:
    """Return dequantized blocks; those that are not finite are NaN, as gfloat refuses them."""
    x, name = numbers(case["x"]), case.fields["format"]
    found = dequantize_blocks(*quantize_blocks(x, name, "floor"), name, dtype=np.float64)
    found[~np.isfinite(x).all(axis=1)] = np.nan
    return found


def _affine(case: Case) -> Array:
    fields, w = case.fields, case["w"]
    name, unit = fields["format"], fields["unit"]
    group = int(unit[1:]) if unit.startswith("g") else 0
    found: Parameters = choose_parameters(
        w, name, fields["mapping"].lower(), group=group, per_tensor=unit == "pt"
    )
    if fields["part"] in ("scale", "zp"):
        return found.scales if fields["part"] == "scale" else found.zero_points
    codes = quantize_affine(w, *found, name, group=group)
    return codes if fields["part"] == "q" else dequantize_affine(codes, *found, group=group)


def _mx(name: str, fields: dict[str, str | tuple[str, ...]], x: str) -> Output:
    known = {"format": ELEMENTS, "rounding": tuple(ROUNDINGS), **fields}
    compute = _elementwise if "_elem_" in name else _microxcaling
    return Output("mx_microxcaling", name, known, {"x": x}, "fp32", compute, key="")


def _blocks(
    name: str, holds: str, fields: dict[str, str | tuple[str, ...]], needs: dict[str, str]
) -> Output:
    known = {"source": _SOURCES, **fields}
    compute = _nvfp4 if "nvfp4" in name else _torchao
    return Output("mx_torchao_gfloat", name, known, needs, holds, compute, key="")


_NAME = "microxcaling_{format}_{rounding}"
_MODES = ("FLOOR", "RCEIL", "CEIL", "EVEN")
_GLOBAL = "torchao_nvfp4_global_{source}"

OUTPUTS: tuple[Output, ...] = (
    _mx(_NAME + "_flush{flush}", {"flush": _SWITCH}, "x"),
    _mx(_NAME + "_bs{block}", {"block": _NUMBER}, "x{block}"),
    _mx(_NAME + "_len{length}", {"length": _NUMBER}, "x{length}"),
    _mx(
        "microxcaling_elem_{format}_{rounding}_sat{saturate}_denorm{subnormals}",
        {"saturate": _SWITCH, "subnormals": _SWITCH}, "x",
    ),
    Output(
        "mx_microxcaling", "microxcaling_gemm_{format}", {"format": ELEMENTS},
        {"a": "gemm_a", "b": "gemm_b"}, "fp32", _gemm, key="",
    ),
    *(
        _blocks(
            "torchao_mx_{format}_{mode}_{source}_{part}", holds,
            {"format": formats, "mode": _MODES, "part": (part,)}, {"x": "x"},
        )
        for part, formats, holds in (
            ("scale", tuple(_TORCHAO), "e8m0"), ("q", ("e4m3",), "fp8_e4m3"),
            ("q", ("e5m2",), "fp8_e5m2"), ("q", ("e2m1", "fp6_e2m3", "fp6_e3m2"), "number"),
        )
    ),
    *(
        _blocks(f"{name}_{{part}}", holds, {"part": (part,)}, needs)
        for part, holds in (("scale", "fp8_e4m3"), ("q", "number"))
        for name, needs in (
            ("torchao_nvfp4_noglobal_{source}", {"x": "x16"}),
            (_GLOBAL, {"x": _GLOBAL + "_x", "scale": _GLOBAL + "_pts"}),
        )
    ),
    Output(
        "mx_torchao_gfloat", "gfloat_block_{format}",
        {"format": tuple(k for k, row in BLOCK_FORMATS.items() if row.scale == "e8m0")},
        {"x": "x"}, "fp64", _gfloat, key="",
    ),
    Output(
        "intquant_torchao", "torchao_{format}_{unit}_{mapping}_{part}",
        {
            "format": ("int4", "int8", "uint4", "uint8"),
            "unit": r"pc|pt|g\d+",
            "mapping": tuple(mapping.upper() for mapping in MAPPINGS),
            "part": ("scale", "zp", "q", "dq"),
        },
        {"w": "w"}, "int", _affine, key="", listed={"unit": ("pc", "pt", "g32", "g64", "g128")},
    ),
)  # fmt: skip
