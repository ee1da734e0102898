"""``accelsim vectors``: what a builder of RTL types, gets, reads into Verilog, and is told."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from accelsim import api
from accelsim.validate.rtl_operands import CATEGORIES
from accelsim_kernels.presets import PRESETS
from accelsim_kernels.product import matmul
from tests.support import Cli

PRESET = "cdna3_fp8"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return vectors of a preset, ragged on purpose."""
    return api.vectors(PRESET, tmp_path_factory.mktemp("rtl") / "out", m=3, n=5, k=40, seed=7)


def words(path: Path) -> list[int]:
    return [int(line, 16) for line in path.read_text().split()]


def test_the_folder_checks_itself(folder: Path, cli: Cli) -> None:
    done = cli("validate", "kernels", "--data", str(folder), "--json")
    assert done.code == 0, done.err
    (result,) = json.loads(done.out)["sets"]
    assert result["name"] == "rtl" and result["passed"]
    assert result["rows"] == len(CATEGORIES) * (3 + 1) * 15  # three steps of 16, 16 and 8


@pytest.mark.parametrize("role", ["acc", "result"])
def test_a_wrong_bit_is_found(folder: Path, cli: Cli, tmp_path: Path, role: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    with np.load(copy / "rtl.npz") as file:
        arrays = dict(file)
    arrays[f"sparse__{role}"].reshape(-1)[6] ^= 1
    np.savez(copy / "rtl.npz", **arrays)
    done = cli("validate", "kernels", "--data", str(copy), "--json")
    assert done.code == 1
    first = json.loads(done.out)["sets"][0]["first_mismatch"]
    assert first["array"] == f"sparse__{role}"


def test_words_are_the_arrays(folder: Path) -> None:
    with np.load(folder / "rtl.npz") as arrays:
        for name in arrays.files:
            category, _, role = name.partition("__")
            assert words(folder / f"{category}_{role}.hex") == arrays[name].reshape(-1).tolist()
        for category in CATEGORIES:
            a, b, c = (arrays[f"{category}__{role}"] for role in "abc")
            assert np.array_equal(arrays[f"{category}__result"], matmul(a, b, PRESET, c))
            assert np.array_equal(
                arrays[f"{category}__acc"][1], matmul(a[:, :32], b[:, :32], PRESET, c)
            )


def test_categories_hold_what_they_say(folder: Path) -> None:
    with np.load(folder / "rtl.npz") as arrays:
        thin = arrays["sparse__a"].reshape(3, -1, 4)
        assert ((thin != 0).sum(-1) <= 2).all()
        assert (arrays["special__a"] == 0x80).any()  # the NaN of a format without infinity
        assert (arrays["subnormal__a"] & 0x7F <= 16).all()  # 8 is the least normal one
        even, odd = arrays["cancellation__a"][:, ::2], arrays["cancellation__a"][:, 1::2]
        assert ((even ^ odd) == 0x80).all()


def test_the_same_request_gives_the_same_bytes(folder: Path, cli: Cli, tmp_path: Path) -> None:
    sizes = ("--m", "3", "--n", "5", "--k", "40", "--seed", "7")
    assert cli("vectors", PRESET, "-o", str(tmp_path / "again"), *sizes).code == 0
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
    # A category alone is what it is among others; another run replaces the folder whole.
    only = cli("vectors", PRESET, "-o", str(tmp_path / "again"), *sizes, "--categories", "sparse")
    assert only.code == 0, only.err
    left = {path.name for path in (tmp_path / "again").glob("*.hex")}
    assert left == {f"sparse_{role}.hex" for role in ("a", "b", "c", "acc", "result")}
    for name in left:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


#: One of every unit.
UNITS = {row.unit: row.name for row in PRESETS.values()}


@pytest.mark.parametrize("preset", sorted(UNITS.values()))
def test_every_unit_has_vectors(preset: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("vectors", preset, "-o", str(tmp_path / "out"), "--m", "2", "--n", "3")
    assert done.code == 0, done.err
    found = cli("validate", "kernels", "--data", str(tmp_path / "out"), "--json")
    assert found.code == 0, found.out


def test_integers_are_cut_to_their_width(tmp_path: Path) -> None:
    made = api.vectors("int32_exact", tmp_path / "out", m=2, n=2, k=8)
    with np.load(made / "rtl.npz") as arrays:
        codes = arrays["bits__a"].reshape(-1)
    assert words(made / "bits_a.hex") == (codes.astype(int) & 0xFF).tolist()
    assert len((made / "bits_a.hex").read_text().split()[0]) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cdna3_fp9",), "did you mean 'cdna3_fp8'"),
        ((PRESET, "--categories", "spars"), "did you mean 'sparse'"),
        ((PRESET, "--a-format", "fp16"), "unknown operand format"),
        ((PRESET, "--m", "100000", "--k", "100000"), "words a category"),
    ],
)
def test_mistakes_are_named(
    arguments: tuple[str, ...], told: str, cli: Cli, tmp_path: Path
) -> None:
    done = cli("vectors", *arguments, "-o", str(tmp_path / "out"))
    assert done.code == 2
    assert told in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mine.txt", "index.json"])
def test_a_foreign_folder_is_left_alone(name: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    done = cli("vectors", PRESET, "-o", str(tmp_path))
    assert done.code == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "{}"


BENCH = """
module bench;
  `include "parameters.vh"
  reg [A_BITS-1:0] a [0:A_WORDS-1];
  reg [ACC_BITS-1:0] acc [0:ACC_WORDS-1];
  integer i;
  initial begin
    $readmemh("mixed_a.hex", a);
    $readmemh("mixed_acc.hex", acc);
    for (i = 0; i < A_WORDS; i = i + 1) $display("%h", a[i]);
    for (i = 0; i < ACC_WORDS; i = i + 1) $display("%h", acc[i]);
    $finish;
  end
endmodule
"""


MAIN = """
#include "Vbench.h"
int main() { Vbench bench; bench.eval(); bench.final(); return 0; }
"""


def test_verilog_reads_the_words(folder: Path, tmp_path: Path) -> None:
    missing = [tool for tool in ("verilator", "g++", "make") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: Verilog cannot run")
    (tmp_path / "bench.v").write_text(BENCH)
    (tmp_path / "main.cpp").write_text(MAIN)
    command = [
        "verilator", "--cc", "--exe", "--build", "-Wno-WIDTH",
        "-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0",
        f"-I{folder}", "--Mdir", str(tmp_path / "made"), "-o", "bench", "--top-module", "bench",
        str(tmp_path / "bench.v"), str(tmp_path / "main.cpp"),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    done = subprocess.run(
        [tmp_path / "made" / "bench"], cwd=folder, capture_output=True, text=True, check=True
    )
    shown = [int(line, 16) for line in done.stdout.split() if len(line) in (2, 8)][: 120 + 45]
    assert shown == words(folder / "mixed_a.hex") + words(folder / "mixed_acc.hex")
