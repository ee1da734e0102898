"""Tiles on processors that lack what this one has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim_kernels.integer import matmul_int4, pack_int4
from tests.kernels.support import codes, numbers

PROGRAM = """
import sys
import numpy as np
from accelsim_kernels.integer import matmul_int4, pack_int4
from accelsim_kernels.tile import has_vnni
from tests.kernels.support import codes, numbers
assert not has_vnni()
a, b = codes(1, 7, 40), codes(2, 66, 40, low=-8, high=7)
sys.stdout.buffer.write(matmul_int4(a, pack_int4(b), numbers(3, 66, 2), 32).tobytes())
"""


@pytest.mark.parametrize("setting", ["NUMBA_CPU_NAME=generic", "NUMBA_ENABLE_AVX=0"])
def test_a_lesser_target_gives_the_same_bits(setting: str, tmp_path: Path) -> None:
    """LLVM ends the process over an instruction that its target lacks."""
    name, value = setting.split("=")
    chosen = {name: value, "NUMBA_CACHE_DIR": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **chosen},
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr.decode()
    a, b = codes(1, 7, 40), codes(2, 66, 40, low=-8, high=7)
    wanted = matmul_int4(a, pack_int4(b), numbers(3, 66, 2), 32)
    assert np.frombuffer(made.stdout, np.float32).tobytes() == wanted.tobytes()
