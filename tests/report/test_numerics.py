from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from accelsim.report import numerics
from tests.report.valued import COLUMNS, ERRORS, valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]


def test_a_run_without_values_says_nothing(small_run: Run) -> None:
    assert numerics.facts(small_run) == []
    assert numerics.level_facts(small_run) == []
    assert numerics.error_rows(small_run) == []
    assert numerics.details_of({**small_run, "numerics": None}) == {}


def test_facts_of_exact_values(valued_run: Run) -> None:
    assert dict(numerics.facts(valued_run)) == {
        "values": "exact: every value in the chip's arithmetic; 512 tokens of arithmetic word "
        "problems, seed 0",
        "SQNR": "31.2 dB  (final logits against FP32)",
        "SQNR by cause": "quantization 38.5 dB, arithmetic no error  (mean of layers that "
        "multiply)",
        "largest error": "2.5  (of a final logit)",
        "KL divergence": "0.000216 nats per token",
        "top-token agreement": "98.4 %",
        "exact match": "91.5 %  (95 % interval 86.8 to 94.6 %, 200 problems)  measured",
        "exact match in FP32": "93.0 %  (95 % interval 88.6 to 95.8 %, the same problems)",
        "difference": "-1.5 points  (95 % interval -3.9 to +0.9, paired)",
    }
    assert numerics.level_facts(valued_run) == [
        ("  level 1", " 98.8 %  (FP32 100.0 %, 80 problems)  sums below 100"),
        ("  level 2", " 86.7 %  (FP32 88.3 %, 120 problems)  products"),
    ]


@pytest.mark.parametrize("mode", ["fast", "sampled"])
def test_the_gap_stands_right_under_a_score_that_is_not_exact(small_run: Run, mode: str) -> None:
    found = numerics.facts(valued(small_run, mode))
    names = [name for name, _ in found]
    assert names.index("gap to exact") == names.index(f"exact match, {mode}") + 1
    assert dict(found)["values"].startswith(f"{mode}: ")
    assert ("products on sampled rows" in dict(found)["SQNR by cause"]) == (mode == "sampled")
    assert dict(found)["gap to exact"] == (
        "+3.1 points: 93.8 % fast, 90.6 % exact on the same 32 problems; logits 45.2 dB apart"
    )


def test_a_gap_without_a_task_is_that_of_the_logits(small_run: Run) -> None:
    run = valued(small_run, "fast", task=False)
    run["numerics"]["gap"] = {"problems": 32, "exact_match_exact": None, "sqnr_db": None}
    facts = dict(numerics.facts(run))
    assert facts["gap to exact"] == "logits equal"
    assert "exact match, fast" not in facts and "difference" not in facts
    assert numerics.level_facts(run) == []


def test_what_is_missing_or_null_is_left_out(small_run: Run) -> None:
    run = valued(small_run, task=False)
    run["totals"] |= {"sqnr_db": None, "max_abs_error": None, "kl_divergence": None}
    for name in ("top1_agreement", "sqnr_quantization_db", "sqnr_arithmetic_db"):
        del run["totals"][name]
    del run["numerics"]
    assert numerics.facts(run) == [
        ("values", "exact: every value in the chip's arithmetic"),
        ("SQNR", "no error  (final logits against FP32)"),
    ]
    run["totals"]["numerics_mode"] = "some other"
    assert numerics.facts(run)[0] == ("values", "some other")


def test_ops_that_ran_elsewhere_are_listed(small_run: Run) -> None:
    run = valued(small_run)
    run["numerics"]["native_ops"] = ["model.sort", "model.cumsum"]
    assert ("not in the chip's arithmetic", "model.sort, model.cumsum") in numerics.facts(run)


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0, "+0.0"), (-0.0, "+0.0"), (-1e-9, "+0.0"), (-0.015, "-1.5"), (0.0309, "+3.1")],
)
def test_points_have_a_sign_and_zero_has_one(difference: float, text: str) -> None:
    assert numerics.points(difference) == text


def test_ratios_of_any_size_are_written_and_none_is_a_dash() -> None:
    assert [numerics.decibels(v) for v in (None, -3.25, 0.04, 312.0)] == [
        "–", "-3.2", "0.0", "312.0",
    ]  # fmt: skip
    assert numerics.decibels(31.07, 0.25) == "31.1 ±0.2"


def test_rows_of_the_picture_are_all_ops_in_order_with_their_shares(valued_run: Run) -> None:
    rows = numerics.error_rows(valued_run)
    assert tuple(rows[0]) == numerics.PICTURE_COLUMNS
    assert [row["name"] for row in rows] == [layer["name"] for layer in valued_run["layers"]]
    assert [tuple(row[name] for name in COLUMNS) for row in rows] == list(ERRORS[:6])
    for share in ("cycles_share", "energy_share"):
        assert sum(row[share] for row in rows) == pytest.approx(1.0)
    json.dumps(rows, allow_nan=False)


def test_rows_of_a_sample_have_its_standard_error(small_run: Run) -> None:
    rows = numerics.error_rows(valued(small_run, "sampled"))
    assert [row["sqnr_stderr_db"] for row in rows] == [0.25, 0.25, 0.25, None, 0.25, 0.25]
    assert numerics.error_cells(rows[0]) == ["44.7 ±0.2", "–", "43.8"]
    assert numerics.error_cells(rows[3]) == ["–", "–", "–"]


def test_a_layers_own_error_is_the_worse_of_its_two_causes(valued_run: Run) -> None:
    rows = numerics.error_rows(valued_run)
    assert numerics.own_error(rows[1]) == (31.07, "quantization")
    assert numerics.own_error(rows[4]) == (118.3, "arithmetic")
    assert numerics.own_error(rows[3]) is None
