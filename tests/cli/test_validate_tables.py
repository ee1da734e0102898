"""``accelsim validate`` of tables: data, both steps, exit codes, the picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.support import Cli

ROW = "topology,layer,dataflow,rows,cols,M,N,K,total_cycles\nx.csv,L,os,32,32,256,128,256,{}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    (tmp_path / "lut").mkdir()
    return tmp_path


def lut(folder: Path, cycles: int) -> Path:
    """Write a table of one row: 256 x 128 x 256 on 32 x 32, 10 175 cycles."""
    inside = folder / "data" / "llmcompass_lut"
    inside.mkdir(parents=True, exist_ok=True)
    line = f"256,128,256,32,32,os,{cycles},80.5\n"
    (inside / "look_up_table_32_32.csv").write_text(line, encoding="utf-8")
    return folder / "data"


@pytest.mark.parametrize("what", ["array", "dram", "mapping"])
def test_without_data_it_says_where_to_name_some(what: str, cli: Cli, folder: Path) -> None:
    outcome = cli("validate", what)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--data DIR names a folder" in outcome.err
    empty = cli("validate", what, "--data", str(folder))
    assert empty.code == 2
    assert f"no file of it is one that validate {what} reads" in empty.err
    assert cli("validate", what, "--data", str(folder / "nowhere")).code == 2


def test_right_and_wrong_by_one_cycle(cli: Cli, folder: Path) -> None:
    good = cli("validate", "array", "--data", str(lut(folder, 10175)), "--json")
    assert good.code == 0
    (found,) = json.loads(good.out)["sets"]
    assert (found["mismatches"], found["first_mismatch"], found["passed"]) == (0, None, True)
    bad = cli("validate", "array", "--data", str(lut(folder, 10176)))
    assert bad.code == 1
    assert "0 of 1 sets passed" in bad.out
    assert "10176 expected, 10175 found" in " ".join(bad.out.split())


def test_predictions_are_written_and_see_no_result(cli: Cli, folder: Path) -> None:
    data, out = lut(folder, 0), folder / "predictions.csv"
    outcome = cli("validate", "array", "--data", str(data), "--predict-only", "-o", str(out))
    assert (outcome.code, outcome.out) == (0, "")
    rows = list(csv.reader(out.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["file", "row", "metric", "predicted"]
    assert ["look_up_table_32_32.csv", "0", "cycles", "10175"] in rows


def test_a_picture_of_what_must_be_equal_is_refused(cli: Cli, folder: Path) -> None:
    outcome = cli("validate", "array", "--plot", str(folder / "x.svg"))
    assert outcome.code == 2
    assert "there is nothing to draw" in outcome.err
    outcome = cli("validate", "dram", "--plot", str(folder / "x.txt"))
    assert "must end in .svg, .png, .pdf" in outcome.err


def test_an_unknown_subject_is_named(cli: Cli) -> None:
    outcome = cli("validate", "arrays")
    assert outcome.code == 2
    assert "unknown thing to validate 'arrays' (did you mean 'array'?" in outcome.err
