"""The package offers its kernels by name, and loads them when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import accelsim_kernels


def test_every_public_name_is_there() -> None:
    for name in accelsim_kernels.__all__:
        assert getattr(accelsim_kernels, name) is not None, name
        assert name in dir(accelsim_kernels)
    with pytest.raises(AttributeError, match="no attribute 'matmul_int9'"):
        _ = accelsim_kernels.matmul_int9


def test_formats_and_presets_need_no_compiler() -> None:
    code = (
        "import sys, accelsim_kernels; sys.exit('numba' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)},
                          check=False)  # fmt: skip
    assert done.returncode == 0
