"""The one door to Numba: kernels are cached on disk in a folder named by a hash of their sources.

Numba notices an edit of the file that holds a kernel, but not of a file that the kernel calls
into; a folder per state of all kernel sources closes that gap.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

#: Arrays that cross into kernels.
Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = Path(__file__).parent


def _kernel_sources() -> list[Path]:
    return sorted([*_PACKAGE.glob("**/_core/*.py"), Path(__file__)])


def _sources_hash() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in _kernel_sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of compiled kernels: ``$ACCELSIM_CACHE_DIR``, else the user's cache."""
    base = os.environ.get("ACCELSIM_CACHE_DIR")
    if base is None:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        base = str(Path(base) / "accelsim")
    return Path(base) / f"kernels-{_sources_hash()}"


def _usable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    # A home that cannot be written must not stop a run: kernels are compiled again next time.
    return Path(tempfile.mkdtemp(prefix="accelsim-kernels-"))


def prepare() -> bool:
    """Point Numba at the cache folder; return whether kernels still have to be compiled.

    ``NUMBA_CACHE_DIR``, where set, wins.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else _usable(cache_folder())
    numba.config.CACHE_DIR = str(folder)
    return not any(folder.glob("**/*.nbi"))


#: Whether this process has to compile its kernels first (tells the user why it takes long).
COLD = prepare()


def kernel(function: Function) -> Function:
    """Compile a kernel. ``fastmath`` is never set: results must not depend on the compiler."""
    return cast(Function, numba.njit(cache=True, nogil=True)(function))


def leaf(function: Function) -> Function:
    """Compile a kernel that allocates nothing.

    Without Numba's runtime no reference is counted, which would cost more than the work itself: a
    piece of a transfer took the timing engine 2.7 us with counting and takes 0.2 us without. Numba
    refuses to compile a function that allocates after all.
    """
    return cast(Function, numba.njit(cache=True, nogil=True, _nrt=False)(function))
