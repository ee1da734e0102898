"""Vectors: those that ship are what the twins say, and one wrong bit anywhere is found."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.validate import catalog
from accelsim.validate.kernels import SHIPPED, folder_of, predictions, validate_kernels
from accelsim_kernels import integer
from tests.kernels import make_vectors
from tests.support import Cli


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "vectors"))


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    edit(arrays)
    path.write_bytes(make_vectors.npz(arrays))


def test_the_shipped_vectors_pass() -> None:
    found = validate_kernels(SHIPPED)
    assert found.passed
    assert {result.name for result in found.sets} == set(make_vectors.SETS)
    assert all(result.rows > 20 and not result.not_computed for result in found.sets)


@pytest.mark.parametrize("name", ["int8", "int4", "attention", "quantize", "fp8"])
def test_the_shipped_vectors_are_what_the_twins_say(name: str) -> None:
    assert (SHIPPED / f"{name}.npz").read_bytes() == make_vectors.npz(make_vectors.SETS[name]())
    assert (SHIPPED / "index.json").read_text() == make_vectors.index()


OUTPUTS = {
    "int8": "c1__sums", "int4": "c2__sums", "sparse24_int8": "c1__keep", "bf16": "tiny__sums",
    "fp8": "fp8_e4m3__sums", "attention": "c0__out", "vector": "silu__y",
    "quantize": "fp8_e4m3_fp16__codes", "rounding": "fp16__y",
}  # fmt: skip


@pytest.mark.parametrize(("name", "array"), OUTPUTS.items())
def test_one_flipped_bit_is_found_where_it_is(name: str, array: str, copy: Path, cli: Cli) -> None:
    def flip(arrays: dict[str, Any]) -> None:
        flat = arrays[array].reshape(-1).view(np.uint8)
        flat[len(flat) // 2] ^= 1

    change(copy / f"{name}.npz", flip)
    found = validate_kernels(copy)
    (wrong,) = [result for result in found.sets if not result.passed]
    assert (wrong.name, wrong.mismatches) == (name, 1)
    assert wrong.first_mismatch is not None
    with np.load(SHIPPED / f"{name}.npz") as good, np.load(copy / f"{name}.npz") as bad:
        place = np.argwhere(good[array] != bad[array])[0].tolist()
    assert wrong.first_mismatch["array"] == array
    assert wrong.first_mismatch["index"] == place
    outcome = cli("validate", "kernels", "--data", str(copy), "--json")
    assert outcome.code == 1
    data = json.loads(outcome.out)
    assert not data["passed"]
    assert [one["name"] for one in data["sets"] if not one["passed"]] == [name]
    shown = cli("validate", "kernels", "--data", str(copy))
    assert shown.code == 1
    assert f"{array}[{', '.join(map(str, place))}]" in shown.out


def test_a_kernel_with_one_wrong_bit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = integer.matmul_int8

    def wrong(a: Any, b: Any) -> Any:
        sums = right(a, b)
        sums[-1, -1] ^= 1
        return sums

    monkeypatch.setattr(catalog, "matmul_int8", wrong)
    failed = [result.name for result in validate_kernels(SHIPPED).sets if not result.passed]
    assert failed == ["int8"]


def test_an_output_that_nothing_computes_is_no_pass(copy: Path) -> None:
    change(copy / "int8.npz", lambda arrays: arrays.update(other__sums_of_squares=np.ones(3)))
    data = json.loads((copy / "index.json").read_text())
    data["compare"].insert(0, ["int8", "squares$", "exact"])
    (copy / "index.json").write_text(json.dumps(data))
    result = next(one for one in validate_kernels(copy).sets if one.name == "int8")
    assert not result.passed
    assert result.not_computed == ("other__sums_of_squares",)


def test_a_file_may_be_absent_but_not_all(copy: Path, cli: Cli) -> None:
    for name in make_vectors.SETS:
        if name != "fp8":
            (copy / f"{name}.npz").unlink()
    assert [result.name for result in validate_kernels(copy).sets] == ["fp8"]
    (copy / "fp8.npz").unlink()
    outcome = cli("validate", "kernels", "--data", str(copy))
    assert outcome.code == 2
    assert "none of the files of its index.json is there" in outcome.err


def _damage(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "index.json").write_text(text)

    return write


def _cut(folder: Path) -> None:
    whole = (folder / "int8.npz").read_bytes()
    (folder / "int8.npz").write_bytes(whole[: len(whole) // 2])


def _pickled(folder: Path) -> None:
    np.savez(folder / "int8.npz", c0__a=np.array([{"a": 1}], dtype=object))


def _shape(folder: Path) -> None:
    change(folder / "int8.npz", lambda arrays: arrays.update(c1__a=arrays["c1__a"][:, 1:].copy()))


def _operand(folder: Path) -> None:
    change(folder / "int8.npz", lambda arrays: arrays.pop("c1__b"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_damage("{"), "is not JSON"),
        (_damage('{"sets": {}}'), "'sets' and 'compare' are needed"),
        (_damage('{"sets": {"int8.npz": {}}, "compare": [["int8", "(", "exact"]]}'), "are needed"),
        (_damage('{"sets": {"int8.npz": {}}, "compare": [["int8", ".", "near"]]}'), "unknown rule"),
        (_damage('{"sets": {"int8.npz": {}}, "compare": []}'), "no line of 'compare' covers"),
        (_damage('{"sets": {"../int8.npz": {}}, "compare": []}'), "is not the name of a file"),
        (lambda folder: (folder / "index.json").unlink(), "a folder of vectors has an index.json"),
        (_cut, "not a readable npz"),
        (_pickled, "not a readable npz of plain arrays"),
        (_shape, "its operands do not fit: a has K=32, b has K=33"),
        (_operand, "c1__sums needs c1__b, not there"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    damage: Callable[[Path], None], message: str, copy: Path, cli: Cli
) -> None:
    damage(copy)
    outcome = cli("validate", "kernels", "--data", str(copy))
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 2  # the folder that is read, and the error
    with pytest.raises(InputError):
        validate_kernels(copy)


def test_predictions_need_no_results(copy: Path, cli: Cli, tmp_path: Path) -> None:
    for name, array in OUTPUTS.items():
        change(copy / f"{name}.npz", lambda arrays, gone=array: arrays.pop(gone))  # type: ignore[misc]  # mypy cannot infer a default of a lambda
    text = predictions(copy)
    assert text == predictions(SHIPPED)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["file"] for row in rows} == {f"{name}.npz" for name in make_vectors.SETS}
    with np.load(SHIPPED / "int8.npz") as data:
        wanted = data["c1__sums"].reshape(-1).tolist()
    mine = [
        int(r["predicted"]) for r in rows if (r["file"], r["metric"]) == ("int8.npz", "c1__sums")
    ]
    assert mine == wanted
    target = tmp_path / "predictions.csv"
    outcome = cli("validate", "kernels", "--data", str(copy), "--predict-only", "-o", str(target))
    assert outcome.code == 0
    assert target.read_text() == text
    assert cli("validate", "kernels", "--data", str(copy), "--predict-only").out == text


def test_which_folder_is_read(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    assert folder_of(None) == SHIPPED
    outcome = cli("validate", "kernels")
    assert outcome.code == 0
    assert f"{len(make_vectors.SETS)} of {len(make_vectors.SETS)} sets passed" in outcome.out
    monkeypatch.setenv("ACCELSIM_REFERENCE", "/measured")
    assert folder_of(None) == Path("/measured/numerics")
    assert folder_of("mine") == Path("mine")
    assert cli("validate", "array").code == 2


def test_published_vectors_are_computed_or_named(reference: Path) -> None:
    found = validate_kernels(reference / "numerics")
    assert not any(result.mismatches for result in found.sets)
    by_name = {result.name: result for result in found.sets}
    assert by_name["casts"].rows > 4000
    assert by_name["decode_tables"].rows > 1000
    # What no kernel computes yet is said, and is no pass.
    assert all(result.not_computed for result in found.sets if not result.passed)
