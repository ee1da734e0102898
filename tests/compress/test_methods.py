"""What methods promise, on constructed tensors."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelsim.compress.grid import Coded, Grid
from accelsim.compress.methods.awq import awq_factors
from accelsim.compress.methods.clip import mse_range, percentile_range
from accelsim.compress.methods.gptq import Moment, gptq, inverse_factor, sparsegpt, weighted_error
from accelsim.compress.methods.hadamard import Rotation
from accelsim.compress.methods.prune import magnitude, wanda
from accelsim.compress.methods.rtn import rtn
from accelsim.compress.methods.smoothquant import smooth_factors
from accelsim.errors import RecipeError, RunError
from accelsim.recipe.methods import Step
from accelsim.recipe.schema import ActivationFormat, Rule, WeightFormat
from accelsim_kernels.blocks import dequantize_blocks, quantize_blocks, tensor_scale
from accelsim_kernels.codec import decode
from accelsim_kernels.quantize import quantize_weight

Float32 = npt.NDArray[np.float32]
FORMATS: list[dict[str, Any]] = [
    {"format": "int8"}, {"format": "int4"}, {"format": "fp8_e4m3"}, {"format": "fp8_e5m2"},
    {"format": "int4", "group": 32, "scale_format": "fp16"},
    {"format": "int4", "group": 48, "scale_format": "bf16"},
]  # fmt: skip
BLOCKS: list[dict[str, Any]] = [
    *({"format": name, "group": 32, "scale_format": "e8m0", "scale_rule": rule}
      for name in ("fp4_e2m1", "fp6_e2m3", "fp8_e4m3") for rule in ("floor", "even", "rceil")),
    {"format": "fp4_e2m1", "group": 16, "scale_format": "ue4m3"},
]  # fmt: skip


def grid(**wanted: Any) -> Grid:
    return Grid(WeightFormat(**wanted))


def inputs(k: int, rows: int = 512, seed: int = 0) -> Float32:
    """Correlated columns of unequal size, as activations are."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((rows, k)) @ (np.eye(k) + 0.1 * rng.standard_normal((k, k)))
    return (mixed * np.exp(rng.standard_normal(k))).astype(np.float32)


def weights(n: int, k: int, seed: int = 1) -> Float32:
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)


def moment(x: Float32) -> Moment:
    wide = x.astype(np.float64)
    return Moment(wide.T @ wide)


def output_error(w: Float32, made: Coded, x: Float32) -> float:
    return float(np.square(x @ (made.numbers - w).T.astype(np.float64)).sum())


@pytest.mark.parametrize("wanted", FORMATS)
def test_rtn_gives_the_kernels_codes(wanted: dict[str, Any]) -> None:
    w = weights(24, 96)
    made = rtn(w, grid(**wanted))
    how = WeightFormat(**wanted)
    codes, scales = quantize_weight(w, how.format, how.group, how.scale_format)
    np.testing.assert_array_equal(made.codes, codes)
    np.testing.assert_array_equal(made.scales, scales)


@pytest.mark.parametrize("wanted", BLOCKS)
def test_rtn_gives_the_kernels_blocks(wanted: dict[str, Any]) -> None:
    w = weights(24, 96)
    w[:, :32] *= 1e-3
    w[3, 32:64] = 0
    how = WeightFormat(**wanted)
    whole = 1.0 if how.scale_format == "e8m0" else tensor_scale(w)
    name = "nvfp4" if how.scale_format == "ue4m3" else f"mx{how.format}"
    wanted_blocks = quantize_blocks(w, name, how.scale_rule, tensor_scale=whole)
    made = rtn(w, Grid.of(how, w))
    np.testing.assert_array_equal(made.codes, wanted_blocks.codes)
    np.testing.assert_array_equal(made.scales, decode(wanted_blocks.scales, how.scale_format))
    numbers = dequantize_blocks(*wanted_blocks, name, tensor_scale=whole)
    np.testing.assert_allclose(made.numbers, numbers, rtol=3e-7)


def test_rceil_saturates_less_than_floor() -> None:
    w = weights(64, 128)
    cut = []
    for rule in ("floor", "rceil"):
        made = rtn(w, grid(format="fp4_e2m1", group=32, scale_format="e8m0", scale_rule=rule))
        scale = np.repeat(made.scales, 32, axis=1)
        cut.append(int((np.abs(w) > 6.0 * scale).sum()))
    assert cut[0] > 0
    assert cut[1] == 0


