"""Folders that are damaged: one error that says which file, what, and what is allowed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.validate.index import read_index, set_name
from accelsim.validate.kernels import SHIPPED, predictions, validate_kernels


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "vectors"))


def index(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "index.json").write_text(text)


def _cut(folder: Path) -> None:
    whole = (folder / "int8.npz").read_bytes()
    (folder / "int8.npz").write_bytes(whole[: len(whole) // 2])


def _pickled(folder: Path) -> None:
    np.savez(folder / "int8.npz", c0__a=np.array([{"a": 1}], dtype=object))


def _single(folder: Path) -> None:
    with (folder / "int8.npz").open("wb") as file:
        np.save(file, np.ones(3))


def _no_array(folder: Path) -> None:
    import zipfile

    with zipfile.ZipFile(folder / "int8.npz", "a") as file:
        file.writestr("c0__notes", "text")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (index("{"), "is not JSON"),
        (index("[]"), "'sets' and 'compare' are needed"),
        (index('{"sets": {}}'), "'sets' and 'compare' are needed"),
        (index('{"sets": {"int8.npz": {}}, "compare": [["int8", "(", "exact"]]}'), "are needed"),
        (index('{"sets": {"int8.npz": {}}, "compare": [["int8", ".", "near"]]}'), "unknown rule"),
        (index('{"sets": {"../int8.npz": {}}, "compare": []}'), "is not the name of a file"),
        (index('{"sets": {"absent.npz": {}}, "compare": []}'), "none of the files"),
        (lambda folder: (folder / "index.json").unlink(), "a folder of vectors has an index.json"),
        (lambda folder: (folder / "index.json").write_bytes(b"\xff"), "is not JSON"),
        (lambda folder: (folder / "int8.npz").write_bytes(b""), "not a readable npz"),
        (_cut, "not a readable npz"),
        (_pickled, "not a readable npz of plain arrays"),
        (_single, "it holds a single array"),
        (_no_array, "c0__notes is no array"),
    ],
)
def test_damage_is_one_clear_line(
    damage: Callable[[Path], object], message: str, copy: Path
) -> None:
    damage(copy)
    for use in (validate_kernels, predictions):
        with pytest.raises(InputError) as found:
            use(copy)
        assert message in str(found.value)
        assert str(found.value).startswith(str(copy))
        assert "\n" not in str(found.value)


def test_a_file_with_changed_bytes_is_refused_or_compared(copy: Path) -> None:
    whole = (copy / "vector.npz").read_bytes()
    for name in read_index(SHIPPED).files:
        (copy / name).unlink()
    draw = random.Random(5)
    for _ in range(60):
        raw = bytearray(whole)
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        (copy / "vector.npz").write_bytes(raw)
        for use in (validate_kernels, predictions):
            try:
                use(copy)
            except InputError as error:
                assert "\n" not in str(error)


def test_the_name_of_a_set_is_that_of_its_file() -> None:
    assert set_name("int8.npz") == "int8"
    assert set_name("open_casts.npz") == "casts"
