"""From a name or a file to a checked chip; every mistake of the file is reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from accelsim.errors import FileError, Mistake, SpecError, UnknownNameError, nearest
from accelsim.spec.arch import ArchSpec
from accelsim.spec.explain import build
from accelsim.spec.fields import model_at
from accelsim.spec.locate import Document, Finding, Mark, Place, read
from accelsim.spec.merge import extend, override

_SUFFIXES = (".yaml", ".yml")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def load_arch(name_or_path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ArchSpec:
    """Load a chip.

    Args:
        name_or_path: a shipped chip's name (``edge_npu``) or the path of a YAML file.
        overrides: settings such as ``memories.scratchpad.size_bytes=8 MiB``, applied in order.

    Raises:
        UnknownNameError: no shipped chip has this name, and there is no such file.
        SpecError: the file or an override holds mistakes; all of them are listed.
    """
    given = os.fspath(name_or_path)
    try:
        document = _chain(*_find(given), above=())
    except FileError as error:
        raise SpecError(error.mistakes) from None
    for setting in overrides:
        document = override(ArchSpec, document, setting)
    findings = (*document.findings, *_unknown_estimates(document.data, document, ()))
    arch, mistakes = build(ArchSpec, replace(document, findings=findings))
    if mistakes or arch is None:
        raise SpecError(mistakes)
    return arch


def shipped() -> tuple[str, ...]:
    """Return the names of the chips that come with accelsim."""
    return tuple(sorted(path.stem for path in specs_folder().glob("*.yaml")))


def specs_folder() -> Path:
    """Return the folder of shipped chips: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "arch_specs", package.parent / "arch_specs"):
        if folder.is_dir():
            return folder
    raise SpecError("this installation has lost its arch_specs folder: install accelsim again")


def _shipped_file(name: str) -> tuple[Path, str]:
    # Shown with its path, so that an editor can open what a message names.
    path = specs_folder() / f"{name}.yaml"
    near = os.path.relpath(path)
    return path, str(path) if near.startswith("..") else near


def _find(given: str) -> tuple[Path, str]:
    """Return the file that a name or a path means, and how messages call it."""
    if given in shipped():
        return _shipped_file(given)
    path = Path(given)
    if path.suffix not in _SUFFIXES and not path.exists():
        raise UnknownNameError("chip", given, shipped())
    if path.suffix in _SUFFIXES and not path.exists():
        hint = nearest(path.stem, shipped())
        raise SpecError([Mistake(given, "", f"no such file; shipped chips go by name{hint}")])
    return path, given


def _chain(path: Path, shown: str, above: tuple[Path, ...]) -> Document:
    """Read a file and everything that it extends, merged."""
    top = read(path, shown)
    if "extends" not in top.data:
        return top
    base_name = top.data["extends"]
    mark = top.mark(("extends",))
    data = {key: value for key, value in top.data.items() if key != "extends"}
    data.setdefault("name", _NOT_IN_A_NAME.sub("_", path.stem))
    top = replace(top, data=data)
    problem = partial(_extends_error, mark)
    if not isinstance(base_name, str) or not base_name.strip():
        raise problem("the name of a shipped chip or the path of a file is needed")
    base_path, base_shown = _base(base_name, shown)
    files = (*above, path.resolve())
    if base_path.resolve() in files:
        raise problem(f"{base_name} extends this file again, directly or through others")
    if not base_path.exists():
        known = nearest(base_name, shipped())
        raise problem(f"there is neither a shipped chip nor a file {base_name!r}{known}")
    return extend(ArchSpec, _chain(base_path, base_shown, files), top)


def _extends_error(mark: Mark, what: str) -> FileError:
    return FileError([Mistake(mark.where, "extends", what)])


def _base(name: str, shown: str) -> tuple[Path, str]:
    """Return the file that ``extends`` means: a shipped chip, or a path beside the file itself."""
    if name in shipped():
        return _shipped_file(name)
    beside = os.path.join(os.path.dirname(shown), name)
    return Path(beside), beside


def _unknown_estimates(value: Any, document: Document, place: Place) -> Iterator[Finding]:
    """Find names under ``estimated`` that are no keys of their section."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from _unknown_estimates(child, document, (*place, key))
    section = model_at(ArchSpec, place)
    listed = value.get("estimated") if section and isinstance(value, dict) else None
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(name, str) and section and name not in section.model_fields:
            here = (*place, "estimated", index)
            what = f"{name!r} is no key of this section{nearest(name, section.model_fields)}"
            yield Finding(document.mark(here), here, what)