@pytest.mark.parametrize("wanted", [*FORMATS, *BLOCKS])
def test_a_coded_weight_comes_back_from_its_arrays(wanted: dict[str, Any]) -> None:
    w = weights(8, 96)
    made = rtn(w, Grid.of(WeightFormat(**wanted), w))
    np.testing.assert_array_equal(grid(**wanted).unpacked(made.packed).numbers, made.numbers)


@pytest.mark.parametrize("act_order", [True, False])
@pytest.mark.parametrize("wanted", [*FORMATS, *BLOCKS])
def test_gptq_lowers_the_weighted_error(wanted: dict[str, Any], act_order: bool) -> None:
    x, w = inputs(96), weights(32, 96)
    wide = Grid.of(WeightFormat(**wanted), w)
    made = gptq(w, moment(x), wide, act_order=act_order, block=40)
    plain = rtn(w, wide)
    most = 0.8 if act_order else 0.95
    assert weighted_error(w, made.numbers, moment(x)) < most * output_error(w, plain, x)
    np.testing.assert_allclose(
        weighted_error(w, made.numbers, moment(x)), output_error(w, made, x), rtol=1e-3
    )


@pytest.mark.parametrize("wanted", FORMATS)
def test_gptq_of_unrelated_equal_inputs_is_rtn(wanted: dict[str, Any]) -> None:
    w = weights(16, 96)
    made = gptq(w, Moment(np.eye(96)), grid(**wanted))
    np.testing.assert_array_equal(made.codes, rtn(w, grid(**wanted)).codes)


def test_gptq_does_not_depend_on_the_size_of_a_block() -> None:
    x, w = inputs(96), weights(16, 96)
    made = [gptq(w, moment(x), grid(format="int4"), block=size) for size in (1, 17, 96, 128)]
    for other in made[1:]:
        assert (made[0].codes == other.codes).mean() > 0.999


def test_gptq_against_its_definition() -> None:
    """One column after the other, with the inverse formed anew of what is left (OBQ)."""
    x, w = inputs(24), weights(6, 24)
    total = moment(x).total
    hessian = total + 0.01 * np.diagonal(total).mean() * np.eye(24)
    g = grid(format="int4")
    scales = rtn(w, g).scales[:, 0]
    left = w.astype(np.float64)
    for i in range(24):
        inverse = np.linalg.inv(hessian[i:, i:])
        found = g.numbers(left[:, i : i + 1].astype(np.float32), scales)[:, 0]
        error = (left[:, i] - found) / inverse[0, 0]
        left[:, i:] -= error[:, None] * inverse[0]
        left[:, i] = found
    made = gptq(w, moment(x), g, act_order=False, block=8)
    np.testing.assert_allclose(made.numbers, left, atol=1e-5)


def test_a_column_without_input_is_rounded_to_nearest() -> None:
    x, w = inputs(32), weights(8, 32)
    x[:, 5] = 0
    made = gptq(w, moment(x), grid(format="int4"))
    np.testing.assert_array_equal(made.codes[:, 5], rtn(w, grid(format="int4")).codes[:, 5])


def test_the_factor_of_the_inverse() -> None:
    hessian = moment(inputs(150)).total
    factor = inverse_factor(hessian, 1e-12)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.T @ factor @ hessian, np.eye(150), atol=1e-4)


def test_a_singular_moment_is_damped_until_it_has_a_factor() -> None:
    row = np.ones((1, 40), np.float32)
    assert np.isfinite(inverse_factor(moment(row).total, 1e-20)).all()
    with pytest.raises(RunError, match="not finite"):
        inverse_factor(np.full((4, 4), np.nan), 0.01)


