"""Vectors: those that ship are what the twins say, and one wrong bit anywhere is found."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.validate.catalog import shipped
from accelsim.validate.kernels import SHIPPED, predictions, validate_kernels
from accelsim.validate.result import ExactSet
from accelsim.validate.subjects import folder_of
from tests.kernels import make_vectors
from tests.validate.vectors import OUTPUTS, change, flip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "vectors"))


def result_of(folder: Path, name: str) -> ExactSet:
    return next(one for one in validate_kernels(folder).sets if one.name == name)


def edit_index(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads((folder / "index.json").read_text())
    edit(data)
    (folder / "index.json").write_text(json.dumps(data))


def test_the_shipped_vectors_pass() -> None:
    found = validate_kernels(SHIPPED)
    assert found.passed
    assert [result.name for result in found.sets] == list(make_vectors.SETS)
    assert all(result.rows > 100 and not result.not_computed for result in found.sets)


@pytest.mark.parametrize("name", make_vectors.SETS)
def test_the_shipped_vectors_are_what_the_twins_say(name: str) -> None:
    wanted = make_vectors.SETS[name]()
    # Arrays, not bytes of the file: how well zlib packs depends on its version.
    with np.load(SHIPPED / f"{name}.npz") as shipped:
        assert shipped.files == list(wanted)
        for array, value in wanted.items():
            assert shipped[array].dtype == np.asarray(value).dtype
            assert np.array_equal(shipped[array], value), array
    assert (SHIPPED / "index.json").read_text() == make_vectors.index()


def test_the_shipped_vectors_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 300_000


def test_a_file_has_the_same_bytes_each_time() -> None:
    assert make_vectors.npz(make_vectors.int8()) == make_vectors.npz(make_vectors.int8())


@pytest.mark.parametrize(("name", "array"), OUTPUTS.items())
def test_one_flipped_bit_is_found_where_it_is(name: str, array: str, copy: Path) -> None:
    place = flip(copy / f"{name}.npz", array)
    found = validate_kernels(copy)
    (wrong,) = [result for result in found.sets if not result.passed]
    assert (wrong.name, wrong.mismatches) == (name, 1)
    assert wrong.first_mismatch is not None
    assert (wrong.first_mismatch["array"], wrong.first_mismatch["index"]) == (array, place)
    assert wrong.reason == f"1 of {wrong.rows} elements differ"
    assert not found.passed


#: A kernel of the table, and the sets that show when it is wrong.
KERNELS = {
    "matmul_int8": ["int8"], "matmul_int4": ["int4"], "matmul_2to4": ["sparse24_int8"],
    "prune_2to4": ["sparse24_int8"], "matmul_chain": ["bf16", "fp8"], "decode_fp8": ["fp8"],
    "attention": ["attention"], "softmax": ["vector"], "rms_norm": ["vector"],
    "layer_norm": ["vector"], "activation": ["vector"], "absmax": ["quantize"],
    "scales": ["quantize"], "quantize": ["quantize"], "rescale": ["quantize"],
    "round_to": ["rounding"], "encode_fp8": ["rounding"],
}  # fmt: skip


@pytest.mark.parametrize(("kernel", "sets"), KERNELS.items())
def test_a_kernel_with_one_wrong_bit_is_found(
    kernel: str, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(shipped, kernel)

    def wrong(*given: Any, **named: Any) -> Any:
        made = np.array(right(*given, **named))
        made.reshape(-1)[made.size // 2 :][:1].view(np.uint8)[-1] ^= 1
        return made

    monkeypatch.setattr(shipped, kernel, wrong)
    failed = [result.name for result in validate_kernels(SHIPPED).sets if not result.passed]
    assert failed == sets


def test_a_nan_of_the_same_class_passes_and_of_a_number_does_not(copy: Path) -> None:
    with np.load(copy / "rounding.npz") as data:
        y = data["bf16__y"]
    (where,) = np.nonzero((y & 0x7FFFFFFF) > 0x7F800000)
    assert where.size == 2

    def other(arrays: dict[str, Any]) -> None:
        arrays["bf16__y"][where] = [0x7FA00001, 0xFFA00001]

    change(copy / "rounding.npz", other)
    assert result_of(copy, "rounding").passed
    change(copy / "rounding.npz", lambda arrays: arrays["bf16__y"].__setitem__(where[0], 0))
    assert result_of(copy, "rounding").mismatches == 1
    edit_index(copy, lambda data: data["compare"].insert(0, ["rounding", "bf16__y", "exact"]))
    assert result_of(copy, "rounding").mismatches == 2


def _shape(arrays: dict[str, Any]) -> None:
    arrays["c1__a"] = arrays["c1__a"][:, 1:].copy()


def _kind(arrays: dict[str, Any]) -> None:
    arrays["c1__sums"] = arrays["c1__sums"].astype(np.int64)


def _bits(arrays: dict[str, Any]) -> None:
    arrays["c1__a"] = arrays["c1__a"].astype(np.float64)


@pytest.mark.parametrize(
    ("edit", "array", "why"),
    [
        (_shape, "c1__sums", "a has K=32, b has K=33"),
        (_bits, "c1__sums", "its operands do not fit: a is float64"),
        (_kind, "c1__sums", "it is int64 (3, 70); its operands give int32 (3, 70)"),
        (
            lambda arrays: arrays.pop("c1__b"),
            "c1__sums",
            "it is computed from c1__b, which is not there",
        ),
        (
            lambda arrays: arrays.update(other__squares=np.ones(3)),
            "other__squares",
            "no kernel computes it",
        ),
        (
            lambda arrays: arrays.update(other__root=np.ones(3)),
            "other__root",
            "no line of 'compare' in the index covers it",
        ),
        (
            lambda arrays: arrays.update(other__near=np.ones(3)),
            "other__near",
            "nothing compares by 'tolerance 1e-6'; ",
        ),
    ],
)
def test_what_cannot_be_interpreted_is_no_pass_and_says_why(
    edit: Callable[[dict[str, Any]], None], array: str, why: str, copy: Path
) -> None:
    lines = [["int8", "squares$", "exact"], ["int8", "near$", "tolerance 1e-6"]]

    def narrow(data: dict[str, Any]) -> None:
        given = ["int8", "__(a|b)$", "input"]
        data["compare"] = [
            *lines,
            *(given if line == ["int8", ".*", "input"] else line for line in data["compare"]),
        ]

    edit_index(copy, narrow)
    change(copy / "int8.npz", edit)
    result = result_of(copy, "int8")
    assert list(result.not_computed) == [array]
    assert why in result.not_computed[array]
    assert (result.passed, result.mismatches) == (False, 0)
    assert result.reason == f"{array}: {result.not_computed[array]}"
    assert result.to_dict()["not_computed"] == [array]


def test_numbers_are_stored_as_bits(copy: Path) -> None:
    def doubles(arrays: dict[str, Any]) -> None:
        arrays["silu__x"] = arrays["silu__x"].astype(np.float64)

    change(copy / "vector.npz", doubles)
    assert "not in float64" in result_of(copy, "vector").not_computed["silu__y"]


def test_a_set_without_outputs_is_no_pass(copy: Path) -> None:
    change(
        copy / "fp8.npz",
        lambda arrays: [arrays.pop(name) for name in list(arrays) if name.endswith("__sums")],
    )
    assert result_of(copy, "fp8").reason == "nothing to compare"


def test_arrays_that_are_only_information_do_not_count(copy: Path) -> None:
    flip(copy / "fp8.npz", OUTPUTS["fp8"])
    edit_index(copy, lambda data: data["compare"].insert(0, ["fp8", OUTPUTS["fp8"], "info"]))
    assert result_of(copy, "fp8").passed


def test_a_set_may_be_named_by_its_beginning(copy: Path) -> None:
    def shorten(data: dict[str, Any]) -> None:
        data["compare"] = [
            ["sparse24_", *line[1:]] if line[0] == "sparse24_int8" else line
            for line in data["compare"]
        ]

    edit_index(copy, shorten)
    assert result_of(copy, "sparse24_int8").passed


def test_a_file_may_be_absent_but_not_all(copy: Path) -> None:
    for name in make_vectors.SETS:
        if name != "fp8":
            (copy / f"{name}.npz").unlink()
    assert [result.name for result in validate_kernels(copy).sets] == ["fp8"]
    (copy / "fp8.npz").unlink()
    with pytest.raises(InputError, match=r"none of the files of its index\.json is there"):
        validate_kernels(copy)


def test_predictions_need_no_results(copy: Path) -> None:
    for name in make_vectors.SETS:
        change(
            copy / f"{name}.npz",
            lambda arrays, mine=name: [  # type: ignore[misc]  # mypy cannot infer a default of a lambda
                arrays.pop(array) for array in list(arrays) if is_output(mine, array)
            ],
        )
    text = predictions(copy)
    assert text == predictions(SHIPPED)
    rows = list(csv.DictReader(io.StringIO(text)))
    with np.load(SHIPPED / "int8.npz") as data:
        wanted = data["c1__sums"].reshape(-1).tolist()
    mine = [row for row in rows if (row["file"], row["metric"]) == ("int8.npz", "c1__sums")]
    assert [int(row["predicted"]) for row in mine] == wanted
    assert [int(row["row"]) for row in mine] == list(range(len(wanted)))
    predicted = {(row["file"], row["metric"]) for row in rows}
    assert all(
        (f"{name}.npz", array) in predicted
        for name, make in make_vectors.SETS.items()
        for array in make()
        if is_output(name, array)
    )


def is_output(name: str, array: str) -> bool:
    from accelsim.validate.index import read_index

    return read_index(SHIPPED).rule(name, array) != "input"


def test_results_are_not_read_for_predictions(copy: Path) -> None:
    wanted = predictions(copy)
    for name, array in OUTPUTS.items():
        flip(copy / f"{name}.npz", array)
    assert predictions(copy) == wanted


def test_what_cannot_be_predicted_keeps_a_line(copy: Path) -> None:
    change(copy / "int8.npz", lambda arrays: arrays.pop("c1__b"))
    lines = [line for line in predictions(copy).splitlines() if "c1__sums" in line]
    assert [line for line in lines if line.startswith("int8")] == ["int8.npz,0,c1__sums,"]


def test_which_folder_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_REFERENCE", raising=False)
    assert folder_of("kernels", None) == SHIPPED
    monkeypatch.setenv("ACCELSIM_REFERENCE", "/measured")
    assert folder_of("kernels", None) == Path("/measured/numerics")
    assert folder_of("kernels", "mine") == Path("mine")


def test_published_vectors_hold_without_the_libraries_that_made_them(reference: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(reference / "numerics")],
        check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["passed"]
    files = {path.stem.removeprefix("open_") for path in (reference / "numerics").glob("*.npz")}
    assert {one["name"] for one in found["sets"]} == files
    assert all(one["rows"] > 0 and one["mismatches"] == 0 for one in found["sets"])
    assert sum(one["rows"] for one in found["sets"]) > 1_000_000


#: Runs the command with the oracles unimportable.
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Refused(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            "torch", "torchao", "ml_dtypes", "gfloat", "mmasim", "onnxruntime", "ai_edge_litert",
            "mx", "onnx",
        }:
            raise ImportError(f"{name} is refused here")

sys.meta_path.insert(0, Refused())
from accelsim.__main__ import main
sys.argv = ["accelsim", "validate", "kernels", "--data", sys.argv[1], "--json"]
main()
"""

