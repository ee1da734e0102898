"""Whatever stands in a file: it loads, or every mistake has a position and a sentence."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import SpecError
from accelsim.spec.load import load_arch
from tests.support import ROOT

EDGE: dict[str, Any] = yaml.safe_load((ROOT / "arch_specs" / "edge_npu.yaml").read_text())
RAW = re.compile(r"Input should|validation error|\bpydantic\b|Value error|^$", re.IGNORECASE)


def places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found = [place] if place else []
    for key, child in children:
        here = (*place, key)
        found += places(child, here) if isinstance(child, dict | list) else [here]
    return found


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(["1e3", "5 GB/s", "-1 ns", "int8", "12:30", "é", "0x1F"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["name", "estimated", "x", "a.b"]), st.integers(), max_size=2),
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(places(EDGE)),
        st.sampled_from(["replace", "delete", "add", "rename"]),
        VALUES,
    ),
    min_size=1,
    max_size=4,
)


def changed(changes: list[tuple[tuple[str | int, ...], str, Any]]) -> dict[str, Any]:
    data = copy.deepcopy(EDGE)
    for place, how, value in changes:
        parent: Any = data
        try:
            for part in place[:-1]:
                parent = parent[part]
            old = parent[place[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(parent, str):
            continue  # an earlier change put a text where the list was
        if how == "replace":
            parent[place[-1]] = value
        elif how == "add" and isinstance(old, dict):
            old["extra"] = value
        elif how != "add":
            del parent[place[-1]]
            if how == "rename" and isinstance(parent, dict):
                parent[f"{place[-1]}s"] = old
    return data


def check(path: Path, *settings: str) -> None:
    try:
        load_arch(path, settings)
    except SpecError as error:
        assert error.mistakes
        for mistake in error.mistakes:
            positions = rf"{re.escape(str(path))}:\d+:\d+|--set .*"
            assert re.fullmatch(positions, mistake.where, re.DOTALL), mistake
            assert not RAW.search(mistake.what), mistake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(changes=CHANGES)
def test_a_damaged_chip_loads_or_says_what_is_wrong(
    folder: Path, changes: list[tuple[tuple[str | int, ...], str, Any]]
) -> None:
    path = folder / "damaged.yaml"
    path.write_text(yaml.safe_dump(changed(changes), sort_keys=False), encoding="utf-8")
    check(path)


@given(change=st.sampled_from(places(EDGE)), value=VALUES)
def test_any_setting_applies_or_says_what_is_wrong(
    folder: Path, change: tuple[str | int, ...], value: Any
) -> None:
    path = folder / "edge.yaml"
    path.write_text(yaml.safe_dump(EDGE, sort_keys=False), encoding="utf-8")
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    check(path, f"{'.'.join(map(str, change))}={text}")


@given(text=st.text(alphabet="ab:-[]{}&*!|>'\"#\n ,?1.%@`", max_size=30))
def test_any_text_is_refused_in_one_sentence(folder: Path, text: str) -> None:
    path = folder / "noise.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_arch(path)
    assert all(mistake.where.startswith(str(path)) for mistake in caught.value.mistakes)
