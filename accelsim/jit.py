"""The one door to Numba: kernels are cached on disk in a folder named by a hash of their sources.

Numba notices an edit of the file that holds a kernel, but not of a file that the kernel calls
into; a folder per state of all kernel sources closes that gap.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numba

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

#: Decorator of every kernel. ``fastmath`` is never set: results must not depend on the compiler.
kernel = numba.njit(cache=True, nogil=True)

#: Decorator of kernels that allocate nothing. Without Numba's runtime no reference is counted, which
#: would otherwise cost more than the work: a timing step took 2.7 us with it and takes 0.4 us
#: without. Numba refuses to compile a function that allocates after all.
leaf = numba.njit(cache=True, nogil=True, _nrt=False)