#: A set, and an array of it in which a bit is flipped.
PUBLISHED = (
    ("decode_tables", r"p3109_k8p3_se"), ("casts", r"e2m1fn__gfloat_TiesToAway_sat"),
    ("casts_fp64", r"gfloat_.*"), ("mx_microxcaling", r"microxcaling_fp4_e2m1_even_flush0"),
    ("mx_torchao_gfloat", r"torchao_nvfp4_.*_q"), ("intquant_torchao", r".*int4_g32_.*_q"),
    ("mma_nv_wgmma", r".*_D"), ("mma_amd_mfma", r".*_D"), ("mma_chained_gemm", r".*two_level.*"),
    ("mma_nv_tcgen05_block_scale", r".*_D"), ("requant_tflite", r"fc\d+_out_litert_ref"),
    ("requant_onnxruntime", r"qmm\d+_y"), ("requant_torch", r"intmm_y"),
    ("sparse24", r".*_meta_cutlass_reordered"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "pattern"), PUBLISHED)
def test_one_flipped_bit_of_a_published_set_is_found(
    name: str, pattern: str, reference: Path, tmp_path: Path
) -> None:
    (source,) = (
        (reference / "numerics").glob(f"*{name}.npz")
        if name != "casts"
        else (reference / "numerics" / "open_casts.npz",)
    )
    target = tmp_path / source.name
    shutil.copyfile(source, target)
    shutil.copy(reference / "numerics" / "index.json", tmp_path)
    with np.load(target) as data:
        array = next(one for one in data.files if re.fullmatch(pattern, one))
    place = flip(target, array, 3)  # in the middle of tables of codes stands NaN
    (result,) = validate_kernels(tmp_path).sets
    assert (result.name, result.mismatches, result.passed) == (name, 1, False)
    assert result.first_mismatch is not None
    assert result.first_mismatch["array"] == array
    assert result.first_mismatch["index"] == place


def test_published_casts_that_differ_are_found(reference: Path, tmp_path: Path) -> None:
    with np.load(reference / "numerics" / "open_casts.npz") as data:
        arrays = {name: data[name] for name in data.files if name.startswith("e5m2__")}
    arrays["e5m2__gfloat_TiesToEven_sat"] = arrays["e5m2__gfloat_TiesToEven_sat"].copy()
    arrays["e5m2__gfloat_TiesToEven_sat"][7] ^= 1
    (tmp_path / "open_casts.npz").write_bytes(make_vectors.npz(arrays))
    shutil.copy(reference / "numerics" / "index.json", tmp_path)
    (result,) = validate_kernels(tmp_path).sets
    assert (result.name, result.mismatches) == ("casts", 1)
    assert result.first_mismatch is not None
    assert result.first_mismatch["index"] == [7]
