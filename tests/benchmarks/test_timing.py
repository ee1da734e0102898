"""The table of the timing model: tile against cycle on small ops of every chip."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from benchmarks.validation import timing


@pytest.mark.parametrize("chip", sorted(timing.CHIPS))
def test_tile_is_close_to_the_clocked_chip(chip: str) -> None:
    rows = list(timing.compared(chip, 20, seed=0))
    sizes = [abs(row.error_pct) for row in rows]
    assert {row.kind for row in rows} == {"gemm", "vector", "attention"}
    assert statistics.fmean(sizes) <= timing.MEAN_GOAL
    assert max(sizes) <= timing.WORST_GOAL
    assert all(row.array_equal for row in rows)
    assert all(min(row.tile, row.cycle) >= row.roofline for row in rows)


def test_one_command_writes_table_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    assert timing.main(["-o", str(tmp_path / "out"), "--ops", "1"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"timing.csv", "tile_over_cycle.csv", "tile_over_cycle.svg"}
    lines = list(csv.DictReader((tmp_path / "out" / "timing.csv").read_text().splitlines()))
    assert [line["reached"] for line in lines] == ["True"] * len(lines)
    assert len(lines) == len(timing.CHIPS) + 2
    assert capsys.readouterr().out.count("reached") == len(lines)


def test_a_model_that_is_off_misses_its_goal() -> None:
    rows = [timing.Compared(chip, "gemm", 109.0, 100, 1.0, True) for chip in timing.CHIPS]
    assert [line[-1] for line in timing.lines_of(rows)] == [False] * 3 + [True] * 2
    below = [timing.Compared(chip, "gemm", 100.0, 100, 101.0, False) for chip in timing.CHIPS]
    assert [line[-1] for line in timing.lines_of(below)] == [True] * 3 + [False] * 2
