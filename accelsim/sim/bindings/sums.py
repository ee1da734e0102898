"""Sums of products as the arrays of a chip add them up."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from accelsim.errors import RecipeError
from accelsim.sim.bindings.codes import bits_of, numbers_of
from accelsim.sim.bindings.weights import StoredWeight
from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.integer import matmul_int4, matmul_int8
from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.presets import PRESETS, Arithmetic
from accelsim_kernels.product import matmul
from accelsim_kernels.rounding import PLAIN

Array = npt.NDArray[Any]


def coded_sums(codes: Array, fmt: str, weight: StoredWeight, how: Arithmetic) -> Array:
    """Return sums ``[rows, n]`` of codes times a stored weight.

    Args:
        codes: ``[rows, k]``.
        fmt: their format.
        weight: codes and scales.
        how: the arithmetic. Sums of groups are scaled here; all others still need their scales.

    Raises:
        RecipeError: scales in groups, which only exact integer sums are built with.
    """
    if how == PRESETS["int32_exact"]:
        if weight.group and weight.scales is not None:
            return matmul_int4(codes, weight.packed, weight.scales, weight.group)
        return matmul_int8(codes, weight.packed)
    if weight.group:
        raise RecipeError(f"{how.name}: scales in groups are built for int32_exact alone")
    if how == PRESETS["fp32_chain"]:
        return matmul_chain(decode_fp8(codes, fmt), weight.packed)
    return _general(codes, fmt, weight, how)


def plain_sums(rows: Array, fmt: str, weight: StoredWeight, how: Arithmetic) -> Array:
    """Return sums ``[rows, n]`` of float32 numbers of a plain format times a stored weight.

    Raises:
        RecipeError: a weight in codes, which plain numbers are not multiplied with.
    """
    if weight.format not in PLAIN:
        raise RecipeError(f"no kernel for {fmt} activations with {weight.format} weights")
    if how == PRESETS["fp32_chain"]:
        return matmul_chain(rows, weight.packed)
    return _general(bits_of(rows, fmt), fmt, weight, how)


def _general(codes: Array, fmt: str, weight: StoredWeight, how: Arithmetic) -> Array:
    bits = matmul(codes, weight.codes, how, a_format=fmt, b_format=weight.format)
    return numbers_of(bits, how.spill)


def sums_of_numbers(a: Array, b: Array, formats: tuple[str, str], how: Arithmetic) -> Array:
    """Return sums ``[m, n]`` of float32 numbers ``a[m, k] b[n, k]`` of plain formats."""
    if how == PRESETS["fp32_chain"]:
        return matmul_chain(a, b)
    left, right = bits_of(a, formats[0]), bits_of(b, formats[1])
    bits = matmul(left, right, how, a_format=formats[0], b_format=formats[1])
    return numbers_of(bits, how.spill)
