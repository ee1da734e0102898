"""The MODEL argument: zoo name, Hugging Face folder, topology, or ``package.module:function``.

Nothing here imports torch before a model has to be recorded.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelsim.errors import CaptureError, InputError, MissingExtraError, UnknownNameError
from accelsim.graph import zoo
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.model import ModelSource
from accelsim.graph.scalesim import open_topology

#: ``package.module:function``.
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
#: Packages that recording needs, all in one extra.
NEEDED = ("torch", "transformers")


def open_model(text: str) -> ModelSource:
    """Return the model that a MODEL argument means.

    Raises:
        UnknownNameError: it is neither a zoo name nor anything else that can be opened.
        InputError: a path that does not exist, or a file of another kind.
        MissingExtraError: recording needs torch and it is not installed.
        CheckpointError: the folder holds weights that are pickled or truncated.
    """
    if text in zoo.names():
        return zoo.load(text)
    path = Path(text).expanduser()
    if path.exists():
        return _open_path(path)
    if FUNCTION.fullmatch(text):
        return _open_function(text)
    if os.sep in text or text.startswith((".", "~")) or path.suffix in (".json", ".onnx", ".csv"):
        raise InputError(f"{text}: no such file or folder")
    raise UnknownNameError("model", text, zoo.names())


def _open_path(path: Path) -> ModelSource:
    if path.suffix == ".csv" and path.is_file():
        return open_topology(path)
    folder = path if path.is_dir() else path.parent
    config = path / "config.json" if path.is_dir() else path
    if not config.is_file():
        raise InputError(f"{path}: no config.json there; a Hugging Face folder has one")
    if config.suffix != ".json":
        raise InputError(
            f"{path}: not a model that can be opened; give a zoo name "
            f"({', '.join(zoo.names())}), a Hugging Face folder or config.json, a "
            "topology of SCALE-Sim (.csv), or package.module:function"
        )
    weights = read_checkpoint(folder) if path.is_dir() else None
    _require_torch()
    from accelsim.graph.record_source import open_config

    name = folder.resolve().name if config.name == "config.json" else config.stem
    return open_config(config, name, folder, weights)


def _open_function(text: str) -> ModelSource:
    _require_torch()
    made = _call(text)
    from accelsim.graph.record_source import open_made

    return open_made(made, text)


def _call(text: str) -> Any:
    """Import a function, from the current folder too, and call it."""
    module, _, function = text.partition(":")
    with _current_folder():
        try:
            found = getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            raise InputError(f"{text}: there is no module {error.name!r} to import") from None
        except AttributeError:
            raise InputError(f"{text}: {module!r} has no {function!r}") from None
        try:
            return found()
        except Exception as error:  # the user's own code may raise anything
            reason = (str(error).strip().splitlines() or [""])[0]
            raise CaptureError(
                f"{text}: calling it failed: {type(error).__name__}: {reason}; it must take no "
                "arguments and return (module, args, kwargs), a config or a model"
            ) from error


@contextmanager
def _current_folder() -> Iterator[None]:
    """An installed command does not look in the current folder by itself."""
    here = os.getcwd()
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _require_torch() -> None:
    for package in NEEDED:
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            raise MissingExtraError("recording a model", "torch")
