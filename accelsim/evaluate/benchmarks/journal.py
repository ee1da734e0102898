"""What a model has answered so far: a run that was stopped goes on where it stood."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelsim.errors import InputError, OutputError
from accelsim.ids import canonical_json

#: What the model answered to every request of an item.
Answers = list[Any]


class Journal:
    """A file with one line per chunk of items, or nothing but memory.

    A line is written when its chunk is answered, so a kill loses at most one chunk; half a line at
    the end of the file is such a chunk. Floats keep all their bits.

    Args:
        path: of the file; None: nothing is kept beyond the run.
        identity: what the answers depend on. Answers of something else are not taken.

    Raises:
        InputError: the file belongs to another run.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._known: dict[tuple[str, str, int], Answers] = {}
        if path is None:
            return
        try:
            head, lines, kept = _read(path)
            if head is None:
                kept = 0
            elif canonical_json(head) != canonical_json(identity):
                raise InputError(
                    f"{path}: answers of another run ({_changed(head, identity)}); remove it, or "
                    "choose another -o"
                )
            for line in lines:
                self._keep(line)
            path.touch()
            os.truncate(path, kept)
            if head is None:
                self._write(identity)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def get(self, arithmetic: str, task: str, item: int) -> Answers | None:
        """Return what was answered to an item; None when it was not asked yet."""
        return self._known.get((arithmetic, task, item))

    def put(self, arithmetic: str, task: str, answers: Mapping[int, Answers]) -> None:
        """Keep the answers of a chunk.

        Raises:
            OutputError: the file cannot be written.
        """
        line = {
            "arithmetic": arithmetic, "task": task, "items": list(answers),
            "answers": list(answers.values()),
        }  # fmt: skip
        self._keep(line)
        if self.path is not None:
            try:
                self._write(line)
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _keep(self, line: Mapping[str, Any]) -> None:
        for item, answers in zip(line["items"], line["answers"], strict=True):
            self._known[line["arithmetic"], line["task"], item] = answers

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _read(path: Path) -> tuple[Any, Sequence[Mapping[str, Any]], int]:
    """Return the first line, the others, and the bytes that are whole lines."""
    if not path.is_file():
        return None, [], 0
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise InputError(f"{path}: not a file of answers ({error}); remove it") from None
    return (lines[0] if lines else None), lines[1:], len(whole)


def _changed(head: Any, identity: Mapping[str, Any]) -> str:
    if not isinstance(head, dict):
        return "it has no description"
    keys = [key for key in identity if head.get(key) != identity[key]]
    return ", ".join(f"other {key}" for key in keys) or "it says more"
