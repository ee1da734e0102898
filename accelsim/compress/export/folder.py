"""A folder that is there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelsim.errors import OutputError


def check_new(folder: str | Path) -> None:
    """Say before the work that its folder could not be written.

    Raises:
        OutputError: it holds something already, or cannot be made.
    """
    target = Path(folder).resolve()
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target}: is a file, a folder is needed")
    if target.exists() and any(target.iterdir()):
        raise OutputError(f"{target}: is not empty; a checkpoint is written into a new folder")
    above = target.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise OutputError(f"{target}: cannot be made: {above} is a file")
    if not os.access(above, os.W_OK):
        raise OutputError(f"{target}: cannot be written: no permission to write into {above}")


@contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder that becomes the target when the context ends without an error.

    It lies beside the target, on the same disk; after an error nothing of it is left.

    Raises:
        OutputError: ``check_new`` refuses the target, or the disk does.
    """
    target = Path(folder).resolve()
    check_new(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target}: cannot be made: {error.strerror or error}") from error
    try:
        fresh = aside / "new"
        fresh.mkdir()
        yield fresh
        if target.exists():  # empty, or it appeared meanwhile: then this fails and nothing is lost
            target.rmdir()
        fresh.rename(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
