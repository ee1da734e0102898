"""``validate mapping``: rows are predicted without results, and one wrong digit turns sets red."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from accelsim.errors import FileError
from accelsim.mapping import store
from accelsim.mapping.loopnest.layer import Layer
from accelsim.validate.mapping import SUBJECT
from accelsim.validate.mapping_rows import hierarchy_of, layer_of, strides
from accelsim.validate.result import PercentSet
from accelsim.validate.subject import Prediction

SIDE_BY_SIDE = """\
layer,dims,opt,zigzag_latency,accelforge_latency,zigzag_energy_pJ,accelforge_energy_pJ
gemm128,B=128 K=128 C=128,energy,6205,6144,4968568.832,4957558.782792969
one,B=1 K=64 C=64,latency,900,880,1e9,1e9
odd,B=1 K=64 C=64,power,,,,
"""
ZIGZAG = """\
hw,workload,type,dims,precision,opt,energy_pJ,latency_cycles,spatial_mapping,temporal_mapping
tpu_like,x,Gemm,B=4 K=32 C=32,W=8 I=8 O=16 O_final=8,energy,,,"[(K, 32.0), (C, 32.0)]",\
"{O: [[], [(B, 4)], []], W: [[(B, 4)], []], I: [[(B, 4)], []]}"
strange,x,Gemm,B=4 K=32 C=32,W=8 I=8 O=16 O_final=8,energy,1,1,"[]","{}"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path / "cache"))
    store.forget()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "side_by_side_tpu_like.csv").write_text(SIDE_BY_SIDE)
    (tmp_path / "data" / "open_zigzag_layers.csv").write_text(ZIGZAG)
    return tmp_path / "data"


def quiet(what: str, done: int, total: int) -> None:
    """Say nothing."""


def predictions(folder: Path) -> list[Prediction]:
    return list(SUBJECT.predict(folder, quiet))


def compared(folder: Path, scale: float = 1.0) -> dict[str, PercentSet]:
    known = {
        (p.file, p.row, p.metric): p.predicted * scale
        for p in predictions(folder)
        if p.predicted is not None
    }
    sets = SUBJECT.compare(folder, known)
    return {one.name: one for one in sets if isinstance(one, PercentSet)}


def test_every_row_and_metric_has_a_line(folder: Path) -> None:
    found = predictions(folder)
    keys = [(p.file, p.row, p.metric) for p in found]
    assert len(keys) == len(set(keys)) == 2 * (3 + 2)
    empty = {(p.file, p.row) for p in found if p.predicted is None}
    assert empty == {("side_by_side_tpu_like.csv", 2), ("open_zigzag_layers.csv", 1)}


def test_results_are_not_read(folder: Path) -> None:
    before = predictions(folder)
    path = folder / "side_by_side_tpu_like.csv"
    rows = [line.split(",")[:3] for line in SIDE_BY_SIDE.splitlines()]
    path.write_text("\n".join(",".join(row) for row in rows))
    assert predictions(folder) == before


def test_sets_and_their_goals(folder: Path) -> None:
    found = compared(folder)
    assert found["side_by_side_tpu_like/zigzag/energy"].passed
    assert found["side_by_side_tpu_like/accelforge/energy"].passed
    # Equal to the other tool's optimum to nine digits.
    assert abs(found["side_by_side_tpu_like/accelforge/energy"].bias or 0.0) < 1e-6
    assert found["side_by_side_tpu_like/roofline"].passed


def test_an_optimum_half_a_percent_above_turns_red(folder: Path) -> None:
    found = compared(folder, scale=1.005)["side_by_side_tpu_like/accelforge/energy"]
    assert not found.passed
    assert "above 0.3 %" in (found.reason or "")


def test_a_latency_below_the_bound_turns_red(folder: Path) -> None:
    assert not compared(folder, scale=0.9999)["side_by_side_tpu_like/roofline"].passed


