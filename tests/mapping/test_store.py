"""What searches keep: found again by content, ignored when damaged, never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim.mapping import gemm, store
from accelsim.mapping.search import plan
from accelsim.spec.load import load_arch
from tests.mapping.test_objective import product


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "cache_base", lambda: tmp_path)
    store.forget()
    return tmp_path / "mappings"


def test_a_second_search_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, workload = load_arch("edge_npu"), product(300, 200, 100)
    first = plan(workload, chip, "op")
    assert len(list(folder.glob("*.json"))) == 1
    store.forget()

    def never(*arguments: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr(gemm, "search", never)
    second = plan(workload, chip, "op")
    np.testing.assert_array_equal(first.choice, second.choice)
    assert (first.latency_ps, first.evaluated) == (second.latency_ps, second.evaluated)
    assert first.score == second.score


def test_other_chips_are_other_searches(folder: Path) -> None:
    for size in ("4 MiB", "2 MiB"):
        plan(
            product(300, 200, 100), load_arch("edge_npu", (f"memories.0.size_bytes={size}",)), "op"
        )
    assert len(list(folder.glob("*.json"))) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"choice": []}'])
def test_a_damaged_file_is_searched_again(text: str, folder: Path) -> None:
    chip, workload = load_arch("edge_npu"), product(64, 64, 64)
    first = plan(workload, chip, "op")
    (file,) = folder.glob("*.json")
    file.write_text(text, encoding="utf-8")
    store.forget()
    assert plan(workload, chip, "op").latency_ps == first.latency_ps
    assert "latency_ps" in file.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    folder.parent.joinpath("mappings").write_text("a file in the way", encoding="utf-8")
    assert plan(product(64, 64, 64), load_arch("edge_npu"), "op").latency_ps > 0
