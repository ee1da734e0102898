"""What tests of benchmarks stand on; they are skipped where lm-eval is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.benchmarks.folders import make_data, make_llama


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return make_llama(tmp_path_factory.mktemp("models") / "llama")
