"""``import accelsim`` offers what it promises, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import accelsim
from accelsim import version
from tests.support import ROOT


def test_every_public_name_is_there() -> None:
    for name in accelsim.__all__:
        assert getattr(accelsim, name) is not None
    assert dir(accelsim) == sorted(accelsim.__all__)


def test_names_are_loaded_from_the_module_that_defines_them() -> None:
    assert set(accelsim._HOMES) == set(accelsim.__all__) - {"__version__"}
    for name, home in accelsim._HOMES.items():
        assert getattr(accelsim, name).__module__ == home, name


def test_type_checkers_see_the_same_names_in_the_same_modules() -> None:
    tree = ast.parse(Path(accelsim.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == accelsim._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'accelsim' has no attribute 'simulat'"):
        _ = accelsim.simulat


def test_the_version_is_the_one_of_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.__version__)
    assert f"## {version.__version__}" in (ROOT / "CHANGELOG.md").read_text()
