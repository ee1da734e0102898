"""The command that trains the models that ship, at a small part of their steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from accelsim.compress import train_tiny
from accelsim.compress.train import loop, shipped
from accelsim.compress.train.loop import Pace
from accelsim.compress.train.shipped import MODELS, Shipped, Stage
from accelsim.errors import InputError
from accelsim.evaluate.sample import Encoder
from accelsim.graph.zoo.tiny.problems import problems
from tests.tiny import encoder, values

WRITTEN = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(params=list(MODELS))
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    stages = (Stage(4, 2, 64), Stage(2, 1, 96))
    few: Mapping[str, Shipped] = {
        name: replace(model, stages=stages) for name, model in MODELS.items()
    }
    monkeypatch.setattr(train_tiny, "MODELS", few)
    monkeypatch.setattr(train_tiny, "EVERY", (2, 50))
    monkeypatch.setattr(shipped, "JUDGED", 20)
    return str(request.param)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{problem.text}" for problem in problems(400)))
    return path


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_interrupted_training_ends_in_the_same_bytes(
    short: str, text: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    arguments = [short, "--text", str(text), "-o"]
    assert train_tiny.main([*arguments, str(whole)]) == 0
    assert ("all: " if short == "tiny" else "perplexity ") in capsys.readouterr().out

    step, calls = loop.step_of, []

    def interrupted(*given: object) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*given)  # type: ignore[arg-type]  # whatever the original takes

    monkeypatch.setattr(loop, "step_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_tiny.main([*arguments, str(parts)])
    assert not (parts / "model.safetensors").exists()
    assert train_tiny.main([*arguments, str(parts)]) == 0
    for file in WRITTEN:
        assert (parts / file).read_bytes() == (whole / file).read_bytes(), file
    assert not (parts / "training.pt").exists()
    assert len(calls) == 4 + 4  # three steps and the fourth that failed; on from step two


def test_the_shipped_tokenizer_is_the_one_that_is_trained(tmp_path: Path) -> None:
    shipped.problem_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 0}))
    made, there = Encoder(tmp_path, 384), encoder()
    for problem in problems(200):
        assert made.encode(problem.text) == there.encode(problem.text)
    assert (tmp_path / "tokenizer.json").read_bytes() == (
        values().folder / "tokenizer.json"
    ).read_bytes()


def test_the_rate_rises_stays_and_falls() -> None:
    pace = Pace(5500, 0.004)
    rates = [pace.at(step) for step in range(pace.steps)]
    assert rates[0] < rates[30] < rates[55] == pace.rate
    assert rates[2000] == pace.rate
    assert rates[-1] == pytest.approx(pace.rate / 2750)
    assert MODELS["tiny"].stage_of(4999).length == 144
    assert MODELS["tiny"].stage_of(5000).length == 512


def test_a_text_is_needed_where_one_is_read(tmp_path: Path, text: Path) -> None:
    with pytest.raises(InputError, match="--text FILE names it"):
        train_tiny.main(["tiny-qwen2", "-o", str(tmp_path / "x")])
    with pytest.raises(InputError, match="cannot be read as text"):
        train_tiny.main(["tiny-qwen2", "-o", str(tmp_path / "x"), "--text", str(tmp_path / "no")])
    text.write_text("short")
    with pytest.raises(InputError, match="at least 1000"):
        train_tiny.main(["tiny-qwen2", "-o", str(tmp_path / "x"), "--text", str(text)])
