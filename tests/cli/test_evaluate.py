"""``accelsim evaluate``: what it prints, writes, resumes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.benchmarks.folders import make_data
from tests.support import Cli

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("rows"))


@pytest.fixture
def harness() -> None:
    pytest.importorskip("lm_eval", reason="the extra 'evaluate' (lm-eval) is not installed")
    pytest.importorskip("accelerate", reason="the extra 'evaluate' (accelerate) is not installed")


def command(data: Path, tasks: str, *rest: str) -> tuple[str, ...]:
    return (
        "evaluate", "tiny", "--tasks", tasks, "--data", str(data), "--limit", "2",
        "--max-gen-toks", "4", *rest,
    )  # fmt: skip


def test_a_run_is_printed_written_read_and_compared(
    harness: None, cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, chip = tmp_path / "plain", tmp_path / "chip"
    found = cli(*command(data, "gsm8k,wikitext", "-o", str(plain)))
    assert found.code == 0, found.err
    assert "exact_match,strict-match" in found.out and "lm-eval-words" in found.out
    assert "95 % interval" in found.out and "measured" in found.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain"]
    assert sorted(path.name for path in plain.iterdir()) == [
        "items.jsonl", "provenance.json", "run.json",
    ]  # fmt: skip
    before = (plain / "run.json").read_bytes(), (plain / "items.jsonl").read_bytes()
    again = cli(*command(data, "gsm8k,wikitext", "--json"))
    assert again.out.encode() == before[0]
    assert json.loads(again.out)["kind"] == "evaluation"

    on_chip = ("--arch", "edge_npu", "--recipe", "w8a8_int8", "--against", str(plain))
    found = cli(*command(data, "gsm8k,wikitext", *on_chip, "-o", str(chip)))
    assert found.code == 0, found.err
    assert f"against run {json.loads(before[0])['id']}: tiny in torch" in found.out
    compared = json.loads((chip / "against.json").read_text())["compared"]
    assert [task["task"] for task in compared] == ["gsm8k", "wikitext"]
    assert compared[1]["metrics"][0]["ratio_interval"] is not None
    found = cli("report", "diff", str(plain), str(chip), "--json")
    assert json.loads(found.out)["compared"] == compared

    from accelsim.evaluate.benchmarks import run

    def asked(*given: Any) -> Any:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr(run, "run", asked)
    found = cli(*command(data, "gsm8k,wikitext", "-o", str(plain)))
    assert found.code == 0, found.err
    after = (plain / "run.json").read_bytes(), (plain / "items.jsonl").read_bytes()
    assert after == before


def test_an_interrupted_run_says_how_to_go_on(
    harness: None, cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelsim.evaluate.benchmarks import stock

    original, count = stock.StockTask.ask, []

    def ask(self: Any, numbers: Any) -> Any:
        count.append(numbers)
        if len(count) == 2:
            raise KeyboardInterrupt
        return original(self, numbers)

    monkeypatch.setattr(stock.StockTask, "ask", ask)
    found = cli(*command(data, "gsm8k", "-o", str(tmp_path / "run")))
    assert found.code == 130
    assert "run.partial.jsonl: the same command goes on from there" in found.err
    found = cli(*command(data, "gsm8k", "-o", str(tmp_path / "run")))
    assert found.code == 0, found.err
    assert len(count) == 3  # one item was known
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gsm9k",), "unknown task 'gsm9k' (did you mean 'gsm8k'?"),
        (("humaneval",), "--allow-code"),
        (("wikitext", "--protocol", "gptq"), "unknown protocol 'gptq' (did you mean 'gptq-2048'?"),
        (("gsm8k", "--limit", "0"), "--limit is 0"),
        (("gsm8k", "--recipe", "w8a8_int8"), "give --arch"),
        (("gsm8k", "--dtype", "int8"), "unknown dtype 'int8'"),
        (("gsm8k", "--softmax-dtype", "bf16"), "unknown softmax dtype 'bf16'"),
        (("gsm8k", "--arch", "edge_npu", "--numerics", "quick"), "unknown numerics 'quick'"),
        (("gsm8k", "--against", "nowhere"), "nowhere/run.json: cannot be read"),
        (("wikitext", "--protocol", "4096"), "windows of 4096 tokens"),
    ],
)
def test_wrong_usage_is_exit_2_and_leaves_nothing(
    harness: None, cli: Cli, data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    tasks, *rest = arguments
    found = cli(*command(data, tasks, "-o", str(tmp_path / "run"), *rest))
    assert found.code == 2, found.err
    assert message in found.err and found.out == ""
    assert list(tmp_path.iterdir()) == []


def test_without_data_the_files_are_named(
    harness: None, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cli(*command(tmp_path, "ifeval"))
    assert found.code == 2 and "ifeval/input_data.jsonl does not exist" in found.err
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    found = cli("evaluate", "tiny", "--tasks", "ifeval")
    assert found.code == 2 and "--data DIR names a folder" in found.err


def test_without_lm_eval_the_extra_is_named(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelsim.evaluate.benchmarks import offline

    monkeypatch.setattr(offline, "NEEDED", ("no_such_package",))
    found = cli(*command(data, "gsm8k"))
    assert found.code == 2
    assert "pip install 'accelsim[evaluate]'" in found.err


def test_a_model_is_held_to_published_figures(
    harness: None, cli: Cli, data: Path, tmp_path: Path
) -> None:
    import shutil

    from tests.tiny import values

    folder = tmp_path / "my-model"
    shutil.copytree(values().folder, folder)
    table = tmp_path / "accuracy.csv"
    table.write_text(
        "model,task,recipe,value,stderr,source\n"
        "my-model,mmlu,bf16,30,40,card\nmy-model,mmlu,w8a8_int8,30,40,card\n"
    )
    asked = ("validate", "accuracy", "--model", str(folder), "--rows", str(data))
    found = cli(*asked)
    assert found.code == 2 and "--data FILE" in found.err
    found = cli(*asked, "--data", str(table))
    assert found.code == 2 and "recipe 'w8a8_int8' runs on a chip: give --arch" in found.err
    found = cli(*asked, "--data", str(table), "--arch", "edge_npu", "--json")
    assert found.code == 0, found.err
    sets = json.loads(found.out)["sets"]
    assert [one["name"] for one in sets] == ["mmlu/acc,none", "mmlu/acc,none/w8a8_int8"]
    assert all(one["passed"] and one["rows"] == 6 for one in sets)
