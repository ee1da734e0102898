"""Functions of the vector unit and norms, against plain Python and against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.nonlinear import ACTIVATIONS, activation, exp, softmax
from accelsim_kernels.normalize import layer_norm, rms_norm, row_sum
from tests.kernels import naive
from tests.kernels.support import SEEDS, numbers, same


def points() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    grid = np.linspace(-30, 30, 601).astype(np.float32)
    small = np.array([0.0, -0.0, 1e-3, -1e-3, 9.9e-4, 1e-10, 1e-40, 88.7, -103.0], np.float32)
    return np.concatenate([grid, small])


@pytest.mark.parametrize("fn", ACTIVATIONS)
@pytest.mark.parametrize("fmt", ["fp32", "bf16", "fp16"])
def test_activations(fn: str, fmt: str) -> None:
    x = points()
    wanted = [naive.activation(v, fn, fmt) for v in x.tolist()]
    assert same(activation(x, fn, fmt) + 0.0, np.array(wanted, np.float32) + 0.0)


def test_every_bf16_number_has_the_right_exponential() -> None:
    every = (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32)
    every = every[~np.isnan(every)]
    with np.errstate(over="ignore"):
        wanted = np.exp(every.astype(np.float64)).astype(np.float32)
    assert np.array_equal(exp(every), wanted)


@pytest.mark.parametrize("fn", ["relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish",
                                "hardsigmoid", "softplus"])  # fmt: skip
def test_torch_activates_alike(fn: str) -> None:
    torch = pytest.importorskip("torch")
    x = numbers(1, 2000, spread=3)
    wanted = getattr(torch.nn.functional, fn)(torch.from_numpy(x).double()).numpy()
    assert np.allclose(activation(x, fn, "fp32"), wanted, rtol=2e-7, atol=1e-12)


def test_special_numbers_pass() -> None:
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert np.isnan(exp(x)[0])
    assert exp(x)[1:].tolist() == [np.inf, 0.0]
    for fn in ACTIVATIONS:
        assert np.isnan(activation(x, fn, "fp32")[0]), fn


@given(SEEDS, st.integers(1, 4), st.integers(1, 40))
def test_softmax(seed: int, rows: int, n: int) -> None:
    x = numbers(seed, rows, n)
    for fmt in ("fp32", "bf16"):
        assert same(softmax(x, fmt), [naive.softmax(row, fmt) for row in x.tolist()])


@given(SEEDS, st.integers(1, 3), st.integers(1, 70), st.sampled_from([1, 2, 7, 16, 64]))
def test_norms_sum_by_lanes(seed: int, rows: int, n: int, lanes: int) -> None:
    x, weight, bias = numbers(seed, rows, n), numbers(seed + 1, n), numbers(seed + 2, n)
    assert same(row_sum(x, lanes), [naive.lane_sum(row, lanes) for row in x.tolist()])
    for fmt in ("fp32", "bf16"):
        found = rms_norm(x, weight, 1e-5, lanes, fmt)
        wanted = [
            naive.norm(row, weight.tolist(), None, 1e-5, lanes, fmt, False) for row in x.tolist()
        ]
        assert same(found, wanted)
        found = layer_norm(x, weight, bias, 1e-5, lanes, fmt)
        wanted = [
            naive.norm(row, weight.tolist(), bias.tolist(), 1e-5, lanes, fmt, True)
            for row in x.tolist()
        ]
        assert same(found + 0.0, np.array(wanted) + 0.0)


def test_torch_normalizes_alike() -> None:
    torch = pytest.importorskip("torch")
    x, weight, bias = numbers(1, 20, 96), numbers(2, 96), numbers(3, 96)
    given_x, w, b = (torch.from_numpy(t).double() for t in (x, weight, bias))
    wanted = torch.nn.functional.rms_norm(given_x, (96,), w, 1e-5).numpy()
    assert np.allclose(rms_norm(x, weight, 1e-5, 64, "fp32"), wanted, rtol=2e-6, atol=1e-5)
    wanted = torch.nn.functional.layer_norm(given_x, (96,), w, b, 1e-5).numpy()
    found = layer_norm(x, weight, bias, 1e-5, 64, "fp32")
    assert np.allclose(found, wanted, rtol=2e-6, atol=1e-4)


def test_rows_do_not_know_each_other() -> None:
    x, weight = numbers(1, 9, 33), numbers(2, 33)
    whole = rms_norm(x, weight, 1e-5, 16, "bf16")
    for row in range(9):
        assert same(rms_norm(x[row : row + 1], weight, 1e-5, 16, "bf16")[0], whole[row])
        assert same(softmax(x[row : row + 1], "bf16")[0], softmax(x, "bf16")[row])


def test_what_does_not_fit_is_named() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"weight has the shape \(2,\), \(3,\) is needed"):
        rms_norm(x, np.ones(2, np.float32), 1e-5, 4, "bf16")
    with pytest.raises(ValueError, match="lanes is 0; at least 1"):
        row_sum(x, 0)
    with pytest.raises(ValueError, match="fn is 'swish'"):
        activation(x, "swish", "bf16")
    assert rms_norm(x[:0], None, 1e-5, 4, "bf16").shape == (0, 3)
