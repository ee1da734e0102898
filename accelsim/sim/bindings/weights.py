"""Weights as a chip stores them: codes and scales, laid out once for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import RecipeError
from accelsim.graph.ir import Op, Tensor
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.sim.bindings.codes import bits_of
from accelsim_kernels.blocks import BLOCK_FORMATS, quantize_blocks, tensor_scale
from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.codec import decode
from accelsim_kernels.integer import PackedInt4, PackedInt8, pack_int4
from accelsim_kernels.matmul import PackedChain
from accelsim_kernels.nm import keep_nm
from accelsim_kernels.quantize import QMAX, dequantize, quantize_weight
from accelsim_kernels.rounding import PLAIN, round_to
from accelsim_kernels.sparse import compress_2to4, decompress_2to4

Float32 = npt.NDArray[np.float32]
#: Block formats by the format of their scales and of their codes.
_BLOCK_SCALES = {
    scale: {row.element: row.name for row in BLOCK_FORMATS.values() if row.scale == scale}
    for scale in ("e8m0", "ue4m3")
}


@dataclass(frozen=True)
class StoredWeight:
    """A weight [n, k].

    Attributes:
        format: its number format.
        packed: the layout that the fast kernel of its format multiplies with.
        codes: codes or bits ``[n, k]``, which every other arithmetic multiplies with.
        dense: the numbers that its codes stand for.
        scales: one scale per row, or per row and group; None for plain formats.
        group: the run of k that shares a scale; 0: the whole row.
    """

    format: str
    packed: Any
    codes: npt.NDArray[Any]
    dense: Float32
    scales: Float32 | None = None
    group: int = 0


def store(op: Op, tensor: Tensor, values: Float32) -> StoredWeight:
    """Return a weight as the op's recipe wants it stored.

    Args:
        op: the annotated product.
        tensor: the annotated weight.
        values: what the checkpoint holds, as the checkpoint lays it out.

    Raises:
        RecipeError: a layout that no kernel takes.
    """
    rows = np.ascontiguousarray(values.T if op.attrs.get("weight_is_kn") else values)
    if tensor.format in PLAIN:
        plain = round_to(rows, tensor.format)
        codes = bits_of(plain, tensor.format)
        return StoredWeight(tensor.format, PackedChain.of(plain), codes, plain)
    if str(op.attrs["scale_format"]) in _BLOCK_SCALES:
        return store_coded(op, tensor, block_codes(op, tensor, rows))
    if tensor.format not in QMAX:
        raise RecipeError(
            f"{op.name}: no kernel makes {tensor.format} codes of plain weights; "
            f"{', '.join(QMAX)} are made"
        )
    group, scale_format = int(op.attrs["group"]), str(op.attrs["scale_format"])
    if tensor.density == 0.5:
        kept, of = _pattern(op)
        if rows.shape[1] % 8:
            raise RecipeError(
                f"{op.name}: {kept}:{of} needs K in multiples of 8, it is {rows.shape[1]}"
            )
        rows = np.where(keep_nm(np.abs(rows), kept, of), rows, np.float32(0))
    codes, scales = quantize_weight(rows, tensor.format, group, scale_format)
    dense = _dense(codes, scales, tensor.format, group)
    if "widened" in op.attrs:
        return _widened(op, dense)
    packed = _packed(op, tensor, codes, group)
    return StoredWeight(tensor.format, packed, codes, dense, scales, group)


def block_codes(op: Op, tensor: Tensor, rows: Float32) -> CodedWeight:
    """Return the nearest codes of MX or NVFP4 to a weight ``[n, k]``.

    Raises:
        RecipeError: pruned weights, or codes and scales that are no block format.
    """
    fmt, group = tensor.format, int(op.attrs["group"])
    scale_format, rule = str(op.attrs["scale_format"]), str(op.attrs.get("scale_rule", ""))
    name = _BLOCK_SCALES[scale_format].get(fmt)
    if name is None or tensor.density != 1.0:
        raise RecipeError(
            f"{op.name}: dense {', '.join(_BLOCK_SCALES[scale_format])} codes have {scale_format} "
            f"scales, not {fmt} at a density of {tensor.density}"
        )
    whole = np.float32(tensor_scale(rows)) if scale_format == "ue4m3" else None
    made = quantize_blocks(
        rows, name, rule, block=group, tensor_scale=1.0 if whole is None else float(whole)
    )
    numbers = decode(made.scales, scale_format)
    divisor = None if whole is None else np.float32(1.0) / whole
    return CodedWeight(fmt, made.codes, numbers, scale_format, group, global_scale=divisor)


def store_coded(op: Op, tensor: Tensor, given: CodedWeight) -> StoredWeight:
    """Return a weight that a checkpoint holds as codes, with those very codes and scales.

    Args:
        op: the annotated product.
        tensor: the annotated weight.
        given: the codes ``[n, k]``.

    Raises:
        RecipeError: the recipe says something else than the checkpoint holds, or no kernel
            multiplies codes of that kind.
    """
    found = (given.format, given.group, given.scale_format)
    wanted = (tensor.format, int(op.attrs["group"]), str(op.attrs["scale_format"]))
    if found != wanted:
        raise RecipeError(
            f"{op.name}: the checkpoint holds {_described(*found)}, the recipe says "
            f"{_described(*wanted)}; a checkpoint in codes runs in its own recipe (none given) or "
            "in a plain one"
        )
    kept, of = _pattern(op)
    if tensor.density == 0.5 and (_kept(given.codes, of) > kept).any():
        raise RecipeError(f"{op.name}: its codes are not {kept}:{of} along K, as the recipe says")
    dense = given.numbers()
    if "widened" in op.attrs:
        return _widened(op, dense)
    if given.has_zero_points or given.group_of is not None:
        what = "zero points" if given.has_zero_points else "groups out of order"
        raise RecipeError(f"{op.name}: no kernel multiplies codes with {what} by coded activations")
    scales, _ = given.by_row()
    packed = _packed(op, tensor, given.codes, given.group)
    return StoredWeight(tensor.format, packed, given.codes, dense, scales, given.group)


def _described(fmt: str, group: int, scale_format: str) -> str:
    grouped = f"groups of {group}" if group else "rows"
    return f"{fmt} in {grouped} with {scale_format} scales"


def _pattern(op: Op) -> tuple[int, int]:
    """Return how many weights are kept of how many along K where half of them are."""
    kept, of = str(op.attrs.get("sparsity", "2:4")).split(":")
    return int(kept), int(of)


def _kept(codes: npt.NDArray[Any], of: int) -> npt.NDArray[Any]:
    """Codes of each group along K that are not zero; -0 of a float is."""
    magnitude = codes if codes.dtype == np.int8 else codes & np.uint8(0x7F)
    kept: npt.NDArray[Any] = (magnitude != 0).reshape(len(codes), -1, of).sum(-1)
    return kept


def _widened(op: Op, dense: Float32) -> StoredWeight:
    """Return the numbers of codes in the format of the activations that they meet."""
    fmt = str(op.attrs["widened"])
    numbers = round_to(dense, fmt)
    return StoredWeight(fmt, PackedChain.of(numbers), bits_of(numbers, fmt), numbers)


def _packed(op: Op, tensor: Tensor, codes: npt.NDArray[Any], group: int) -> Any:
    if tensor.format.startswith("fp8"):
        if group:
            raise RecipeError(f"{op.name}: no kernel for {tensor.format} weights in groups")
        return PackedChain.of(decode_fp8(codes, tensor.format))
    if group and tensor.format == "int4":
        return PackedInt4.of(pack_int4(codes), codes.shape[1], group)
    if group:
        raise RecipeError(f"{op.name}: scales in groups are built for dense int4 weights alone")
    if tensor.density == 0.5 and _pattern(op) == (2, 4):
        codes = decompress_2to4(*compress_2to4(codes))
    return PackedInt8.of(codes)


def _dense(codes: npt.NDArray[Any], scales: Float32, fmt: str, group: int) -> Float32:
    """Return codes times scales; groups may end short."""
    rows, k = codes.shape
    size = group or k
    parts = [
        dequantize(np.ascontiguousarray(codes[:, i * size : (i + 1) * size]), scales[:, i], fmt)
        for i in range(scales.shape[1])
    ]
    return np.concatenate(parts, axis=1).reshape(rows, k)
