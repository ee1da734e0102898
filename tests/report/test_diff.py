from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from accelsim.report import diff
from tests.report.valued import valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]


def test_equal_runs_do_not_differ(small_run: Run) -> None:
    again = copy.deepcopy(small_run)
    assert diff.diff_inputs(small_run, again) == []
    assert {row["ratio"] for row in diff.diff_totals(small_run, again)} == {1.0}
    assert {row["cycles_change"] for row in diff.diff_rows(small_run, again)} == {0}


def test_inputs_are_named_by_what_they_are(small_run: Run, make_run: Make) -> None:
    other = make_run(recipe="bf16", sizes={"batch": 2, "seq_len": 128})
    other["chip"]["levels"][0]["size_bytes"] *= 2
    other["chip"]["peaks"][0]["macs_per_s"] = 1.0
    assert diff.diff_inputs(small_run, other) == [
        {"key": "recipe", "before": "w8a8_int8", "after": "bf16"},
        {"key": "sizes.batch", "before": 1, "after": 2},
        {"key": "sizes.context_len", "before": 128, "after": None},
        {"key": "chip.peaks.int8_int8.macs_per_s", "before": 4.096e12, "after": 1.0},
        {"key": "chip.levels.scratchpad.size_bytes", "before": 1 << 20, "after": 1 << 21},
    ]


def test_the_chips_file_is_compared_where_there_is_one(make_run: Make) -> None:
    before, after = make_run(), make_run()
    modes = [{"activation": "int8", "weight": "int8", "rate": rate} for rate in (1, 2)]
    before["chip"] |= {"spec": {"clock_hz": 1e9, "modes": modes, "ids": [1, 2]}}
    after["chip"] |= {"clock_hz": 2e9, "spec": {"clock_hz": 2e9, "modes": modes[:1], "ids": [1]}}
    keys = [row["key"] for row in diff.diff_inputs(before, after)]
    assert keys[0] == "chip.clock_hz"
    assert "chip.modes.int8_int8_1.rate" in keys and "chip.ids.1" in keys


def test_layers_are_matched_by_name(make_run: Make, make_layer: Make) -> None:
    before = make_run([make_layer(f"l.{i}.up", cycles=3000) for i in range(2)])
    after = make_run(
        [
            make_layer("l.0.up", cycles=2500, bound_by="dram"),
            make_layer("l.1.up", cycles=2500, bound_by="dram"),
            make_layer("head", cycles=5000),
        ]
    )
    head, up = diff.diff_rows(before, after)
    assert head == {
        "name": "head", "count_before": 0, "count_after": 1, "cycles_before": 0,
        "cycles_after": 5000, "cycles_change": 5000, "energy_typical_pj_before": 0,
        "energy_typical_pj_after": 2_500_000.0, "energy_typical_pj_change": 2_500_000.0,
        "bound_by_before": "", "bound_by_after": "compute",
    }  # fmt: skip
    assert (up["name"], up["count_before"], up["count_after"]) == ("l.*.up", 2, 2)
    assert up["cycles_change"] == -1000
    assert up["energy_typical_pj_change"] == pytest.approx(-500_000)
    assert (up["bound_by_before"], up["bound_by_after"]) == ("compute", "dram")


def test_changes_add_up_to_the_totals(small_run: Run, crowded_run: Run) -> None:
    changes = sum(row["cycles_change"] for row in diff.diff_rows(small_run, crowded_run))
    totals = {row["name"]: row for row in diff.diff_totals(small_run, crowded_run)}
    assert changes == totals["cycles"]["after"] - totals["cycles"]["before"]
    assert totals["energy_pj"]["before"] == small_run["totals"]["energy_pj"]["typical"]
    assert "bound_by" not in totals and "energy_by_part" not in totals


def test_a_ratio_to_nothing_is_none(make_run: Make, make_layer: Make) -> None:
    still = make_run([make_layer("a", dram_bytes=0)])
    rows = {row["name"]: row for row in diff.diff_totals(still, make_run())}
    assert rows["dram_bytes"]["ratio"] is None
    del still["totals"]["tokens_per_second"]
    assert "tokens_per_second" not in {row["name"] for row in diff.diff_totals(make_run(), still)}


