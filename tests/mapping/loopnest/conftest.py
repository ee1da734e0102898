"""A folder of caches of its own: no test sees what another one found."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.mapping import store


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path / "cache"))
    store.forget()