def test_one_access_too_many_in_a_recosted_mapping_turns_red(folder: Path) -> None:
    path = folder / "open_zigzag_layers.csv"
    value = next(p.predicted for p in predictions(folder) if p.file == path.name)
    assert value is not None
    rows = list(csv.reader(io.StringIO(ZIGZAG)))
    at = rows[0].index("energy_pJ")
    for measured, passed in ((value, True), (value - 700.0, False)):
        rows[1][at] = repr(measured)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows[:2])
        assert compared(folder)["zigzag_layers/tpu_like/energy"].passed is passed


def test_a_missing_column_is_named(folder: Path) -> None:
    (folder / "open_zigzag_layers.csv").write_text("hw,dims\ntpu_like,B=1\n")
    with pytest.raises(FileError, match="column 'temporal_mapping' is missing"):
        predictions(folder)


@pytest.mark.parametrize(
    "row",
    [
        {"dims": "B=x", "type": "Gemm", "precision": "W=8 I=8 O=16"},
        {"dims": "Q=2", "type": "Gemm", "precision": "W=8 I=8 O=16"},
        {"dims": "B=0", "type": "Gemm", "precision": "W=8 I=8 O=16"},
        {"dims": "B=1", "type": "Softmax", "precision": "W=8 I=8 O=16"},
        {"dims": "B=1", "type": "Gemm", "precision": "W=8"},
    ],
)
def test_rows_that_are_no_layers(row: dict[str, str]) -> None:
    assert layer_of(row) is None


def test_strides_follow_from_the_rows_before() -> None:
    def conv(channels: int, outputs: int, columns: int, taps: int) -> dict[str, str]:
        dims = f"B=1 K={outputs} C={channels} OY={columns} OX={columns} FY={taps} FX={taps}"
        return {"type": "Conv", "precision": "W=8 I=8 O=16 O_final=8", "dims": dims}

    rows = [conv(3, 32, 112, 3), conv(32, 64, 112, 3), conv(64, 96, 56, 1), conv(96, 96, 56, 3)]
    assert strides(rows) == [2, 1, 2, 1]
    stem = [conv(3, 64, 112, 7), conv(64, 64, 56, 3), conv(64, 128, 28, 3), conv(64, 128, 28, 1)]
    assert strides(stem) == [2, 1, 2, 2]
    assert strides([conv(256, 512, 7, 3)]) == [2]


def test_names_of_hardware() -> None:
    assert hierarchy_of("nothing") is None
    known = {name: hierarchy_of(name, per_bit=True) for name in ("tpu_like", "eyeriss_like")}
    assert known["tpu_like"] is not None and known["tpu_like"].name == "tpu_like_per_bit"
    assert known["eyeriss_like"] is None
    bare = hierarchy_of("tpu_like (no output register)", per_bit=True)
    assert bare is not None and bare.levels_of("O") == (1, 2)


def test_all_reference_sets_pass(reference: Path) -> None:
    found = compared(reference / "mapping")
    assert found and all(one.passed for one in found.values())
    recosted = [one for name, one in found.items() if "zigzag_layers" in name and "energy" in name]
    assert sum(one.rows for one in recosted) > 50
    # Not only within the goal: a byte too many in any row would show.
    assert all(abs(one.worst["error_pct"]) < 1e-6 for one in recosted if one.worst)
    prefill = found["side_by_side_tpu_like/zigzag/energy"]
    assert prefill.worst is not None and prefill.worst["error_pct"] < -20.0


def test_padding_is_not_stored() -> None:
    row = {"type": "Conv", "precision": "W=8 I=8 O=16", "dims": "C=1 OX=8 OY=8 FX=3 FY=3"}
    inside, whole = layer_of(row, 1, True), layer_of(row, 1, False)
    assert isinstance(inside, Layer) and isinstance(whole, Layer)
    assert (inside.input_extent("X"), whole.input_extent("X")) == (8, 10)
