"""The door to Numba: kernels are cached on disk in a folder named by a hash of their sources.

Numba notices an edit of the file that holds a kernel, but not of a file that the kernel calls
into; a folder per state of all sources closes that gap. Other packages open a door of their own
over their own sources.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from accelsim_kernels.parts import inner as inner
from accelsim_kernels.parts import part as part

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_base() -> Path:
    """Return where compiled kernels are kept: ``$ACCELSIM_CACHE_DIR``, else the user's cache."""
    chosen = os.environ.get("ACCELSIM_CACHE_DIR")
    if chosen is not None:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim"


def _usable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    # A home that cannot be written must not stop a run: kernels are compiled again next time.
    return Path(tempfile.mkdtemp(prefix="accelsim-kernels-"))


class Door:
    """Compiles the kernels of one set of sources.

    Args:
        label: first part of the folder's name.
        sources: every file that a kernel may be compiled from.
    """

    def __init__(self, label: str, sources: Iterable[Path]) -> None:
        digest = hashlib.sha256(numba.__version__.encode())
        for path in sources:
            digest.update(path.read_bytes())
        self.name = f"{label}-{digest.hexdigest()[:16]}"

    @functools.cached_property
    def folder(self) -> Path:
        """Where compiled kernels are kept; ``NUMBA_CACHE_DIR``, where set, wins."""
        chosen = os.environ.get("NUMBA_CACHE_DIR")
        return _usable((Path(chosen) if chosen else cache_base()) / self.name)

    def cold(self) -> bool:
        """Whether nothing has been compiled yet."""
        return not any(self.folder.glob("**/*.nbi"))

    def kernel(self, function: Function) -> Function:
        """Compile a kernel. ``fastmath`` is never set: results must not depend on the compiler."""
        return self._compiled(function, {})

    def leaf(self, function: Function) -> Function:
        """Compile a kernel that allocates nothing, for Python and for other kernels.

        Without Numba's runtime no reference is counted, which would cost more than the work
        itself: a piece of a transfer took the timing engine 2.7 us with counting and takes 0.2 us
        without. Numba refuses to compile a function that allocates after all.
        """
        return self._compiled(function, {"_nrt": False})

    def _compiled(self, function: Function, options: dict[str, Any]) -> Function:
        # Numba reads the folder when it decorates; several doors share the process.
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(self.folder)
        try:
            return cast(Function, numba.njit(cache=True, nogil=True, **options)(function))
        finally:
            numba.config.CACHE_DIR = before


DOOR = Door("values", sorted(Path(__file__).parent.rglob("*.py")))
kernel, leaf = DOOR.kernel, DOOR.leaf


def threads() -> int:
    """Return how many threads run at once: ``$ACCELSIM_THREADS``, else one per usable core."""
    chosen = os.environ.get("ACCELSIM_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


@functools.cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "accelsim-kernel")


def rows_in_threads(run: Callable[[int, int], object], rows: int, least: int) -> None:
    """Call ``run(first, last)`` over disjoint ranges of rows, at once where that pays.

    Kernels release the interpreter's lock. Every row is computed by itself, so the ranges have no
    influence on a result.

    Args:
        run: computes the rows of a range.
        rows: how many there are.
        least: rows that are worth a thread.
    """
    parts = max(1, min(threads(), rows // max(1, least)))
    if parts == 1:
        run(0, rows)
        return
    edges = [rows * i // parts for i in range(parts + 1)]
    waiting = [_pool(parts).submit(run, *pair) for pair in pairwise(edges)]
    for one in waiting:
        one.result()
