"""Number formats, the arithmetic of matrix units, and kernels that give their bits.

Formats and presets are data that need neither NumPy nor Numba. Kernels are loaded with the first
name that is used of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from accelsim_kernels.formats import FORMATS, NumberFormat
from accelsim_kernels.presets import PRESETS, Arithmetic

#: Module → the public names that it defines.
_MODULES = {
    "affine": ("choose_parameters", "dequantize_affine", "quantize_affine"),
    "approx": (
        "fixed_exp", "fixed_inverse_root", "fixed_logistic", "fixed_reciprocal", "fixed_silu",
        "softmax_int",
    ),
    "approx_ibert": ("i_exp", "i_gelu", "i_layer_norm", "i_rms_norm", "i_softmax", "i_sqrt"),
    "attention": ("attention",),
    "attention_arithmetic": ("ATTENTION_PRESETS", "AttentionArithmetic"),
    "blocks": ("BLOCK_FORMATS", "dequantize_blocks", "quantize_blocks", "tensor_scale"),
    "cast": ("all_finite", "decode_fp8", "encode_fp8"),
    "codec": ("decode", "encode"),
    "codec_packing": ("pack_codes", "unpack_codes"),
    "conventions": ("library_cast",),
    "conv": ("conv2d_int8", "conv2d_sums"),
    "hadamard": ("hadamard_base",),
    "integer": (
        "PackedInt4", "PackedInt8", "matmul_int4", "matmul_int8", "pack_int4", "unpack_int4",
    ),
    "lookup": ("look_up", "table_int16", "table_int8"),
    "matmul": ("PackedChain", "matmul_chain", "matmul_fp64"),
    "microxcaling": ("quantize_elementwise", "quantize_mx"),
    "nm": ("compress_nm", "expand_nm", "keep_nm", "prune_compress_2to4"),
    "nonlinear": ("activation", "exp", "softmax"),
    "normalize": ("layer_norm", "rms_norm", "row_sum"),
    "product": ("matmul",),
    "quantize": (
        "QMAX", "absmax", "dequantize", "quantize", "quantize_weight", "rescale", "scales",
    ),
    "requant": (
        "RULES", "Requantization", "activation_range", "factors", "quantize_multiplier",
        "requantize",
    ),
    "requant_float": ("dynamic_quantize", "quantize_linear"),
    "requant_linear": ("linear_int8", "linear_sums", "matmul_int16"),
    "rounding": ("round_to",),
    "sparse": ("compress_2to4", "decompress_2to4", "matmul_2to4", "prune_2to4"),
    "sparse_torch": ("from_semi_structured", "prune_tiles", "to_semi_structured"),
    "tile": ("has_vnni",),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
#: Modules of the same name as the one thing in them: their name means the module.
_SHADOWED = frozenset(_MODULES) & frozenset(_HOMES)

__all__ = [  # the names of kernels are in the table above
    "FORMATS", "PRESETS", "Arithmetic", "NumberFormat", *sorted(set(_HOMES) - _SHADOWED),
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES or name in _SHADOWED:
        raise AttributeError(f"module 'accelsim_kernels' has no attribute {name!r}")
    return getattr(import_module(f"accelsim_kernels.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
