"""Functions of the vector unit, against plain Python and against torch."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels import functions
from accelsim_kernels.jit import leaf
from accelsim_kernels.nonlinear import ACTIVATIONS, activation, exp, softmax
from tests.kernels import naive, naive_float
from tests.kernels.support import SEEDS, numbers, same

#: A part of kernels, compiled by itself.
ERF_NEAR = leaf(functions.erf_near)


def points() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    grid = np.linspace(-30, 30, 601).astype(np.float32)
    small = np.array([0.0, -0.0, 1e-3, -1e-3, 9.9e-4, 1e-10, 1e-40, 88.7, -103.0], np.float32)
    return np.concatenate([grid, small])


@pytest.mark.parametrize("fn", ACTIVATIONS)
@pytest.mark.parametrize("fmt", ["fp32", "bf16", "fp16"])
def test_activations(fn: str, fmt: str) -> None:
    x = points()
    if fn == "gelu":
        wanted = [naive_float.gelu(v, fmt) for v in x.tolist()]
    else:
        wanted = [naive.activation(v, fn, fmt) for v in x.tolist()]
    assert same(activation(x, fn, fmt) + 0.0, np.array(wanted, np.float32) + 0.0)


@given(st.lists(st.floats(-14.5, 14.5, width=32), min_size=1, max_size=20))
def test_gelu_is_right_to_the_last_bit(values: list[float]) -> None:
    """Also below -8, where 1 + erf(x / sqrt 2) has no digit left.

    Not at subnormal numbers: half of an odd one is a tie, which binary64 cannot tell from x / 2.
    """
    values = [x if abs(x) > 2.0**-125 else 0.0 for x in values]
    found = activation(np.array(values, np.float32), "gelu", "fp32")
    assert same(found, [naive_float.gelu(v, "fp32") for v in values])


@pytest.mark.parametrize(
    ("found", "wanted", "low", "high"),
    [
        (lambda z: 1.0 - ERF_NEAR(z), naive_float.erfc, 0.0, 0.46875),
        (leaf(functions.erfc_middle), naive_float.scaled_erfc, 0.46875, 4.0),
        (leaf(functions.erfc_far), naive_float.scaled_erfc, 4.0, 10.0),
    ],
)
def test_error_function_in_binary64(
    found: Callable[[float], float], wanted: Callable[[float], Fraction], low: float, high: float
) -> None:
    for z in np.linspace(low, high, 40).tolist():
        exact = wanted(z)
        assert abs(Fraction(found(z)) - exact) < Fraction(2, 10**15) * exact, z


@pytest.mark.parametrize("border", [0.6629126, 5.656854])
def test_gelu_where_one_approximation_takes_over_from_another(border: float) -> None:
    x = np.float32(border) * (1 + np.arange(-200, 200) * 2.0**-23)
    x = np.concatenate([x, -x]).astype(np.float32)
    wanted = [naive_float.gelu(v, "fp32") for v in x.tolist()]
    assert same(activation(x, "gelu", "fp32"), wanted)


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
        for fmt in ("fp32", "bf16", "fp16"):
            assert np.isnan(activation(x, fn, fmt)[0]), fn
        assert activation(x[:0], fn, "bf16").shape == (0,)
    for row in ([np.nan, 1.0], [-np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]):
        assert np.isnan(softmax(np.array([row], np.float32), "fp32")).any(), row
    assert softmax(np.array([[-np.inf, 2.0]], np.float32), "fp32").tolist() == [[0.0, 1.0]]
    assert softmax(np.zeros((2, 0), np.float32), "bf16").shape == (2, 0)


def test_views_of_arrays_and_read_only_ones() -> None:
    x = numbers(5, 12, 20)
    view = x.T[::2]
    x.setflags(write=False)
    assert same(activation(view, "silu", "bf16"), activation(view.copy(), "silu", "bf16"))
    assert same(softmax(x, "bf16"), softmax(x.copy(), "bf16"))


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_threads_change_no_bit(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers(6, 60, 1021)
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    alone = activation(x, "gelu_tanh", "bf16"), softmax(x, "bf16")
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    assert same(activation(x, "gelu_tanh", "bf16"), alone[0])
    assert same(softmax(x, "bf16"), alone[1])
    for row in (0, 29, 59):
        assert same(softmax(x[row : row + 1], "bf16")[0], alone[1][row])


@given(SEEDS, st.integers(1, 4), st.integers(1, 40))
def test_softmax(seed: int, rows: int, n: int) -> None:
    x = numbers(seed, rows, n)
    for fmt in ("fp32", "bf16"):
        assert same(softmax(x, fmt), [naive.softmax(row, fmt) for row in x.tolist()])


def test_what_does_not_fit_is_named() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="fn is 'swish'"):
        activation(x, "swish", "bf16")
    with pytest.raises(ValueError, match="format is 'int8'; fp32, bf16, fp16 are allowed"):
        softmax(x, "int8")
    with pytest.raises(ValueError, match=r"x has the shape \(3,\), a matrix is needed"):
        softmax(x[0], "bf16")
