"""A Verilog array as referee of the clocked one: same values, same cycle."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from accelsim.mapping.machine import DATAFLOWS
from accelsim.sim.clocked import clocked_gemm
from accelsim.sim.clocked_operands import ClockedArray

SOURCES = Path(__file__).parent / "verilog"
#: Arrays that ``referee.v`` instantiates, rows and columns.
SIZES = ((1, 1), (2, 3), (4, 2), (3, 5))
CASES = 144


@pytest.fixture(scope="module")
def referee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled arrays."""
    missing = [tool for tool in ("verilator", "g++", "make") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: the Verilog array cannot run")
    folder = tmp_path_factory.mktemp("verilog")
    sources = [str(path) for path in sorted(SOURCES.glob("*.v"))]
    # Nothing is optimized: compiling takes longer than running.
    fast = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    command = [
        "verilator", "--cc", "--exe", "--build", "-O3", "-MAKEFLAGS", fast, "-Wno-WIDTH",
        "-Wno-UNOPTFLAT", "--top-module", "referee", "--Mdir", str(folder), "-o", "referee",
        *sources, str(SOURCES / "main.cpp"),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder / "referee"


Case = tuple[ClockedArray, np.ndarray, np.ndarray]


def cases() -> list[Case]:
    random = np.random.default_rng(6)
    found = []
    for i in range(CASES):
        rows, columns = SIZES[i % len(SIZES)]
        array = ClockedArray(rows, columns, DATAFLOWS[i % 3], bool(i // 12 % 2))
        m, n, k = (int(size) for size in random.integers(1, 24, 3))
        found.append(
            (array, random.integers(-128, 128, (m, k)), random.integers(-128, 128, (k, n)))
        )
    return found


def run(referee: Path, wanted: list[Case]) -> list[tuple[np.ndarray, int]]:
    """Return results and cycles of the Verilog arrays."""
    lines = []
    for array, a, w in wanted:
        exchanged = array.dataflow == "input_stationary"
        left, right = (w.T, a) if exchanged else (a, w.T)
        head = (SIZES.index((array.rows, array.columns)), array.dataflow != DATAFLOWS[0],
                array.double_buffer, len(left), len(right), left.shape[1])  # fmt: skip
        lines.append(" ".join(str(int(n)) for n in (*head, *left.flat, *right.flat)))
    text = "\n".join(lines)
    done = subprocess.run([referee], input=text, capture_output=True, text=True, check=True)
    found = []
    for (array, a, w), line in zip(wanted, done.stdout.splitlines(), strict=True):
        cycles, *values = (int(cell) for cell in line.split())
        exchanged = array.dataflow == "input_stationary"
        shape = (w.shape[1], len(a)) if exchanged else (len(a), w.shape[1])
        outputs = np.array(values).reshape(shape)
        found.append((outputs.T if exchanged else outputs, cycles))
    return found


def test_verilog_gives_the_same_values_in_the_same_cycle(referee: Path) -> None:
    wanted = cases()
    assert {array.dataflow for array, _, _ in wanted} == set(DATAFLOWS)
    for (array, a, w), (outputs, cycles) in zip(wanted, run(referee, wanted), strict=True):
        clocked = clocked_gemm(a, w, array)
        where = (array, a.shape, w.shape)
        assert np.array_equal(outputs, a @ w), where
        assert np.array_equal(outputs, clocked.outputs), where
        assert cycles == clocked.cycles, where
