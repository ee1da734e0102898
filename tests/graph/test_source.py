"""What the MODEL argument may be, and the answers to what it may not be; no torch."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from accelsim.errors import (
    CaptureError,
    CheckpointError,
    InputError,
    MissingExtraError,
    UnknownNameError,
)
from accelsim.graph.source import open_model


def test_an_unknown_name_lists_the_zoo() -> None:
    with pytest.raises(UnknownNameError) as error:
        open_model("lama-3-8b")
    assert "did you mean 'llama-3-8b'" in str(error.value)
    assert "resnet-50" in str(error.value)


@pytest.mark.parametrize("text", ["no/such/folder", "./model", "~/nothing-here", "model.json"])
def test_a_path_that_does_not_exist(text: str) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_model(text)


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json there"):
        open_model(str(tmp_path))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("hello")
    with pytest.raises(InputError, match="not a model that can be opened"):
        open_model(str(path))


def test_weights_are_looked_at_before_torch_is_needed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x10")
    with pytest.raises(CheckpointError, match="truncated"):
        open_model(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pickled"):
        open_model(str(tmp_path))


@pytest.mark.parametrize("gone", ["torch", "transformers"])
def test_recording_without_torch_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    find = importlib.util.find_spec
    for name in [name for name in sys.modules if name.split(".")[0] == gone]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == gone else find(name)
    )
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    for text in (str(tmp_path), str(tmp_path / "config.json"), "package.module:function"):
        with pytest.raises(MissingExtraError, match=r"pip install 'accelsim\[torch\]'"):
            open_model(text)


@pytest.fixture
def fake_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the functions below be reached on a machine without torch."""
    monkeypatch.setattr("accelsim.graph.source.NEEDED", ())


@pytest.mark.usefixtures("fake_torch")
@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("no_such_package.models:make", InputError, "no module 'no_such_package'"),
        ("mine:other", InputError, "'mine' has no 'other'"),
        ("mine:fails", CaptureError, "calling it failed: ZeroDivisionError: .*no arguments"),
    ],
)
def test_functions_that_cannot_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[Exception],
    message: str,
) -> None:  # fmt: skip
    (tmp_path / "mine.py").write_text("def fails():\n    return 1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    before = list(sys.path)
    with pytest.raises(error, match=message):
        open_model(text)
    assert sys.path == before
