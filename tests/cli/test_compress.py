from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accelsim.cli.app import app

RECIPE = """
schema_version: 1
name: mine
calibration: {samples: 4, seq_len: 64}
rules:
  - exclude: ["*lm_head*"]
    weight: {format: int4, group: 32, scale_format: fp16}
    activation: {format: int8}
    method: {method}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return written(tmp_path, "gptq")


def written(folder: Path, method: str, text: str = RECIPE) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text.replace("{method}", method))
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compress", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_checkpoint_is_written(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code, out, err = run(
        "tiny", "--recipe", str(recipe), "--arch", "edge_npu", "-o", str(folder), "--seed", "3"
    )
    assert code == 0, err
    assert "gptq" in out and "%" in out and f"wrote {folder}" in err
    summary = json.loads((folder / "compress.json").read_text())
    assert summary["seed"] == 3 and summary["samples"] == 4
    assert len(summary["products"]) == 28
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["format"] == "pack-quantized"
    assert (folder / "model.safetensors").stat().st_size < 900_000
    assert "gptq" in (folder / "recipe.yaml").read_text()


def test_json_alone(recipe: Path, tmp_path: Path) -> None:
    code, out, _ = run("tiny", "--recipe", str(recipe), "-o", str(tmp_path / "out"), "--json")
    assert code == 0
    assert json.loads(out)["recipe"] == "mine"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("gtpq", "unknown method 'gtpq' (did you mean 'gptq'?"),
        ("[gptq, mse]", "at most one of each stage"),
        ("{name: gptq, alpha: 0.3}", "gptq does not take alpha"),
        ("sparsegpt", "sparsegpt prunes, and the weight's sparsity is dense"),
    ],
)
def test_methods_that_cannot_be_meant(tmp_path: Path, method: str, said: str) -> None:
    code, _, err = run(
        "tiny", "--recipe", str(written(tmp_path, method)), "-o", str(tmp_path / "out")
    )
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_a_chip_that_does_not_multiply_the_formats(tmp_path: Path) -> None:
    path = written(tmp_path, "rtn", RECIPE.replace("format: int8}", "format: fp8_e5m2}"))
    code, _, err = run(
        "tiny", "--recipe", str(path), "--arch", "edge_npu", "-o", str(tmp_path / "out")
    )
    assert code == 2
    assert "no mode for fp8_e5m2 x int4" in err


def test_a_recipe_that_compresses_nothing(tmp_path: Path) -> None:
    code, _, err = run("tiny", "--recipe", "bf16", "-o", str(tmp_path / "out"))
    assert code == 2
    assert "nothing would be compressed" in err


def test_a_text_that_is_too_short(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("too short")
    changed = RECIPE.replace("{samples", f"{{text: {text}, samples")
    code, _, err = run(
        "tiny", "--recipe", str(written(tmp_path, "gptq", changed)), "-o", str(tmp_path / "out")
    )
    assert code == 2
    assert "shorter than a window of 64" in err
    assert not (tmp_path / "out").exists()
