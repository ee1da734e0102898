"""A folder of text files, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from accelsim.errors import OutputError


def check_reports(folder: str | Path, names: Collection[str]) -> None:
    """Say before a run that its folder could not be written.

    Raises:
        OutputError: ``write_reports`` would refuse the folder.
    """
    target = Path(folder).resolve()
    above = target.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise OutputError(f"{target}: cannot be made: {above} is a file")
    if not os.access(above, os.W_OK):
        raise OutputError(f"{target}: cannot be written: no permission to write into {above}")
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target}: is a file, a folder is needed")
    foreign = sorted(entry.name for entry in target.iterdir() if entry.name not in names)
    if foreign:
        raise OutputError(f"{target}: holds {foreign[0]}, which is no report; move it away first")


def write_reports(
    folder: str | Path, texts: Mapping[str, str | bytes], names: Collection[str]
) -> Path:
    """Write files into a folder, which then holds all of them or what it held.

    Args:
        folder: made with the folders above it; reports of an earlier run in it are replaced.
        texts: by file name.
        names: files that an earlier run may have left.

    Raises:
        OutputError: the folder holds something else or cannot be written.
    """
    target = Path(folder).resolve()
    check_reports(target, names)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside(target) as aside:
            fresh = aside / "new"
            fresh.mkdir()
            for name, text in texts.items():
                # Bytes, so that a line ends the same way everywhere.
                (fresh / name).write_bytes(text if isinstance(text, bytes) else text.encode())
            swap(fresh, target, aside / "old")
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target, on the same disk, that is gone afterwards."""
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def swap(fresh: Path, target: Path, old: Path) -> None:
    """Put ``fresh`` in the target's place; if that fails (Ctrl-C included), the old is back."""
    try:
        if target.exists():
            os.rename(target, old)
        os.rename(fresh, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise
