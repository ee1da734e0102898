"""The command that trains the shipped model, at a small part of its steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from accelsim.compress import train_tiny
from accelsim.evaluate.sample import Encoder
from accelsim.graph.zoo.tiny.problems import problems
from tests.tiny import encoder, values

WRITTEN = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (train_tiny.Stage(4, 2, 64), train_tiny.Stage(2, 1, 96))
    monkeypatch.setattr(train_tiny, "STAGES", stages)
    monkeypatch.setattr(train_tiny, "KEEP_EVERY", 2)
    monkeypatch.setattr(train_tiny, "JUDGED", 20)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_interrupted_training_ends_in_the_same_bytes(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train_tiny.main(["-o", str(whole)]) == 0
    assert "all: " in capsys.readouterr().out

    step, calls = train_tiny._step, []

    def interrupted(*given: object) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*given)  # type: ignore[arg-type]  # whatever the original takes

    monkeypatch.setattr(train_tiny, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_tiny.main(["-o", str(parts)])
    assert not (parts / "model.safetensors").exists()
    assert train_tiny.main(["-o", str(parts)]) == 0
    for name in WRITTEN:
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (parts / "training.pt").exists()


def test_the_shipped_tokenizer_is_the_one_that_is_trained(tmp_path: Path) -> None:
    train_tiny.make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 0}))
    made, shipped = Encoder(tmp_path, 384), encoder()
    for problem in problems(200):
        assert made.encode(problem.text) == shipped.encode(problem.text)
    assert (tmp_path / "tokenizer.json").read_bytes() == (
        values().folder / "tokenizer.json"
    ).read_bytes()


def test_the_rate_rises_stays_and_falls() -> None:
    steps = 5500
    rates = [train_tiny.rate(step, steps) for step in range(steps)]
    assert rates[0] < rates[30] < rates[55] == train_tiny.LEARNING_RATE
    assert rates[2000] == train_tiny.LEARNING_RATE
    assert rates[-1] == pytest.approx(train_tiny.LEARNING_RATE / 2750)
    assert train_tiny.stage_of(4999).length == 144
    assert train_tiny.stage_of(5000).length == 512
