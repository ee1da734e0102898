"""What a search found before, by content: in memory, and below the folder of caches."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from accelsim.jit import cache_base

_MEMORY: dict[str, dict[str, Any]] = {}


def get(key: str, needed: Collection[str]) -> dict[str, Any] | None:
    """Return what is kept under a content id, or None.

    Args:
        key: of everything that the result follows from, the code included.
        needed: keys without which a file is not used.
    """
    if key not in _MEMORY:
        try:
            data = json.loads((_folder() / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        # A file that was cut off or edited must not end a run: the search is made again.
        if not isinstance(data, dict) or not set(needed) <= set(data):
            return None
        _MEMORY[key] = data
    return _MEMORY[key]


def put(key: str, data: dict[str, Any]) -> None:
    """Keep a result; a folder that cannot be written keeps it in memory alone."""
    _MEMORY[key] = data
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=folder, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(beside, folder / f"{key}.json")
    except OSError:
        return


def forget() -> None:
    """Drop what is kept in memory."""
    _MEMORY.clear()


def _folder() -> Path:
    return cache_base() / "mappings"
