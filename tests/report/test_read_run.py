from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.report import cells, diff, files, html, numerics, plots, rows, timeline
from accelsim.report.shape import problem
from tests.report.valued import valued

Run = dict[str, Any]


def layer_without(run: Run, name: str) -> Run:
    first = {key: value for key, value in run["layers"][0].items() if key != name}
    return {**run, "layers": [first, *run["layers"][1:]]}


def with_total(run: Run, name: str, value: Any) -> Run:
    return {**run, "totals": {**run["totals"], name: value}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda run: [], "is not a run of accelsim: it has no schema_version"),
        (lambda run: {**run, "schema_version": 2}, "has schema_version 2; this accelsim reads 1"),
        (lambda run: {**run, "layers": {}}, "layers is of another kind"),
        (lambda run: {**run, "totals": {}}, "totals.cycles is missing"),
        (lambda run: {**run, "notes": [1]}, "notes is of another kind"),
        (lambda run: {**run, "chip": {"clock_hz": "fast"}}, "chip.clock_hz is of another kind"),
        (lambda run: {**run, "layers": [3]}, r"layers\[0\] is not an object"),
        (lambda run: layer_without(run, "stalls"), r"layers\[0\].stalls is missing"),
        (lambda run: {**run, "numerics": [1]}, "numerics is of another kind"),
        (lambda run: with_total(run, "sqnr_db", "much"), "totals.sqnr_db is of another kind"),
        (lambda run: with_total(run, "exact_match_interval", [1]), "exact_match_interval is of"),
    ],
)
def test_what_is_no_run_is_refused(
    small_run: Run, tmp_path: Path, change: Callable[[Run], Any], reason: str
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(change(small_run)))
    with pytest.raises(InputError, match=reason) as caught:
        files.read_run(tmp_path)
    assert str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"run\.json:1:1: is not JSON: Expecting value"),
        (b'{"a": 1,\n}', r"run\.json:2:1: is not JSON"),
        (b'{"a": NaN}', r"run\.json: is not JSON: NaN is not a JSON number"),
        (b"\xff\xfe", r"run\.json: is not JSON: .*decode"),
        (b"[" * 100_000, r"run\.json: is not JSON"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        files.read_run(tmp_path)


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json: cannot be read: No such file"):
        files.read_run(tmp_path)


def test_a_number_that_no_float_holds_is_refused(small_run: Run, tmp_path: Path) -> None:
    text = json.dumps(valued(small_run)).replace("31.25", "1e999")
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"totals\.sqnr_db is of another kind"):
        files.read_run(tmp_path)


@pytest.mark.parametrize("mode", ["exact", "sampled", "fast"])
@pytest.mark.parametrize("task", [False, True])
def test_a_run_with_values_comes_back(
    small_run: Run, tmp_path: Path, mode: str, task: bool
) -> None:
    run = valued(small_run, mode, task)
    (tmp_path / "run.json").write_text(files.run_json(run))
    assert files.read_run(tmp_path) == run


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
PLACES = [
    ("chip",), ("totals",), ("layers", 0), ("layers",), ("sizes",), ("notes",), ("validation",),
    ("chip", "peaks"), ("chip", "levels"), ("totals", "energy_by_part"), ("totals", "energy_pj"),
    ("totals", "tokens_per_second"), ("layers", 0, "formats"), ("layers", 0, "stalls"),
    ("layers", 0, "shape"), ("layers", 0, "fused"), ("layers", 0, "energy_by_part"),
    ("layers", 0, "bytes_by_level"), ("layers", 0, "cycles"), ("layers", 0, "utilization"),
    ("layers", 0, "sqnr_quantization_db"), ("layers", 0, "max_abs_error"), ("numerics",),
    ("numerics", "task"), ("numerics", "gap"), ("numerics", "tokens"), ("numerics", "native_ops"),
    ("numerics", "task", "levels"), ("numerics", "task", "levels", 0), ("numerics", "mode"),
    ("numerics", "task", "difference_interval"), ("numerics", "gap", "sqnr_db"),
    ("numerics", "gap", "exact_match_fast"), ("numerics", "signature"), ("totals", "exact_match"),
    ("totals", "exact_match_interval"), ("totals", "sqnr_db"), ("totals", "numerics_mode"),
]  # fmt: skip


@given(st.sampled_from(PLACES), json_values)
def test_a_run_that_passes_the_check_can_be_reported(
    small_run: Run, place: tuple[str | int, ...], value: Any
) -> None:
    run: Any = valued(small_run, "fast")
    inner = run
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    if problem(run):
        return
    rows.layers_csv(run)
    rows.summary(run)
    numerics.level_facts(run)
    for table in (cells.totals, cells.numerics, cells.task_levels, cells.chip, cells.peaks,
                  cells.levels, cells.formats_in_use, cells.validation,
                  html.reproduction_command):  # fmt: skip
        table(run)
    for plot in plots.PLOTS.values():
        plot.rows(run)
    diff.diff_errors(run, valued(small_run))
    diff.diff_inputs(run, small_run)
    diff.diff_rows(run, small_run)
    diff.compare_rows([run])
    diff.same_problems(run, small_run)
    timeline.trace_bytes(run, [])