def test_runs_side_by_side(small_run: Run, make_run: Make) -> None:
    vision = make_run(model="resnet-50")
    for name in ("tokens_per_second", "energy_per_token_j"):
        del vision["totals"][name]
    first, second = diff.compare_rows([small_run, vision])
    assert tuple(first) == diff.COMPARE_COLUMNS == tuple(second)
    assert first["arch"] == "edge_npu" and first["bound_by"] == "compute"
    assert first["seconds"] == pytest.approx(17e-6)
    assert first["energy_per_token_low_j"] < first["energy_per_token_typical_j"]
    assert second["model"] == "resnet-50"
    assert second["tokens_per_second"] is second["energy_per_token_high_j"] is None


def test_errors_of_two_runs_are_subtracted(small_run: Run) -> None:
    before, after = valued(small_run), valued(small_run)
    after["totals"] |= {
        "sqnr_db": None, "exact_match": 0.75, "exact_match_interval": [0.686, 0.805],
    }  # fmt: skip
    rows = {row["name"]: row for row in diff.diff_errors(before, after)}
    # Neither run has an error by arithmetic.
    assert [*rows] == [name for name in diff.ERROR_TOTALS if name != "sqnr_arithmetic_db"]
    score = rows["exact_match"]
    assert (score["before"], score["after"]) == (0.915, 0.75)
    assert score["change"] == pytest.approx(-0.165)
    assert (rows["exact_match_low"]["before"], rows["exact_match_high"]["after"]) == (0.868, 0.805)
    assert (rows["sqnr_db"]["after"], rows["sqnr_db"]["change"]) == (None, None)
    assert "sqnr_db" not in {row["name"] for row in diff.diff_totals(before, after)}


def test_errors_of_one_run_have_no_change(small_run: Run) -> None:
    assert diff.diff_errors(small_run, small_run) == []
    rows = diff.diff_errors(small_run, valued(small_run, task=False))
    assert [row["name"] for row in rows] == [
        "sqnr_db", "sqnr_quantization_db", "max_abs_error", "kl_divergence", "top1_agreement",
    ]  # fmt: skip
    assert {row["before"] for row in rows} == {row["change"] for row in rows} == {None}


def test_whether_two_runs_answered_the_same_problems(small_run: Run) -> None:
    before, after = valued(small_run), valued(small_run)
    assert diff.same_problems(before, after) is True
    after["numerics"]["task"]["seed"] = 2
    assert diff.same_problems(before, after) is False
    assert diff.same_problems(before, small_run) is None
    assert diff.same_problems(before, valued(small_run, task=False)) is None


def test_what_decides_values_is_an_input(small_run: Run) -> None:
    before, after = valued(small_run), valued(small_run, "fast")
    after["numerics"]["task"]["n"] = 50
    assert diff.diff_inputs(before, after) == [
        {"key": "numerics.mode", "before": "exact", "after": "fast"},
        {"key": "numerics.task.n", "before": 200, "after": 50},
    ]


def test_layers_say_how_their_errors_changed(small_run: Run) -> None:
    before, after = valued(small_run), valued(small_run)
    for layer in after["layers"]:
        layer["sqnr_quantization_db"] = 12.0
    rows = {row["name"]: row for row in diff.diff_rows(before, after)}
    up = rows["model.layers.*.mlp.up_proj.linear"]
    keys = [f"sqnr_quantization_db_{end}" for end in ("before", "after", "change")]
    assert [up[key] for key in keys] == [31.07, 12.0, pytest.approx(-19.07)]
    norm = rows["model.layers.*.norm"]
    assert [norm[key] for key in keys] == [-3.25, 12.0, 15.25]
    gone = diff.diff_rows(before, {**before, "layers": []})[0]
    assert [gone[key] for key in keys[1:]] == [None, None]
    assert not any("sqnr" in key for row in diff.diff_rows(small_run, small_run) for key in row)


def test_runs_side_by_side_with_what_they_get_wrong(small_run: Run) -> None:
    bare, exact, fast = diff.compare_rows([small_run, valued(small_run), valued(small_run, "fast")])
    assert tuple(exact) == (*diff.COMPARE_COLUMNS, *diff.COMPARE_ERRORS) == tuple(bare)
    assert {bare[name] for name in diff.COMPARE_ERRORS} == {None}
    assert (exact["sqnr_db"], exact["exact_match_low"], exact["fp32_exact_match"]) == (
        31.25, 0.868, 0.93,
    )  # fmt: skip
    assert (exact["gap_exact_match"], exact["gap_sqnr_db"]) == (None, None)
    assert (fast["gap_exact_match"], fast["gap_sqnr_db"]) == (pytest.approx(0.03125), 45.25)