@pytest.mark.parametrize("sparsity", ["2:4", "4:8"])
@pytest.mark.parametrize(
    "wanted", [{"format": "bf16"}, {"format": "int8"}, {"format": "int4", "group": 32}]
)
def test_sparsegpt_lowers_the_output_error_against_magnitude(
    wanted: dict[str, Any], sparsity: str
) -> None:
    x, w, g = inputs(96), weights(32, 96), grid(**wanted, sparsity=sparsity)
    made, plain = sparsegpt(w, moment(x), g), magnitude(w, g)
    assert output_error(w, made, x) < 0.5 * output_error(w, plain, x)
    assert output_error(w, wanda(w, np.square(x).sum(axis=0), g), x) < output_error(w, plain, x)
    of = int(sparsity[-1])
    for one in (made, plain):
        kept = (one.numbers.reshape(-1, of) != 0).sum(axis=1)
        assert kept.max() <= of // 2


def test_patterns_need_k_in_multiples_of_m() -> None:
    with pytest.raises(RecipeError, match="multiples of 8; K is 12"):
        magnitude(weights(2, 12), grid(format="int8", sparsity="4:8"))


@pytest.mark.parametrize("wanted", FORMATS)
def test_mse_clipping_lowers_the_squared_error(wanted: dict[str, Any]) -> None:
    w = np.random.default_rng(3).standard_t(3, (16, 96)).astype(np.float32)
    span = partial(mse_range, least=0.3, candidates=30)
    clipped, plain = rtn(w, grid(**wanted), span), rtn(w, grid(**wanted))
    off = [np.square(made.numbers - w).sum() for made in (clipped, plain)]
    assert off[0] <= off[1]
    if wanted["format"] == "int4":
        assert off[0] < 0.95 * off[1]


def test_percentile_clipping_cuts_the_tail_and_keeps_rows_of_zeros() -> None:
    w = np.zeros((2, 1000), np.float32)
    w[0] = np.linspace(0.001, 1, 1000)
    w[0, -1], w[1, 3] = 100, 7
    np.testing.assert_allclose(
        percentile_range(grid(format="int4"), w, percent=99.0), [0.99, 7.0], rtol=0.01
    )


def test_smoothquant_balances_ranges() -> None:
    x, w = inputs(16), weights(8, 16)
    x[:, 3] *= 100
    factors = smooth_factors(np.abs(x).max(axis=0), [w], 0.5)
    left, right = np.abs(x / factors).max(axis=0), np.abs(w * factors).max(axis=0)
    np.testing.assert_allclose(left, right, rtol=1e-5)
    assert (smooth_factors(np.zeros(16, np.float32), [w], 0.5) == 1).all()


def test_awq_lowers_the_output_error_where_some_inputs_are_large() -> None:
    x, w = inputs(64), weights(32, 64)
    x[:, ::16] *= 30
    rule = Rule(
        weight=WeightFormat(format="int4", group=32), activation=ActivationFormat(format="bf16")
    )
    factors = awq_factors(x, [(w, rule)], 20)
    scaled = rtn((w * factors).astype(np.float32), Grid(rule.weight)).numbers / factors
    plain = rtn(w, Grid(rule.weight))
    error = float(np.square(x @ (scaled - w).T).sum())
    assert error < 0.5 * output_error(w, plain, x)


def test_methods_of_a_rule() -> None:
    rule = Rule(
        weight=WeightFormat(format="int8", sparsity="2:4"),
        activation=ActivationFormat(format="int8"),
    )
    assert rule.rounding == Step(name="magnitude")


@pytest.mark.parametrize("size", [1, 2, 12, 20, 28, 36, 44, 128, 384, 896, 3584 // 8])
def test_hadamard_matrices_are_orthogonal(size: int) -> None:
    rotation = Rotation.drawn(size, 0)
    turned = rotation.apply(np.eye(size), 1)
    np.testing.assert_allclose(turned @ turned.T, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(np.abs(turned), 1 / np.sqrt(size), atol=1e-12)


def test_an_order_without_a_matrix_is_refused() -> None:
    with pytest.raises(RecipeError, match="rotation of 6 values"):
        Rotation.drawn(6, 0)


def test_rotation_lowers_the_maximum_over_the_rms() -> None:
    x = np.random.default_rng(0).standard_normal((64, 384))
    x[:, 7] *= 100
    turned = Rotation.drawn(384, 0).apply(x, 1)
    peak = [
        float((np.abs(one).max(1) / np.sqrt(np.square(one).mean(1))).mean()) for one in (x, turned)
    ]
    assert peak[1] < 0.3 * peak[0]
    np.testing.assert_allclose(np.square(turned).sum(1), np.square(x).sum(1))
