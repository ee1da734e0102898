"""``accelsim specs``."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from accelsim.cli import specs
from accelsim.graph import zoo
from accelsim.recipe import load as recipes
from accelsim.spec.load import load_arch, shipped
from tests.support import ROOT, Cli


def test_ls_lists_every_kind_of_name(cli: Cli) -> None:
    listed = json.loads(cli("specs", "ls", "--json").out)
    assert list(listed) == ["chips", "recipes", "models", "formats", "arithmetic"]
    assert tuple(listed["chips"]) == shipped()
    assert tuple(listed["recipes"]) == recipes.shipped()
    assert tuple(listed["models"]) == zoo.names()
    assert {"int4", "fp8_e4m3", "bf16"} <= set(listed["formats"])
    assert "int32_exact" in listed["arithmetic"]


def test_ls_shows_one_line_per_name_with_what_it_is(cli: Cli) -> None:
    outcome = cli("specs", "ls", "chips")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line for line in outcome.out.splitlines() if line.split()[0] == "chips"]
    assert len(lines) == len(shipped())
    edge = next(line for line in lines if "edge_npu" in line)
    assert load_arch("edge_npu").description in edge
    assert "int8" not in cli("specs", "ls", "recipes").out.split()


def test_ls_of_an_unknown_kind_names_the_nearest(cli: Cli) -> None:
    outcome = cli("specs", "ls", "chip")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: unknown kind 'chip' (did you mean 'chips'?")


def test_show_prints_a_file_that_is_the_chip(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("specs", "show", "edge_npu", "--set", "dma.engines=8")
    assert outcome.code == 0
    (tmp_path / "shown.yaml").write_text(outcome.out)
    assert load_arch(tmp_path / "shown.yaml") == load_arch("edge_npu", ["dma.engines=8"])
    assert "#   int8 x int8             4.1 TMAC/s" in outcome.out
    assert "#   int4 x int4             8.19 TMAC/s" in outcome.out


def test_show_merges_what_a_chip_extends(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text("extends: edge_npu\nclock_hz: 2 GHz\n")
    shown = yaml.safe_load(cli("specs", "show", str(tmp_path / "child.yaml")).out)
    assert shown["clock_hz"] == "2 GHz"
    assert shown["dram"]["standard"] == "lpddr5"
    assert "extends" not in shown


def test_show_json_has_full_numbers_and_peaks(cli: Cli) -> None:
    data = json.loads(cli("specs", "show", "edge_npu", "--json").out)
    assert data["spec"]["memories"][0]["size_bytes"] == 4 << 20
    peaks = {(p["activation"], p["weight"]): p["macs_per_s"] for p in data["peaks"]}
    assert peaks["int8", "int8"] == 4.096e12


def test_validate_says_that_a_file_is_good(cli: Cli) -> None:
    files = [str(ROOT / "arch_specs" / f"{name}.yaml") for name in shipped()]
    outcome = cli("specs", "validate", *files)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"{file}: good ({name})" for file, name in zip(files, shipped(), strict=True)
    ]


def test_validate_lists_the_mistakes_of_all_files(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("extends: edge_npu\nclock_hz: fast\ndram: {latency: 1 us}\n")
    Path("b.yaml").write_text("extends: edge_npu\nvector:\n  lanes: 0\n")
    outcome = cli("specs", "validate", "a.yaml", "edge_npu", "b.yaml", "c.yaml", "nothing")
    assert outcome.code == 2
    assert outcome.out == "edge_npu: good (edge_npu)\n"
    places = [line.split(": ")[0] for line in outcome.err.splitlines()]
    assert places == ["a.yaml:2:11", "a.yaml:3:17", "b.yaml:3:10", "c.yaml", "nothing"]


def test_schema_prints_the_schema_alone(cli: Cli) -> None:
    outcome = cli("specs", "schema")
    assert outcome.out == (ROOT / "arch_specs" / "arch.schema.json").read_text()
    assert outcome.err == ""


def test_plugins_lists_entry_points_of_other_packages(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("ring", "their.package:Ring", "accelsim.mappers")
    other = EntryPoint("x", "y:z", "console_scripts")
    package = SimpleNamespace(metadata={"Name": "their-package"}, entry_points=[point, other])
    monkeypatch.setattr(specs, "distributions", lambda: [package])
    assert json.loads(cli("specs", "plugins", "--json").out) == [
        {
            "group": "accelsim.mappers",
            "name": "ring",
            "object": "their.package:Ring",
            "package": "their-package",
        }
    ]
    assert "their.package:Ring" in cli("specs", "plugins").out
    monkeypatch.setattr(specs, "distributions", list)
    assert cli("specs", "plugins").out.startswith("no plug-ins")
