"""``accelsim validate``: what it prints, writes and returns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from accelsim.validate.kernels import SHIPPED, predictions
from tests.kernels.make_vectors import SETS
from tests.support import Cli
from tests.validate.vectors import OUTPUTS, flip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "vectors"))


@pytest.fixture(autouse=True)
def _no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)


def test_without_data_the_shipped_vectors_are_read(cli: Cli) -> None:
    outcome = cli("validate", "kernels")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == f"{len(SETS)} of {len(SETS)} sets passed"
    assert f"vectors of {SHIPPED}" in outcome.err


def test_the_environment_names_a_folder_and_data_wins(
    cli: Cli, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.rename(copy.parent / "numerics")
    monkeypatch.setenv("ACCELSIM_REFERENCE", str(copy.parent))
    assert f"vectors of {copy.parent / 'numerics'}" in cli("validate", "kernels").err
    assert f"vectors of {SHIPPED}" in cli("validate", "kernels", "--data", str(SHIPPED)).err


def test_json_alone_on_stdout(cli: Cli) -> None:
    outcome = cli("validate", "kernels", "--json")
    data = json.loads(outcome.out)
    assert list(data) == ["schema_version", "what", "passed", "sets"]
    assert (data["schema_version"], data["what"], data["passed"]) == (1, "kernels", True)
    assert list(data["sets"][0]) == [
        "name", "rows", "passed", "goal", "mismatches", "first_mismatch", "reason", "not_computed",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["int8", "vector"])
def test_a_wrong_bit_fails_and_is_shown(name: str, cli: Cli, copy: Path) -> None:
    place = flip(copy / f"{name}.npz", OUTPUTS[name])
    outcome = cli("validate", "kernels", "--data", str(copy), "--json")
    assert outcome.code == 1
    data = json.loads(outcome.out)
    assert [one["name"] for one in data["sets"] if not one["passed"]] == [name]
    shown = cli("validate", "kernels", "--data", str(copy))
    assert shown.code == 1
    assert f"{OUTPUTS[name]}[{', '.join(map(str, place))}]: " in shown.out
    assert f"{len(SETS) - 1} of {len(SETS)} sets passed" in shown.out


def test_predictions_are_printed_or_written(cli: Cli, copy: Path, tmp_path: Path) -> None:
    text, target = predictions(SHIPPED), tmp_path / "predictions.csv"
    ask = ("validate", "kernels", "--data", str(copy), "--predict-only")
    assert cli(*ask).out == text
    outcome = cli(*ask, "-o", str(target))
    assert (outcome.code, outcome.out) == (0, "")
    assert target.read_text() == text
    target.unlink()
    flip(copy / "int8.npz", OUTPUTS["int8"])
    assert cli("validate", "kernels", "--data", str(copy), "-o", str(target)).code == 1
    assert target.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validate", "kernel"), "unknown thing to validate 'kernel'"),
        (("validate", "kernels", "--data", "absent"), "a folder of vectors has an index.json"),
        (("validate", "kernels", "--predict-only", "--json"), "--predict-only writes a CSV"),
        (("validate", "kernels", "--predict-only", "-o", "absent/p.csv"), "absent"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_two(
    arguments: tuple[str, ...], message: str, cli: Cli
) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: ")
