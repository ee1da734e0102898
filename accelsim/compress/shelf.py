"""What is finished of a compression: kept in memory, or in files that a later run goes on from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from accelsim.errors import InputError, OutputError
from accelsim.ids import canonical_json

Arrays = Mapping[str, npt.NDArray[Any]]


class Shelf(Protocol):
    """Finished parts by name."""

    def get(self, key: str) -> Arrays | None:
        """Return a part; None when it is not finished."""

    def put(self, key: str, part: Arrays) -> None:
        """Keep a part."""


class MemoryShelf:
    """Parts that end with the process."""

    def __init__(self) -> None:
        self._parts: dict[str, Arrays] = {}

    def get(self, key: str) -> Arrays | None:
        """Return a part; None when it is not finished."""
        return self._parts.get(key)

    def put(self, key: str, part: Arrays) -> None:
        """Keep a part."""
        self._parts[key] = dict(part)


class FolderShelf:
    """Parts in a folder, one file each, whole or not there.

    Args:
        folder: made when it is not there.
        identity: what the parts depend on; parts of something else are not taken.

    Raises:
        InputError: the folder holds parts of another compression.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        text, path = canonical_json(identity) + "\n", folder / "identity.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            known = path.read_text(encoding="utf-8") if path.is_file() else None
            if known is None:
                _write(path, text.encode())
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
        if known is not None and known != text:
            changed = ", ".join(_changed(known, identity))
            raise InputError(
                f"{folder}: parts of another compression ({changed}); remove it, or choose "
                "another -o"
            )

    def get(self, key: str) -> Arrays | None:
        """Return a part; None when it is not finished.

        Raises:
            InputError: its file cannot be read.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            found: Arrays = load_file(str(path))
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); remove it") from None
        return found

    def put(self, key: str, part: Arrays) -> None:
        """Keep a part.

        Raises:
            OutputError: its file cannot be written.
        """
        path = self._path(key)
        beside = path.with_suffix(".new")
        try:
            save_file({name: np.ascontiguousarray(one) for name, one in part.items()}, str(beside))
            beside.replace(path)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"{path}: cannot be written: {error}") from error

    def remove(self) -> None:
        """Remove the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        # Names of weights may be too long for a file.
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        return self.folder / f"{digest}.safetensors"


def _write(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _changed(known: str, identity: Mapping[str, Any]) -> list[str]:
    try:
        before = json.loads(known)
    except ValueError:
        return ["its description cannot be read"]
    found = [f"other {key}" for key in identity if before.get(key) != identity[key]]
    return found or ["it says more"]
