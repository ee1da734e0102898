"""``accelsim replay mapping``: what it prints, and what it says of files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.mapping import store
from tests.support import Cli

BY_HAND = """\
layer: {name: small, sizes: {B: 16, K: 32, C: 64}, bits: {O: 8}}
hierarchy: tpu_like_per_bit
mapping:
  spatial: {D1: K 32, D2: C 32}
  loops: [C 2, B 16]
  keep: {W: {rf_128B: 2}, O: {rf_2B: 1, sram_2MB: 2}, I: {sram_2MB: 2}}
"""
STRINGS = """\
layer: {sizes: {B: 4, K: 32, C: 32}}
hierarchy: tpu_like
mapping:
  spatial_mapping: "[(K, 32.0), (C, 32.0)]"
  temporal_mapping: "{O: [[], [(B, 4)], []], W: [[(B, 4)], []], I: [[(B, 4)], []]}"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    store.forget()


def write(text: str) -> None:
    Path("case.yaml").write_text(text)


def test_a_mapping_by_hand(cli: Cli) -> None:
    write(BY_HAND)
    outcome = cli("replay", "mapping", "case.yaml")
    assert outcome.code == 0
    assert "small: B=16 K=32 C=64, 32,768 MACs on tpu_like_per_bit" in outcome.out
    for words in ("rf_128B", "busiest port (dram)", "best energy: within 0 % of the bound"):
        assert words in outcome.out
    assert "the given mapping takes +" in outcome.out


def test_json_alone(cli: Cli) -> None:
    write(BY_HAND)
    outcome = cli("replay", "mapping", "case.yaml", "--json", "--pareto", "--objective", "edp")
    data = json.loads(outcome.out)
    given, best = data["mapping"], data["search"]
    assert best["gap"] == 0.0 and best["objective"] == "edp"
    assert best["energy_pj"] <= given["energy_pj"]
    assert given["latency_cycles"] >= data["roofline_cycles"]
    assert data["pareto"]
    parts = given["mac_energy_pj"] + sum(level["energy_pj"] for level in given["levels"])
    assert parts == pytest.approx(given["energy_pj"], rel=1e-12)
    assert cli(
        "replay", "mapping", "case.yaml", "--json", "--pareto", "--objective", "edp"
    ).out == (outcome.out)


def test_strings_of_another_tool(cli: Cli) -> None:
    write(STRINGS)
    outcome = cli("replay", "mapping", "case.yaml")
    assert outcome.code == 0
    assert "energy as zigzag counts:" in outcome.out


def test_another_hierarchy(cli: Cli) -> None:
    write("layer: {sizes: {B: 4, K: 32, C: 32}}\n")
    outcome = cli("replay", "mapping", "case.yaml", "--hierarchy", "eyeriss_like")
    assert outcome.code == 0
    assert "sram_64KB" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hierarchy", "tpu_lke"], "unknown hierarchy 'tpu_lke' (did you mean 'tpu_like'"),
        (["--objective", "power"], "unknown objective 'power'"),
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str], words: str) -> None:
    write(BY_HAND)
    outcome = cli("replay", "mapping", "case.yaml", *arguments)
    assert outcome.code == 2
    assert words in outcome.err


def test_a_file_that_is_wrong(cli: Cli) -> None:
    write(BY_HAND.replace("C 2,", "C two, C 2,").replace("I: {sram_2MB: 2}", "I: {sram_2MB: 9}"))
    outcome = cli("replay", "mapping", "case.yaml")
    assert outcome.code == 2
    lines = outcome.err.strip().splitlines()[-2:]
    assert lines[0].startswith("case.yaml:5:11: mapping.loops.0: found 'C two'")
    assert lines[1].startswith("case.yaml:6:")
    assert cli("replay", "mapping", "none.yaml").code == 2


def test_what_fits_nowhere(cli: Cli) -> None:
    write(
        "layer: {sizes: {B: 4, K: 4, C: 4}}\n"
        "hierarchy:\n"
        "  name: tiny\n  mac_pj: 1\n  axes: [{name: D1, size: 1}]\n"
        "  memories:\n"
        "    - {name: near, holds: [I, O], size_bits: 16, read_pj: 1, write_pj: 1,\n"
        "       ports: [{kind: read_write, bits: 8}]}\n"
        "    - {name: far, holds: [I, W, O], read_pj: 1, write_pj: 1,\n"
        "       ports: [{kind: read_write, bits: 8}]}\n"
    )
    outcome = cli("replay", "mapping", "case.yaml")
    assert outcome.code == 2
    assert "case.yaml:1:1: layer: nothing fits: the smallest tiles of I and O are 1 bytes over" in (
        outcome.err
    )
