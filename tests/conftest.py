"""What every test gets: fixed seeds, a compile cache of its own, and the folder of measurements."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.support import Cli, Outcome

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# Set before anything imports numba; workers of pytest-xdist inherit it.
_CACHE = "" if "NUMBA_CACHE_DIR" in os.environ else tempfile.mkdtemp(prefix="accelsim-numba-")
if _CACHE:
    os.environ["NUMBA_CACHE_DIR"] = _CACHE


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_DEBUG", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    # typer takes continuous integration for a terminal, and would print colours.
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def reference() -> Path:
    """Return the folder of published measurements."""
    named = os.environ.get("ACCELSIM_REFERENCE")
    if not named:
        pytest.skip("ACCELSIM_REFERENCE does not name a folder of measurements")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"ACCELSIM_REFERENCE={named} is no folder")
    return folder


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs the command line in this process."""

    def run(*arguments: str) -> Outcome:
        from accelsim.cli.app import main

        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        captured = capsys.readouterr()
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run
