"""``validate array``: counts are equal, one wrong cycle is found, and results are never read."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.validate.array import METRICS, SUBJECT
from tests.support import Cli

RUN = "topology,layer,dataflow,rows,cols,M,N,K,sparsity"
RESULTS = "total_cycles,stall_cycles,ifmap_sram_reads,filter_sram_reads,ofmap_sram_writes"
#: Made with SCALE-Sim 3.0.0: three dataflows, and 2:4 with a total that has stalls in it.
ROWS = [
    "net,a,os,4,3,10,7,9,,125,0,270,189,133",
    "net,a,ws,4,3,10,7,9,,170,0,270,63,210",
    "net,a,is,4,3,10,7,9,,191,0,90,252,210",
    "net,b,ws,32,32,256,128,256,2:4,5609,10,262144.0,16384,131072",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "llmcompass_lut").mkdir(parents=True)
    lines = [f"{RUN},{RESULTS}", *ROWS]
    (folder / "scalesim300_full_runs.csv").write_text("\n".join(lines) + "\n")
    table = folder / "llmcompass_lut" / "look_up_table_4_3.csv"
    table.write_text("10,7,9,4,3,os,125,42.0\n3,2,2,4,3,ws,11,9.091\n")
    return folder


def edit(path: Path, change: Callable[[list[list[str]]], object]) -> None:
    rows = list(csv.reader(path.read_text().splitlines()))
    change(rows)
    path.write_text("".join(f"{','.join(row)}\n" for row in rows))


def cut(rows: list[list[str]], first: int) -> None:
    for row in rows:
        del row[first:]


def sets_of(cli: Cli, data: Path) -> dict[str, dict[str, object]]:
    done = cli("validate", "array", "--data", str(data), "--json")
    found = json.loads(done.out)
    assert done.code == (0 if found["passed"] else 1)
    return {one["name"]: one for one in found["sets"]}


def test_published_counts_are_equal(reference: Path, cli: Cli) -> None:
    found = sets_of(cli, reference)
    assert set(found) >= {"scalesim300_compute_only", "scalesim300_full_runs", "look_up_table_8_8"}
    assert all(one["passed"] and one["mismatches"] == 0 for one in found.values())
    assert found["scalesim300_full_runs"]["rows"] == 4 * 64


def test_a_file_of_ones_own(data: Path, cli: Cli) -> None:
    found = sets_of(cli, data)
    assert {name: one["rows"] for name, one in found.items()} == {
        "scalesim300_full_runs": 16, "look_up_table_4_3": 2,
    }  # fmt: skip
    assert all(one["passed"] for one in found.values())


@pytest.mark.parametrize("column", RESULTS.split(","))
def test_one_cycle_or_access_off_is_found(column: str, data: Path, cli: Cli) -> None:
    def plant(rows: list[list[str]]) -> None:
        where = rows[0].index(column)
        rows[3][where] = str(int(rows[3][where]) + 1)

    edit(data / "scalesim300_full_runs.csv", plant)
    wrong = sets_of(cli, data)["scalesim300_full_runs"]
    assert (wrong["passed"], wrong["mismatches"]) == (False, 1)
    first = wrong["first_mismatch"]
    assert isinstance(first, dict)
    assert (first["file"], first["row"]) == ("scalesim300_full_runs.csv", 2)


def test_one_cycle_off_in_a_table_is_found(data: Path, cli: Cli) -> None:
    def plant(rows: list[list[str]]) -> None:
        rows[1][6] = "12"

    edit(data / "llmcompass_lut" / "look_up_table_4_3.csv", plant)
    found = sets_of(cli, data)
    assert [name for name, one in found.items() if not one["passed"]] == ["look_up_table_4_3"]
    assert found["look_up_table_4_3"]["first_mismatch"] == {
        "file": "look_up_table_4_3.csv", "row": 1, "metric": "cycles", "expected": 12,
        "computed": 11,
    }  # fmt: skip


def test_predictions_do_not_need_results(data: Path, cli: Cli) -> None:
    whole = cli("validate", "array", "--data", str(data), "--predict-only").out
    count = len(RESULTS.split(","))
    edit(data / "scalesim300_full_runs.csv", lambda rows: cut(rows, -count))
    edit(data / "llmcompass_lut" / "look_up_table_4_3.csv", lambda rows: cut(rows, 6))
    done = cli("validate", "array", "--data", str(data), "--predict-only")
    assert (done.code, done.out) == (0, whole)
    lines = whole.splitlines()
    assert lines[0] == "file,row,metric,predicted"
    assert lines[1:5] == [
        f"scalesim300_full_runs.csv,0,{metric},{value}"
        for metric, value in zip(METRICS, (125, 270, 189, 133), strict=True)
    ]
    assert lines[-1] == "look_up_table_4_3.csv,1,cycles,11"
    assert len(lines) == 1 + 4 * 4 + 2
    # Nothing was measured, so nothing passes.
    assert cli("validate", "array", "--data", str(data)).code == 1


def test_files_may_be_absent_and_lie_flat(data: Path, cli: Cli) -> None:
    shutil.move(data / "llmcompass_lut" / "look_up_table_4_3.csv", data / "look_up_table_4_3.csv")
    (data / "scalesim300_full_runs.csv").unlink()
    assert list(sets_of(cli, data)) == ["look_up_table_4_3"]
    (data / "look_up_table_4_3.csv").unlink()
    done = cli("validate", "array", "--data", str(data))
    assert (done.code, "no file of it" in done.err) == (2, True)


def test_convolutions_are_read_by_their_sizes(tmp_path: Path) -> None:
    sizes = "ifmap_h,ifmap_w,filt_h,filt_w,channels,num_filt,stride"
    (tmp_path / "scalesim300_compute_only.csv").write_text(
        f"dataflow,rows,cols,M,N,K,{sizes}\nos,32,32,,,,28,28,1,1,128,256,2\n"
    )
    found = list(SUBJECT.predict(tmp_path, lambda *told: None))
    assert found[0].predicted == 56 * (128 + 62) + 8 * (128 + 62) - 1  # 225 pixels: 8 x 8 folds


def test_rows_that_say_nothing_are_named(data: Path, cli: Cli) -> None:
    def break_rows(rows: list[list[str]]) -> None:
        rows[1][2], rows[2][5] = "rs", "ten"

    edit(data / "scalesim300_full_runs.csv", break_rows)
    done = cli("validate", "array", "--data", str(data))
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if "full_runs.csv:" in line]
    assert [line.partition("full_runs.csv:")[2] for line in lines] == [
        "2:1: dataflow is 'rs'; allowed: os, ws, is",
        "3:1: M is 'ten', a whole number from 1 on is needed",
    ]


def test_without_data_it_says_where_to_get_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    done = cli("validate", "array")
    assert (done.code, "--data DIR" in done.err) == (2, True)
