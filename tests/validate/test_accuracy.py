"""Published figures beside measured ones: a table is read, the model is run, both are compared."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from accelsim.errors import FileError, InputError, UnknownNameError
from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.evaluate.benchmarks.result import Evaluation
from accelsim.validate.accuracy import read_table, validate_accuracy

HEAD = "model,task,protocol,recipe,value,stderr,n,source\n"


def table(folder: Path, text: str, head: str = HEAD) -> Path:
    path = folder / "accuracy.csv"
    path.write_text(head + text)
    return path


def evaluated(value: float, stderr: float | None) -> Any:
    """Return a stand-in for the model: every metric of every task has one score."""
    asked_for: list[tuple[Asked, str | None, str]] = []

    def evaluate(asked: Asked, recipe: str | None, dtype: str) -> Evaluation:
        asked_for.append((asked, recipe, dtype))
        tasks = tuple(
            {
                "task": one.name, "protocol": one.protocol or "lm-eval",
                "scores": [
                    {"metric": m.name, "value": value, "stderr": stderr, "n": 100}
                    for m in one.metrics
                ],
            }
            for one in asked.benchmarks
        )  # fmt: skip
        return Evaluation({"id": "x"}, tasks, ())

    return evaluate, asked_for


def test_figures_agree_within_their_combined_errors(tmp_path: Path) -> None:
    path = table(
        tmp_path, "Mine,gsm8k,,bf16,60.0,,100,card\nmine,mmlu,,fp16,0.9,0.01,,card\nother,x\n"
    )
    rows = read_table(path, "mine")
    assert [row.value for row in rows] == [0.6, 0.9]
    evaluate, asked = evaluated(0.55, 0.03)
    found = validate_accuracy(rows, evaluate)
    near, far = found.sets
    assert near.tolerance == pytest.approx(
        1.96 * math.hypot(0.03, math.sqrt(0.6 * 0.4 / 100)), rel=1e-4
    )
    assert near.passed and not far.passed and not found.passed
    assert "off by -0.35" in str(far.reason)
    assert [dtype for _, _, dtype in asked] == ["bfloat16", "float16"]
    assert found.to_dict()["sets"][0]["name"] == "gsm8k/exact_match,strict-match"


def test_a_setting_is_run_once(tmp_path: Path) -> None:
    lines = [
        "m,wikitext,gptq-2048,w8a8_int8,5.5,,,paper",
        "m,wikitext,lm-eval-words,w8a8_int8,8.8,,,paper",
        "m,gsm8k,,w8a8_int8,14.6,,,paper", "m,gsm8k,,,14.6,,,paper",
    ]  # fmt: skip
    evaluate, asked = evaluated(5.5, 0.1)
    found = validate_accuracy(read_table(table(tmp_path, "\n".join(lines)), "m"), evaluate, 7)
    assert [(recipe, dtype) for _, recipe, dtype in asked] == [
        ("w8a8_int8", "auto"),
        (None, "auto"),
    ]
    assert asked[0][0].protocols == ("gptq-2048", "lm-eval-words")
    assert asked[0][0].limit == 7
    assert [one.passed for one in found.sets] == [True, False, False, False]


def test_without_any_error_nothing_is_said_to_agree(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "m,wikitext,4096,,5.12,,,README\n"), "m")
    (one,) = validate_accuracy(rows, evaluated(5.12, None)[0]).sets
    assert not one.passed and "no standard error" in str(one.reason)


def test_mistakes_stand_with_their_lines(tmp_path: Path) -> None:
    lines = [
        "m,gsm9k,,,60,,,card", "m,wikitext,,,5,,,card", "m,wikitext,gptq,,5,,,card",
        "m,gsm8k,,,many,,,card", "m,gsm8k,,,101,,,card", "m,gsm8k,,,60,,,",
    ]  # fmt: skip
    with pytest.raises(FileError) as caught:
        read_table(table(tmp_path, "\n".join(lines)), "m")
    text = str(caught.value).splitlines()
    assert len(text) == 6 and ":2:1: unknown task 'gsm9k'" in text[0]
    assert "perplexities need one of" in text[1] and "did you mean 'gptq-2048'" in text[2]
    assert "a number is needed" in text[3] and "share or a percentage" in text[4]
    assert "'source' is missing" in text[5]


def test_tables_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"accuracy\.csv or accuracy\.json is needed"):
        read_table(tmp_path, "m")
    with pytest.raises(UnknownNameError, match="did you mean 'llama-7b'"):
        read_table(table(tmp_path, "llama-7b,gsm8k,,,1,,,x\n"), "llama7b")
    with pytest.raises(FileError, match="column 'value' is missing"):
        read_table(table(tmp_path, "", "model,task,valu,source\n"), "m")
    (tmp_path / "accuracy.csv").unlink()
    (tmp_path / "accuracy.json").write_text(json.dumps({"model": "m"}))
    with pytest.raises(InputError, match="a list of objects is needed"):
        read_table(tmp_path, "m")


def test_json_rows_are_read_as_those_of_a_csv(tmp_path: Path) -> None:
    row = {
        "model": "m",
        "task": "mmlu",
        "value": 42.69,
        "n": 14042,
        "num_fewshot": 0,
        "source": "x",
    }
    (tmp_path / "accuracy.json").write_text(json.dumps([row]))
    (found,) = read_table(tmp_path, "M")
    assert (found.value, found.num_fewshot) == (0.4269, 0)
    assert found.stderr == pytest.approx(0.00417, abs=1e-5)
