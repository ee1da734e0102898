"""Training of compressed models: it helps, goes on after a kill, and writes what it trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from accelsim.compress.structured.prune import prune
from accelsim.compress.train import loop
from accelsim.compress.train.coding import Coding, coded
from accelsim.compress.train.distill import Match, kl_divergence
from accelsim.compress.train.lesson import Lesson, load_model
from accelsim.compress.train.settings import TrainSettings, settings_of
from accelsim.compress.train.student import coded_model, masks_of, on_chip_with_gradients
from accelsim.compress.train.train import train
from accelsim.errors import CheckpointError, InputError, OutputError
from accelsim.evaluate.live import on_chip
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import Recipe
from tests.tiny import chip, tokens_of, values

FEW: dict[str, Any] = {"steps": 6, "rows": 4, "length": 64, "threads": 1, "keep_every": 2}
WRITTEN = ("config.json", "model.safetensors", "tokenizer.json", "training.json")


def quiet(step: int, steps: int, loss: float, seconds: float) -> None:
    """Say nothing."""


def divergence(folder: Path, recipe: Recipe | None) -> float:
    """Mean divergence from the whole model on a text of the test split."""
    tokens = torch.from_numpy(tokens_of(4, 96))
    student, teacher = load_model(folder), load_model(values().folder)
    with torch.no_grad():
        wanted = teacher(tokens).logits
        if recipe is None:
            return float(kl_divergence(student(tokens).logits, wanted).mean())
        with coded_model(student, recipe, masks_of(student, recipe)):
            return float(kl_divergence(student(tokens).logits, wanted).mean())


@pytest.mark.parametrize(("name", "share"), [("w8a8_2to4", 0.75), ("w4a4_int4_g32", 0.95)])
def test_distillation_lowers_the_divergence(name: str, share: float, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    settings = FEW | {"steps": 12, "rate": 5e-4}
    folder = train("tiny", recipe, tmp_path / "made", settings=settings, tell=quiet)
    assert divergence(folder, recipe) < share * divergence(values().folder, recipe)


def test_an_interrupted_training_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("w8a8_2to4")

    def made(name: str) -> Path:
        return train(
            "tiny", recipe, tmp_path / name, settings=FEW, checkpoints=tmp_path / "kept", tell=quiet
        )

    whole = made("whole")
    step, calls = loop.step_of, []

    def interrupted(*given: object) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*given)  # type: ignore[arg-type]  # whatever the original takes

    monkeypatch.setattr(loop, "step_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made("parts")
    assert not (tmp_path / "parts").exists()
    parts = made("parts")
    assert len(calls) == 4 + 4
    for name in WRITTEN:
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "kept" / "training.pt"
    state.parent.mkdir()
    torch.save({"key": "another"}, state)
    settings = FEW | {"steps": 1}
    train("tiny", None, tmp_path / "x", settings=settings, checkpoints=state.parent, tell=quiet)
    assert not state.exists()


def test_what_is_written_has_the_codes_that_were_trained(tmp_path: Path) -> None:
    recipe = load_recipe("w8a8_2to4")
    settings = settings_of(FEW)
    lesson = Lesson("tiny", None, recipe, settings)
    with loop.deterministic(1):
        loop.run(lesson.training(), None, tell=quiet)
    folder = train("tiny", recipe, tmp_path / "made", settings=settings, tell=quiet)
    written, stored = load_model(folder), Coding("bf16")
    for name, mask in masks_of(written, recipe).items():
        found = written.get_submodule(name).weight.detach()
        assert int((found.reshape(-1, 4) != 0).sum(1).max()) <= 2
        trained = lesson.student.get_submodule(name).weight.detach()
        assert torch.equal(found, coded(trained, stored) * lesson.masks[name])
        assert torch.equal(found * mask, found)
    start = load_model(values().folder)
    assert not torch.equal(start.lm_head.weight, written.lm_head.weight)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("plan", [{"heads": 0.5}, {"ffn": 0.5}, {"layers": [1]}, {"hidden": 0.25}])
def test_pruned_models_learn_from_the_whole_one(plan: dict[str, Any], tmp_path: Path) -> None:
    smaller = prune("tiny", plan, tmp_path / "smaller")
    settings = FEW | {"steps": 12, "rate": 2e-3, "hidden": 1.0}
    folder = train(smaller, None, tmp_path / "made", teacher="tiny", settings=settings, tell=quiet)
    assert divergence(folder, None) < 0.9 * divergence(smaller, None)
    assert (folder / "pruning.json").read_bytes() == (smaller / "pruning.json").read_bytes()


def test_steps_in_the_chips_own_arithmetic(tmp_path: Path) -> None:
    recipe = load_recipe("w8a8_int8")
    tokens = torch.from_numpy(tokens_of(1, 24))
    model = load_model(values().folder).to(torch.bfloat16)
    with torch.no_grad(), on_chip(model, recipe, chip()):
        wanted = model(tokens).logits
    with on_chip_with_gradients(model, recipe, chip()):
        found = model(tokens).logits
    assert torch.equal(found, wanted)
    found.float().square().mean().backward()
    fast = load_model(values().folder)
    with coded_model(fast, recipe, {}):
        fast(tokens).logits.square().mean().backward()
    for name, weight in fast.named_parameters():
        other = model.get_parameter(name).grad.float()
        alike = torch.nn.functional.cosine_similarity(weight.grad.flatten(), other.flatten(), 0)
        assert alike > 0.99, name
    settings = FEW | {"steps": 2, "exact_steps": 1, "rows": 1}
    folder = train("tiny", recipe, tmp_path / "made", settings=settings, chip=chip(), tell=quiet)
    fast_only = settings | {"exact_steps": 0}
    other = train("tiny", recipe, tmp_path / "other", settings=fast_only, tell=quiet)
    weights = [(path / "model.safetensors").read_bytes() for path in (folder, other)]
    assert weights[0] != weights[1]


def test_divergence_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((3, 5)) for _ in range(2))
    p, q = (np.exp(x / 2) / np.exp(x / 2).sum(1, keepdims=True) for x in (b, a))
    found = kl_divergence(torch.tensor(a), torch.tensor(b), 2.0).numpy()
    assert np.allclose(found, 4 * (p * np.log(p / q)).sum(1), atol=1e-6)


def test_layers_of_models_of_other_depths() -> None:
    class Config:
        def __init__(self, layers: int, width: int) -> None:
            self.num_hidden_layers, self.hidden_size = layers, width

    assert Match(Config(2, 8), Config(4, 8)).layers == [0, 2, 4]
    kept = {"layers": [0, 3], "hidden": [1, 2, 3]}
    match = Match(Config(2, 3), Config(4, 8), kept)
    assert match.layers == [0, 1, 4] and match.channels.tolist() == [1, 2, 3]
    states = [torch.randn(1, 5, 8) for _ in range(5)]
    mine = [states[n][..., 1:4] for n in match.layers]
    assert float(match.error(mine, states).sum()) == 0.0
    with pytest.raises(InputError, match=r"no pruning.json says"):
        Match(Config(2, 3), Config(4, 8))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"step": 3}, "unknown key 'step'.*did you mean 'steps'"),
        ({"steps": 0}, "steps: "),
        ({"rate": -1.0}, "rate: "),
        ({"kl": 0, "hidden": 0}, "nothing to learn from"),
        ({"steps": 3, "exact_steps": 4}, "exact_steps is 4, of 3"),
        ({"exact_steps": 4}, "needs a chip"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        train("tiny", None, tmp_path / "made", settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_models_and_texts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(InputError, match="no safetensors"):
        train(folder, None, tmp_path / "made", settings=FEW)
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(CheckpointError, match="pickled"):
        train(folder, None, tmp_path / "made", settings=FEW)
    with pytest.raises(OutputError, match="not empty"):
        train("tiny", None, folder, settings=FEW)
    with pytest.raises(InputError, match="rows of 8 tokens hold nothing to learn"):
        train("tiny", None, tmp_path / "made", settings=FEW | {"length": 8}, tell=quiet)
    text = tmp_path / "text.txt"
    text.write_text("too short")
    with pytest.raises(InputError, match="a window of training needs"):
        train("tiny", None, tmp_path / "made", settings=FEW | {"text": str(text)}, tell=quiet)
    with pytest.raises(InputError, match="cannot be read as text"):
        train("tiny", None, tmp_path / "made", settings=FEW | {"text": str(tmp_path / "no")})
    assert not (tmp_path / "made").exists()


def test_defaults() -> None:
    assert settings_of(None) == TrainSettings() == settings_of({})
