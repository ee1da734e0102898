"""Norms and sums by lanes, against plain Python and against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.normalize import layer_norm, rms_norm, row_sum
from tests.kernels import naive
from tests.kernels.support import SEEDS, numbers, same


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


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_rows_and_threads_do_not_know_each_other(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = numbers(1, 300, 701), numbers(2, 701)
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    whole = rms_norm(x, weight, 1e-5, 16, "bf16")
    centred = layer_norm(x, weight, weight, 1e-5, 16, "bf16")
    for row in (0, 149, 150, 299):
        part = x[row : row + 1]
        assert same(rms_norm(part, weight, 1e-5, 16, "bf16")[0], whole[row])
        assert same(layer_norm(part, weight, weight, 1e-5, 16, "bf16")[0], centred[row])


def test_nothing_divided_by_nothing_is_no_number() -> None:
    zeros = np.zeros((1, 4), np.float32)
    assert np.isnan(rms_norm(zeros, None, 0.0, 2, "fp32")).all()
    assert not rms_norm(zeros, None, 1e-6, 2, "fp32").any()


def test_what_does_not_fit_is_named() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"weight has the shape \(2,\), \(3,\) is needed"):
        rms_norm(x, np.ones(2, np.float32), 1e-5, 4, "bf16")
    with pytest.raises(ValueError, match=r"bias has the shape \(4,\), \(3,\) is needed"):
        layer_norm(x, None, np.ones(4, np.float32), 1e-5, 4, "bf16")
    with pytest.raises(ValueError, match="lanes is 0; at least 1"):
        row_sum(x, 0)
    assert rms_norm(x[:0], None, 1e-5, 4, "bf16").shape == (0, 3)
    assert layer_norm(np.zeros((2, 0), np.float32), None, None, 1e-5, 4, "bf16").shape == (2, 0)
