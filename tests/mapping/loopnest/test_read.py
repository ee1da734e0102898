"""The file of ``replay mapping``: what it says, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import FileError
from accelsim.mapping.loopnest.read import read_case
from accelsim.mapping.loopnest.replay import replay

GOOD = """\
layer:
  kind: gemm
  sizes: {B: 16, K: 32, C: 64}
  bits: {O: 8}
hierarchy: tpu_like_per_bit
mapping:
  spatial: {D1: K 32, D2: C 32}
  loops: [C 2, B 16]
  keep:
    W: {rf_128B: 2}
    O: {rf_2B: 1, sram_2MB: 2}
    I: {sram_2MB: 2}
"""
STRINGS = """\
layer: {sizes: {B: 4, K: 32, C: 32}}
hierarchy: tpu_like
mapping:
  spatial_mapping: "[(K, 32.0), (C, 32.0)]"
  temporal_mapping: "{O: [[], [(B, 4)], []], W: [[(B, 4)], []], I: [[(B, 4)], []]}"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "case.yaml"
    path.write_text(text)
    return path


def test_a_mapping_by_hand(tmp_path: Path) -> None:
    case = read_case(write(tmp_path, GOOD), "case.yaml")
    assert case.nest is not None
    assert case.nest.spatial == ((("K", 32),), (("C", 32),))
    assert case.nest.temporal["O"] == ((("C", 2),), (("B", 16),), ())
    assert case.nest.temporal["W"] == ((("C", 2), ("B", 16)), ())
    assert case.layer.bits == {"I": 8, "W": 8, "O": 8}


def test_strings_are_costed_both_ways(tmp_path: Path) -> None:
    found = replay(write(tmp_path, STRINGS), "case.yaml")
    assert found.given is not None and found.zigzag_pj is not None
    assert found.zigzag_pj == pytest.approx(found.given.energy_pj, rel=0.05)


def test_without_a_mapping_it_is_searched(tmp_path: Path) -> None:
    text = "".join(GOOD.partition("mapping:")[:1])
    found = replay(write(tmp_path, text), "case.yaml", objective="latency", pareto=True)
    assert found.given is None
    assert found.found.objective == "latency"
    assert found.to_dict()["mapping"] is None
    assert found.front


def test_a_hierarchy_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nmac_pj: 1\naxes: [{name: D1, size: 4}]\nmemories:\n"
        "  - {name: m, holds: [I, W, O], read_pj: 1, write_pj: 1,"
        " ports: [{kind: read_write, bits: 8}]}\n"
    )
    path = write(tmp_path, "layer: {sizes: {K: 4}}\nhierarchy: mine.yaml\n")
    assert read_case(path, str(path)).hierarchy.name == "mine"
    (tmp_path / "mine.yaml").write_text("name: mine\nmac_pj: x\n")
    with pytest.raises(FileError, match=r"mine\.yaml:2:9: mac_pj"):
        read_case(path, str(path))


def test_a_hierarchy_spelled_out(tmp_path: Path) -> None:
    text = """\
layer: {sizes: {K: 4, C: 8}}
hierarchy:
  name: mine
  mac_pj: 1
  axes: [{name: D1, size: 4}]
  memories:
    - {name: only, holds: [I, W, O], read_pj: 1, write_pj: 1, ports: [{kind: read_write, bits: 8}]}
"""
    case = read_case(write(tmp_path, text), "case.yaml")
    assert case.hierarchy.name == "mine"
    other = read_case(write(tmp_path, text), "case.yaml", "tpu_like")
    assert other.hierarchy.name == "tpu_like"
    gap = text.replace("kind: read_write", "kind: read")
    with pytest.raises(FileError, match=r"case.yaml:\d+:\d+: hierarchy.memories.0.ports: no write"):
        read_case(write(tmp_path, gap), "case.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("B: 16, K", "Bx: 16, K", 3, "Bx"),
        ("B: 16, K", "B: 0, K", 3, "1"),
        ("kind: gemm", "kind: gem", 2, "gem"),
        ("bits: {O: 8}", "bits: {O: 8, final: 16}", 4, "no more than those"),
        ("tpu_like_per_bit", "tpu_lik", 5, "did you mean 'tpu_like'"),
        ("D1: K 32", "D3: K 32", 7, "no axis 'D3'; it has D1, D2"),
        ("D1: K 32", "D1: K32x", 7, "K32x"),
        ("[C 2, B 16]", "[C 2, B x]", 8, "as in C 128"),
        ("[C 2, B 16]", "[C 2, B 8]", 6, "runs 8 iterations of B, the layer has 16"),
        ("rf_128B: 2", "rf_128B: 3", 10, "0 to 2 loops can run inside rf_128B"),
        ("rf_128B: 2", "rf: 2", 10, "rf_128B"),
        ("rf_2B: 1, sram_2MB: 2", "rf_2B: 1", 11, "how many loops of O run inside sram_2MB"),
        ("rf_2B: 1, sram_2MB: 2", "rf_2B: 2, sram_2MB: 1", 11, "2 to 2 loops"),
        ("rf_2B: 1, sram_2MB: 2", "rf_2B: 2, sram_2MB: 2", 6, "rf_2B takes 2 bytes"),
        ("keep:", "keeps:", 9, "keep"),
        ("B: 16, K", "B: 99999999999999999999, K", 3, "at most 2.1"),
        ("bits: {O: 8}", "stride: [0, 1]", 4, "at least 1"),
        ("bits: {O: 8}", "input: [8, 99999999999999999999]", 4, "at most"),
        ("bits: {O: 8}", "bits: {I: 0}", 4, "at least 1"),
    ],
)
def test_mistakes_have_their_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(FileError) as error:
        replay(write(tmp_path, GOOD.replace(old, new)), "case.yaml")
    text = str(error.value)
    assert f"case.yaml:{line}:" in text
    assert words in text


def test_mistakes_come_all_at_once(tmp_path: Path) -> None:
    bad = GOOD.replace("D1: K 32", "D9: K 32").replace("rf_128B: 2", "rf_128B: 7")
    with pytest.raises(FileError) as error:
        read_case(write(tmp_path, bad), "case.yaml")
    assert len(error.value.mistakes) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            STRINGS.replace("  temporal_mapping:", "  keep: {}\n  temporal_mappin:"),
            "temporal_mappin",
        ),
        (STRINGS + "  loops: [B 4]\n", "one of them is needed"),
        (STRINGS.replace("(K, 32.0)", "(K, x)"), "case.yaml:3:1: mapping: found"),
        ("layer: {sizes: {B: 4}}\n", "hierarchy: is missing"),
        (
            "layer: {sizes: {B: 4}}\nhierarchy: tpu_like\nmapping: {spatial: {D1: K 2}}\n",
            "loops and",
        ),
    ],
)
def test_mappings_that_are_neither(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FileError, match=words):
        read_case(write(tmp_path, text), "case.yaml")
