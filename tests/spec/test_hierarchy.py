"""Hierarchies: those that ship are right and say where they come from; wrong ones are explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import SpecError, UnknownNameError
from accelsim.spec.hierarchy import load_hierarchy, shipped_hierarchies

GOOD = """\
name: mine
mac_pj: 1
axes: [{name: D1, size: 4}]
memories:
  - name: near
    holds: [I, O]
    size_bits: 64
    per: [D1]
    read_pj: 1
    write_pj: 1
    ports: [{kind: read_write, bits: 8}]
  - name: far
    holds: [I, W, O]
    read_pj: 1
    write_pj: 1
    ports: [{kind: read, bits: 8}, {kind: write, bits: 8}]
"""


def test_shipped_hierarchies_state_their_source() -> None:
    names = shipped_hierarchies()
    assert {"tpu_like", "eyeriss_like", "meta_prototype", "gemm_l1_l3"} <= set(names)
    for name in names:
        spec = load_hierarchy(name)
        assert spec.name == name
        assert spec.source


def test_what_a_hierarchy_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    spec = load_hierarchy(path)
    assert spec.units == 4
    assert spec.levels_of("I") == (0, 1)
    assert spec.levels_of("W") == (1,)
    assert spec.memories[1].port_index("O.below", reads=False) == 1


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tpu_like'"):
        load_hierarchy("tpu_lke")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("size: 4", "size: 0", 3, "at least 1"),
        ("per: [D1]", "per: [D2]", 8, "'D2' is no axis; there are D1"),
        ("holds: [I, W, O]", "holds: [I, O]", 13, "the outermost level has to hold W"),
        ("kind: read_write", "kind: read", 11, "no write port serves I.above of near"),
        ("bits: 8}]\n  - name: far", "bits: 8, min_bits: 16}]\n  - name: far", 11, "are more than"),
        ("name: far", "name: near", 12, "taken by a level before"),
        ("holds: [I, O]", "holds: [I, O, X]", 6, "X"),
        ("read_pj: 1", "read_pj: -1", 9, "at least 0"),
        ("size_bits: 64", "size_bit: 64", 7, "size_bits"),
    ],
)
def test_mistakes_have_their_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SpecError) as error:
        load_hierarchy(path)
    assert f"mine.yaml:{line}:" in str(error.value)
    assert words in str(error.value)


def test_a_level_above_is_not_repeated_more_often(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        GOOD.replace("    per: [D1]\n", "").replace("  - name: far", "  - name: far\n    per: [D1]")
    )
    with pytest.raises(SpecError, match="far is repeated along D1, where near below it is shared"):
        load_hierarchy(path)
