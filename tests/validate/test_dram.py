"""``validate dram``: the traces, predictions without results, and one clock that turns red."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from accelsim.errors import FileError
from accelsim.sim.dram import peers
from accelsim.sim.dram.replay import replay
from accelsim.validate import traces
from accelsim.validate.dram import SUBJECT
from accelsim.validate.result import PercentSet
from accelsim.validate.subject import read_rows

REFERENCE = Path(os.environ.get("ACCELSIM_REFERENCE", "")) / "dram"
with_reference = pytest.mark.skipif(
    not os.environ.get("ACCELSIM_REFERENCE") or not REFERENCE.is_dir(),
    reason="ACCELSIM_REFERENCE names no folder of measurements with a folder dram",
)
TABLES = ("dramsim3", "ramulator2")
KNOCKOUTS = "ablation_dramsim3_pct"


def quiet(what: str, done: int, total: int) -> None: ...


def part_of(folder: Path, keep: int) -> Path:
    """Copy the tables of the reference with every ``keep``-th row."""
    for path in REFERENCE.glob("*.csv"):
        name = path.name.removeprefix("open_")
        if name.removesuffix(".csv") in (*TABLES, KNOCKOUTS):
            lines = path.read_text().splitlines()
            (folder / name).write_text("\n".join([lines[0], *lines[1::keep]]) + "\n")
        else:
            shutil.copy(path, folder / name)
    return folder


def predicted(folder: Path) -> dict[tuple[str, int, str], float]:
    found = SUBJECT.predict(folder, quiet)
    return {(p.file, p.row, p.metric): p.predicted for p in found if p.predicted is not None}


def test_splitmix_is_the_published_one() -> None:
    # The first outputs for seed 1234567, as its authors' code prints them.
    assert traces.splitmix64(1234567, 3).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@with_reference
@pytest.mark.parametrize("size", [32, 64])
def test_the_traces_are_those_of_the_measurements(size: int) -> None:
    suite: Sequence[Any] = load(REFERENCE / "gen_traces.py").suite(size, traces.SPAN, 4000)
    assert [name for name, *_ in suite] == list(traces.SUITE)
    for name, interval, chase, words in suite:
        trace = traces.SUITE[name]
        assert (trace.interval, int(trace.chase)) == (interval, chase)
        assert np.array_equal(trace.make(len(words), size), words), name


#: Percent: mean latencies are given with three digits.
ROUNDED = 0.002


def wrong(folder: Path) -> list[str]:
    """Return the sets in which something is not equal to what was measured."""
    return [
        found.name
        for found in SUBJECT.compare(folder, predicted(folder))
        if isinstance(found, PercentSet)
        and (found.worst is None or abs(found.worst["error_pct"]) > ROUNDED)
    ]


@with_reference
def test_cycles_and_latencies_are_those_of_both_simulators(tmp_path: Path) -> None:
    folder = part_of(tmp_path, 5)
    found = SUBJECT.compare(folder, predicted(folder))
    assert {one.name.split("/")[0] for one in found} == set(TABLES)
    assert all(one.passed for one in found)
    assert wrong(folder) == []


@with_reference
def test_results_are_not_needed_to_predict(tmp_path: Path) -> None:
    whole, bare = part_of(tmp_path, 30), tmp_path / "bare"
    bare.mkdir()
    for path in whole.glob("*.csv"):
        rows = list(csv.reader(path.read_text().splitlines()))
        if path.stem in TABLES:
            kept = [rows[0].index(c) for c in ("config", "trace", "interval", "chase", "width",
                                               "requests")]  # fmt: skip
            rows = [[row[i] for i in kept] for row in rows]
        (bare / path.name).write_text("\n".join(",".join(row) for row in rows) + "\n")
    assert predicted(bare) == predicted(whole)


@with_reference
@pytest.mark.parametrize(
    ("simulator", "config", "timing", "value"),
    [("dramsim3", "hbm2_1ch", "tCCD_L", 2), ("dramsim3", "ddr4_2400", "tRTRS", 1),
     ("ramulator2", "lpddr5_6400", "nRTP", 8), ("ramulator2", "ddr4_3200_mop", "nCCDL", 8)],
)  # fmt: skip
def test_one_clock_more_between_commands_is_red(
    tmp_path: Path, simulator: str, config: str, timing: str, value: int
) -> None:
    folder = part_of(tmp_path, 6)
    path = folder / f"{simulator}_params.csv"
    line = f"{config},timing,{timing},"
    path.write_text(path.read_text().replace(f"{line}{value}\n", f"{line}{value + 1}\n"))
    assert any(name.startswith(f"{simulator}/{config}/") for name in wrong(folder))


@with_reference
@pytest.mark.parametrize("config", ["ddr4_2400", "hbm2_1ch", "lpddr4_2400_x32"])
def test_commands_and_energy_are_those_of_dramsim3(config: str) -> None:
    named = peers.configurations(read_rows(REFERENCE / "open_dramsim3_params.csv", ["config"]))
    system = peers.dramsim3(config, named[config])
    rows = read_rows(REFERENCE / "open_dramsim3.csv", ["config"])
    for row in [row for row in rows if row["config"] == config][::6]:
        trace = traces.SUITE[row["trace"]]
        words = trace.make(int(row["requests"]), system.request_bytes)
        found = replay(system, words, trace.interval, trace.chase, int(row["width"]))
        counts, energy = found.counts, found.energy
        assert energy is not None
        assert [counts.reads, counts.writes, counts.activates, counts.precharges,
                counts.refreshes] == [int(row[c]) for c in ("rd_cmds", "wr_cmds", "acts", "pres",
                                                            "refs")]  # fmt: skip
        parts = (energy.activate, energy.read, energy.write, energy.refresh, energy.background)
        names = ("e_act_nJ", "e_rd_nJ", "e_wr_nJ", "e_ref_nJ", "e_bg_nJ")
        for part, name in zip(parts, names, strict=True):
            assert part == pytest.approx(float(row[name]), rel=1e-4, abs=0.06), (row["trace"], name)


def table(folder: Path, line: str) -> Path:
    (folder / "dramsim3_params.csv").write_text("config,section,param,value\n")
    header = "config,trace,interval,chase,width,requests,cycles\n"
    (folder / "dramsim3.csv").write_text(f"{header}{line}\n")
    return folder


def test_bad_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError) as error:
        predicted(table(tmp_path, "ddr9,seq_reed,-1,0,0,many,1"))
    text = str(error.value)
    for part in ("dramsim3.csv:2:1", "unknown config 'ddr9'", "did you mean 'seq_read'",
                 "interval: found '-1'", "width: found '0'", "requests: found 'many'"):  # fmt: skip
        assert part in text


def test_missing_parameters_are_named(tmp_path: Path) -> None:
    folder = table(tmp_path, "a,seq_read,0,0,1,10,1")
    (folder / "dramsim3_params.csv").unlink()
    with pytest.raises(FileError, match=r"dramsim3_params\.csv: missing"):
        predicted(folder)
