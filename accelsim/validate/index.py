"""A folder of vectors: npz files, and an index that says what each array is and how it compares."""

from __future__ import annotations

import json
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from accelsim.errors import InputError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

NAME = "index.json"
#: Rules of comparison; ``tolerance`` is followed by how far, ``input`` is an operand.
RULES = ("input", "exact", "nan_class", "tolerance", "info")

#: What NumPy and zipfile raise on files that are no archives, cut off, changed or encrypted.
_DAMAGE = (
    OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile,
    zlib.error, struct.error, tokenize.TokenError, SyntaxError, MemoryError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Index:
    """What the index of a folder says.

    Attributes:
        folder: where the files are.
        files: their names.
        compare: set, pattern of arrays, rule; the first that matches counts.
        entries: by set and key, what is said about a case.
    """

    folder: Path
    files: tuple[str, ...]
    compare: tuple[tuple[str, re.Pattern[str], str], ...]
    entries: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def present(self) -> Iterator[tuple[str, Path]]:
        """Yield the sets whose files are there."""
        for file in self.files:
            path = self.folder / file
            if path.is_file():
                yield set_name(file), path

    def rule(self, name: str, array: str) -> str | None:
        """Return how an array is compared; None: no line of the index says so."""
        for prefix, pattern, rule in self.compare:
            mine = name.startswith(prefix) if prefix.endswith("_") else name == prefix
            if mine and pattern.search(array):
                return rule
        return None


def set_name(file: str) -> str:
    """Return the name of a file's set."""
    return Path(file).stem.removeprefix("open_")


def read_index(folder: Path) -> Index:
    """Read the index of a folder.

    Raises:
        InputError: it is missing, is no index, or none of its files is there.
    """
    path = folder / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}; a folder of vectors has an {NAME} "
            "(docs/vectors.md)"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: is not JSON: {error}") from None
    try:
        files = tuple(str(file) for file in data["sets"])
        compare = tuple((str(s), re.compile(str(p)), str(r)) for s, p, r in data["compare"])
        entries = {set_name(file): _by_key(about) for file, about in data["sets"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise InputError(f"{path}: 'sets' and 'compare' are needed ({error!r})") from None
    for _, _, rule in compare:
        if rule.split(" ")[0] not in RULES:
            raise InputError(f"{path}: unknown rule {rule!r}; allowed: {', '.join(RULES)}")
    for file in files:
        if Path(file).name != file:
            raise InputError(f"{path}: {file!r} is not the name of a file beside it")
    index = Index(folder, files, compare, entries)
    if not any(True for _ in index.present()):
        raise InputError(f"{folder}: none of the files of its {NAME} is there")
    return index


def _by_key(about: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what stands about each case of a set; other things may stand in its place."""
    listed = about.get("entries", ())
    if not isinstance(listed, list):
        return {}
    return {str(entry["key"]): entry for entry in listed if "key" in entry}


def array_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file's arrays.

    Raises:
        InputError: the file is damaged.
    """
    with _opened(path) as file:
        return tuple(file.files)


def read_arrays(path: Path, names: Collection[str] | None = None) -> Arrays:
    """Read arrays of a file; nothing in it is executed.

    Args:
        path: the file.
        names: which arrays; None: all.

    Raises:
        InputError: it is damaged, or holds something else than plain arrays.
    """
    with _opened(path) as file:
        wanted = file.files if names is None else names
        arrays = {name: file[name] for name in wanted}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name} is no array")
        return arrays


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    try:
        with path.open("rb") as file:
            data = np.load(file, allow_pickle=False)
            if not isinstance(data, NpzFile):
                raise ValueError("it holds a single array")
            with data:
                yield data
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable npz of plain arrays ({error})") from None
