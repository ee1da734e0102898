"""Products in any arithmetic that a chip names: the bits of the unit, and its cost in errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from accelsim.errors import RecipeError
from accelsim.sim.bindings.codes import bits_of, numbers_of
from accelsim.sim.bindings.sums import coded_sums, plain_sums, sums_of_numbers
from accelsim.sim.bindings.weights import StoredWeight
from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.integer import PackedInt8
from accelsim_kernels.matmul import PackedChain
from accelsim_kernels.presets import PRESETS
from accelsim_kernels.product import matmul
from accelsim_kernels.rounding import round_to

RNG = np.random.default_rng(5)
A = RNG.standard_normal((7, 75)).astype(np.float32)
B = RNG.standard_normal((9, 75)).astype(np.float32)


def plain(fmt: str) -> StoredWeight:
    dense = round_to(B, fmt)
    return StoredWeight(fmt, PackedChain.of(dense), bits_of(dense, fmt), dense)


def fp8() -> StoredWeight:
    codes = RNG.integers(0, 0x7E, (9, 75)).astype(np.uint8)
    dense = decode_fp8(codes, "fp8_e4m3")
    return StoredWeight("fp8_e4m3", PackedChain.of(dense), codes, dense)


@pytest.mark.parametrize("fmt", ["bf16", "fp16", "fp32"])
def test_bits_are_the_numbers(fmt: str) -> None:
    numbers = round_to(A, fmt)
    assert np.array_equal(numbers_of(bits_of(numbers, fmt), fmt), numbers)


@pytest.mark.parametrize(
    ("fmt", "preset"),
    [("bf16", "hopper_bf16"), ("fp16", "ampere_fp16"), ("fp16", "ampere_fp16_f16")],
)
def test_plain_products_have_the_bits_of_the_unit(fmt: str, preset: str) -> None:
    rows, weight = round_to(A, fmt), plain(fmt)
    found = plain_sums(rows, fmt, weight, PRESETS[preset])
    bits = matmul(bits_of(rows, fmt), weight.codes, preset)
    assert found.dtype == np.float32
    assert np.array_equal(found, numbers_of(bits, PRESETS[preset].spill))


def test_two_activations_have_the_bits_of_the_unit() -> None:
    rows, weight = round_to(A, "bf16"), plain("bf16")
    formats, unit = ("bf16", "bf16"), PRESETS["hopper_bf16"]
    found = sums_of_numbers(rows, weight.dense, formats, unit)
    assert np.array_equal(found, plain_sums(rows, "bf16", weight, unit))
    chain = sums_of_numbers(rows, weight.dense, formats, PRESETS["fp32_chain"])
    assert not np.array_equal(found, chain)


def test_coded_products_have_the_bits_of_the_unit() -> None:
    codes, weight = RNG.integers(0, 0x7E, (7, 75)).astype(np.uint8), fp8()
    found = coded_sums(codes, "fp8_e4m3", weight, PRESETS["hopper_fp8"])
    assert np.array_equal(found.view(np.uint32), matmul(codes, weight.codes, "hopper_fp8"))


def test_fewer_bits_are_further_off() -> None:
    rows, weight = round_to(A, "bf16"), plain("bf16")
    exact = rows.astype(np.float64) @ weight.dense.astype(np.float64).T
    units = [replace(PRESETS["hopper_bf16"], fraction_bits=bits) for bits in (8, 13, 25)]
    errors = [np.abs(plain_sums(rows, "bf16", weight, unit) - exact).max() for unit in units]
    assert all(coarse > 4 * fine for coarse, fine in pairwise(errors))


def test_the_fast_kernels_have_the_bits_of_the_general_ones() -> None:
    codes = RNG.integers(-128, 128, (7, 75)).astype(np.int8)
    weights = RNG.integers(-128, 128, (9, 75)).astype(np.int8)
    stored = StoredWeight("int8", PackedInt8.of(weights), weights, weights.astype(np.float32))
    how = PRESETS["int32_exact"]
    general = replace(how, name="int32_exact[]")
    assert np.array_equal(
        coded_sums(codes, "int8", stored, how), coded_sums(codes, "int8", stored, general)
    )
    rows, weight = round_to(A, "bf16"), plain("bf16")
    chain = PRESETS["fp32_chain"]
    assert np.array_equal(
        plain_sums(rows, "bf16", weight, chain),
        plain_sums(rows, "bf16", weight, replace(chain, name="fp32_chain[]")),
    )


def test_what_no_kernel_takes_is_refused() -> None:
    with pytest.raises(RecipeError, match="no kernel for bf16 activations with fp8_e4m3 weights"):
        plain_sums(round_to(A, "bf16"), "bf16", fp8(), PRESETS["hopper_bf16"])
    grouped = replace(fp8(), group=25)
    with pytest.raises(RecipeError, match="hopper_fp8: scales in groups are built for int32_exact"):
        coded_sums(np.zeros((7, 75), np.uint8), "fp8_e4m3", grouped, PRESETS["hopper_fp8"])
