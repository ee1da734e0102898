"""What the chip's file says about its own error is what the comparison finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.spec.load import load_arch
from benchmarks.validation.tpu_v4_gemm import errors, roofline_us, table


def test_the_stated_error_is_the_measured_one(reference: Path) -> None:
    (stated,) = load_arch("tpu_v4").validation
    found = dict(table(reference))
    mean, _, bias, rows = found["accelsim tpu_v4"]
    assert rows == stated.rows
    assert mean == pytest.approx(stated.mean_abs_pct_error, abs=0.05)
    assert bias == pytest.approx(stated.bias, abs=0.005)
    # Closer than both of what it is compared with, on the same rows.
    assert mean < found["roofline 275 TFLOP/s, 1.2 TB/s"][0]
    assert found["accelsim on SCALE-Sim's rows"][0] < found["SCALE-Sim (rows it has)"][0]


def test_errors_by_hand() -> None:
    mean, median, bias, rows = errors([(2.0, 1.0), (1.0, 2.0), (1.0, 1.0)])
    assert (mean, median, rows) == (50.0, 50.0, 3)
    assert bias == pytest.approx(1.0)
    assert roofline_us(1000, 1000, 1000) == pytest.approx(2e9 / 275e12 * 1e6)
