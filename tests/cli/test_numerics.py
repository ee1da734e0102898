"""What runs get wrong, as a user sees it: the flags, the screen, the comparison, the difference."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accelsim import api
from accelsim.cli import console, interrupts, simulate
from accelsim.graph.request import GraphRequest
from accelsim.report.diff import COMPARE_COLUMNS, COMPARE_ERRORS
from tests.cli.test_console import Terminal
from tests.report.valued import valued
from tests.support import Cli

Run = dict[str, Any]
SMALL = ("edge_npu", "bert-base", "--seq-len", "16")


@dataclass
class Result:
    """Stands for a result that was simulated with values."""

    run: Run
    spans: tuple[()] = ()

    def to_dict(self) -> Run:
        return self.run


@pytest.fixture(scope="module")
def timed() -> Run:
    """A real run without values; treat as read-only."""
    return api.simulate("edge_npu", "bert-base", request=GraphRequest(seq_len=16)).to_dict()


@pytest.fixture
def asked(timed: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Run]]:
    """What the API was asked for, while it answers with a made-up run."""
    calls: list[Run] = []

    def one(*arguments: object, **named: Any) -> Result:
        calls.append({"arguments": arguments, **named})
        named["progress"]("problems", 1, 2)
        mode = named["numerics"]
        return Result(valued(timed, mode) if mode else timed)

    def several(*arguments: object, **named: Any) -> tuple[list[Result], dict[Any, str]]:
        return [one(*arguments, **named)] * 2, {("tpu_v4", "bf16"): "tpu_v4: no mode for it"}

    monkeypatch.setattr(api, "simulate", one)
    monkeypatch.setattr(api, "compare", several)
    yield calls


@pytest.mark.parametrize(
    ("flags", "mode", "problems"),
    [
        ((), None, 200),
        (("--numerics", "exact"), "exact", 200),
        (("--numerics", "sampled", "--problems", "7"), "sampled", 7),
        (("--numerics", "fast", "--problems", "1"), "fast", 1),
    ],
)
def test_flags_reach_the_api(
    cli: Cli, asked: list[Run], flags: tuple[str, ...], mode: str | None, problems: int
) -> None:
    assert cli("simulate", *SMALL, *flags).code == 0
    assert cli("compare", "edge_npu", "--model", "bert-base", *flags).code == 0
    assert [(call["numerics"], call["problems"]) for call in asked] == [(mode, problems)] * 2


def test_without_a_model_values_are_computed(cli: Cli, asked: list[Run]) -> None:
    assert cli("simulate", "--problems", "9").code == 0
    assert asked[0]["arguments"] == ("edge_npu", None, None)
    assert (asked[0]["numerics"], asked[0]["problems"]) == (None, 9)


def test_help_says_what_runs_without_an_argument(cli: Cli) -> None:
    text = " ".join(cli("simulate", "--help").out.replace("│", " ").split())
    assert "With no argument: edge_npu tiny --recipe w8a8_int8 --numerics exact." in text
    assert "--numerics" in text and "--problems" in text


@pytest.mark.parametrize("verb", [("simulate", *SMALL), ("compare", "edge_npu", "--model", "tiny")])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--numerics", "exakt"), "unknown numerics 'exakt' (did you mean 'exact'?"),
        (("--problems", "5"), "--problems goes with --numerics"),
        (("--numerics", "fast", "--problems", "0"), "--problems"),
    ],
)
def test_mistakes(
    cli: Cli, asked: list[Run], verb: tuple[str, ...], flags: tuple[str, ...], words: str
) -> None:
    found = cli(*verb, *flags)
    assert (found.code, found.out, asked) == (2, "", [])
    assert words in found.err


def test_the_screen_shows_what_the_chip_gets_wrong(cli: Cli, asked: list[Run]) -> None:
    found = cli("simulate", *SMALL, "--numerics", "exact")
    lines = [" ".join(line.split()) for line in found.out.splitlines()]
    assert found.err == "" or "compiling" in found.err
    for line in (
        "SQNR 31.2 dB (final logits against FP32)",
        "KL divergence 0.000216 nats per token",
        "top-token agreement 98.4 %",
        "exact match 91.5 % (95 % interval 86.8 to 94.6 %, 200 problems) measured",
        "exact match in FP32 93.0 % (95 % interval 88.6 to 95.8 %, the same problems)",
        "difference -1.5 points (95 % interval -3.9 to +0.9, paired)",
        "level 1 98.8 % (FP32 100.0 %, 80 problems) sums below 100",
        "level 2 86.7 % (FP32 88.3 %, 120 problems) products",
    ):
        assert line in lines
    header = next(line for line in lines if line.startswith("layer count"))
    assert header.endswith("energy SQNR quant. arith. propag.")
    assert any(line.endswith(" -3.2 58.6 -4.5") for line in lines)


@pytest.mark.parametrize("mode", ["sampled", "fast"])
def test_the_gap_stands_under_the_score(cli: Cli, asked: list[Run], mode: str) -> None:
    lines = cli("simulate", *SMALL, "--numerics", mode).out.splitlines()
    score = next(i for i, line in enumerate(lines) if f"exact match, {mode}" in line)
    assert "gap to exact" in lines[score + 1] and "+3.1 points" in lines[score + 1]
    assert ("±0.2" in "\n".join(lines)) == (mode == "sampled")


def test_a_run_without_values_looks_as_it_did(cli: Cli, asked: list[Run], timed: Run) -> None:
    found = cli("simulate", *SMALL)
    for word in ("SQNR", "wrong", "exact match", "arith."):
        assert word not in found.out
    assert json.loads(cli("simulate", *SMALL, "--json").out) == timed


def test_json_and_the_folder_hold_the_values(
    cli: Cli, asked: list[Run], timed: Run, tmp_path: Path
) -> None:
    found = cli("simulate", *SMALL, "--numerics", "fast", "--json", "-o", str(tmp_path / "run"))
    assert found.code == 0, found.err
    assert json.loads(found.out) == valued(timed, "fast")
    names = {path.name for path in (tmp_path / "run" / "plots").iterdir()}
    assert {"errors.svg", "errors.csv"} <= names
    assert cli("report", str(tmp_path / "run"), "--json").code == 0


def test_compare_shows_errors_and_what_was_refused(cli: Cli, asked: list[Run]) -> None:
    compare = ("compare", "edge_npu", "tpu_v4", "--model", "bert-base")
    found = cli(*compare, "--numerics", "exact").out
    lines = [" ".join(line.split()) for line in found.splitlines()]
    assert lines[1].endswith(
        "power values SQNR quant. arith. KL (nats) top token exact match (95 % interval) in FP32"
    )
    assert lines[2].endswith(
        " exact 31.2 dB 38.5 dB – dB 0.00022 98.4 % 91.5 % (86.8 to 94.6 %) 93.0 %"
    )
    assert "tpu_v4 in bf16: tpu_v4: no mode for it" in lines
    fast = [" ".join(line.split()) for line in cli(*compare, "--numerics", "fast").out.splitlines()]
    assert fast[1].endswith("in FP32 fast less exact")
    assert fast[2].endswith("93.0 % +3.1 points, 45.2 dB")
    rows = json.loads(cli(*compare, "--numerics", "exact", "--json").out)["rows"]
    assert list(rows[0]) == [*COMPARE_COLUMNS, *COMPARE_ERRORS]
    bare = cli(*compare).out
    assert "SQNR" not in bare and "values" not in bare
    assert list(json.loads(cli(*compare, "--json").out)["rows"][0]) == list(COMPARE_COLUMNS)


def saved(folder: Path, name: str, run: Run) -> str:
    (folder / name).mkdir()
    (folder / name / "run.json").write_text(json.dumps(run, allow_nan=False), encoding="utf-8")
    return str(folder / name)


def test_the_difference_of_two_runs_with_values(cli: Cli, timed: Run, tmp_path: Path) -> None:
    worse = valued(timed)
    worse["totals"] |= {
        "sqnr_db": 14.25, "exact_match": 0.75, "exact_match_interval": [0.686, 0.805],
    }  # fmt: skip
    worse["layers"][0]["sqnr_quantization_db"] = 20.0
    worse["layers"][1]["sqnr_arithmetic_db"] = 15.0
    a, b = saved(tmp_path, "a", valued(timed)), saved(tmp_path, "b", worse)
    lines = [" ".join(line.split()) for line in cli("report", "diff", a, b).out.splitlines()]
    for line in (
        "SQNR of the logits 31.2 dB 14.2 dB -17.0 dB",
        "of layers: quantization 38.5 dB 38.5 dB",
        "exact match (95 % interval) 91.5 % (86.8 to 94.6 %) 75.0 % (68.6 to 80.5 %) -16.5 points",
        "top-token agreement 98.4 % 98.4 %",
        "SQNR in dB, largest losses of their own first (2 of 2)",
    ):
        assert line in lines
    assert any(line.startswith("Both runs answered the same problems") for line in lines)
    layers = lines[lines.index("layer quant. arith. propag.") + 1 :]
    assert layers[0].endswith("31.1 → 31.1 99.0 → 15.0 34.9 → 34.9")
    assert layers[1].endswith("44.7 → 20.0 – → – 43.8 → 43.8")
    found = json.loads(cli("report", "diff", a, b, "--json").out)
    assert found["same_problems"] is True
    assert [row["name"] for row in found["errors"]][:2] == ["sqnr_db", "sqnr_quantization_db"]


def test_the_difference_to_a_run_without_values(cli: Cli, timed: Run, tmp_path: Path) -> None:
    other = valued(timed)
    other["numerics"]["task"]["seed"] = 2
    a, b = saved(tmp_path, "a", timed), saved(tmp_path, "b", valued(timed))
    c = saved(tmp_path, "c", other)
    one = cli("report", "diff", a, b).out
    assert "what it gets wrong" in one and "– 31.2 dB" in " ".join(one.split())
    assert "largest losses" not in one and "answered" not in one
    assert "The runs answered different problems" in cli("report", "diff", b, c).out
    assert "largest losses" not in cli("report", "diff", b, c).out
    assert set(json.loads(cli("report", "diff", a, a, "--json").out)) == {
        "inputs", "totals", "layers",
    }  # fmt: skip


def test_saved_runs_with_and_without_values_stand_side_by_side(
    cli: Cli, timed: Run, tmp_path: Path
) -> None:
    a, b = saved(tmp_path, "a", timed), saved(tmp_path, "b", valued(timed, "fast", task=False))
    lines = [" ".join(line.split()) for line in cli("report", a, b).out.splitlines()]
    header = next(i for i, line in enumerate(lines) if line.startswith("chip recipe"))
    assert lines[header].endswith("values SQNR quant. arith. KL (nats) top token fast less exact")
    assert lines[header + 1].endswith(" W")
    assert lines[header + 2].endswith(
        " fast 31.2 dB 38.5 dB – dB 0.00022 98.4 % +3.1 points, 45.2 dB"
    )


def test_a_narrow_terminal_keeps_what_limits_a_layer_and_what_it_gets_wrong() -> None:
    headers = [*simulate._HEADERS, *simulate.ERROR_HEADERS]
    assert set(simulate._DROPPABLE_WITH_ERRORS) < set(headers)
    row = [
        "model.layers.*.mlp.down_proj.linear", "32", "batch=1 m=512 n=4096 k=14336",
        "int8 x int8 → bf16", "236,560,368", "12.5%", "compute", "98.0%", "9.22 mJ", "31.1",
        "98.9", "34.9",
    ]  # fmt: skip
    kept = console._kept(headers, [row], 80, simulate._DROPPABLE_WITH_ERRORS)
    assert [headers[i] for i in kept] == [
        "layer", "time", "bound by", "SQNR quant.", "arith.", "propag.",
    ]  # fmt: skip


@pytest.mark.parametrize("quiet", [False, True])
def test_stages_are_shown_on_a_terminal_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with console.stages(quiet) as tell:
        for what in ("values, op by op", "problems"):
            for done in (1, 2, 3):
                tell(what, done, 3)
    for what in ("values, op by op", "problems", "3/3"):
        assert (what in stderr.getvalue()) == (not quiet)


def test_stages_say_nothing_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with console.stages() as tell:
        tell("problems", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_that_was_lost_is_heard_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_pressed", True)
    with pytest.raises(KeyboardInterrupt), console.stages() as tell:
        tell("problems", 1, 2)
