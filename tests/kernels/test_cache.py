"""Compiled kernels are kept between processes, and never outlive an edit of any source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import accelsim_kernels

PACKAGE = Path(accelsim_kernels.__file__).parent
#: Halfway between two numbers of bfloat16, times the largest code of INT8.
CODE = """
import numpy as np
from accelsim_kernels.quantize import scales
from accelsim_kernels.jit import DOOR
cold = DOOR.cold()
print(cold, scales(np.array([127 * (1 + 2.0**-8 + 2.0**-12)], np.float32), "int8", "bf16")[0])
"""


def run(folder: Path) -> tuple[bool, float]:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(folder), "ACCELSIM_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True
    )
    cold, scale = done.stdout.split()
    return cold == "True", float(scale)


def test_an_edited_helper_is_compiled_anew(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(PACKAGE, tmp_path / PACKAGE.name))
    assert run(tmp_path) == (True, 1 + 2.0**-7)
    assert run(tmp_path) == (False, 1 + 2.0**-7)
    # The kernel stands in quantize.py, which stays; what it calls changes.
    helper = copy / "rounding.py"
    text = helper.read_text()
    assert text.count("np.uint32(0x7FFF)") == 1
    helper.write_text(text.replace("np.uint32(0x7FFF)", "np.uint32(0)"))
    assert run(tmp_path) == (True, 1.0)
