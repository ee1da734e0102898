"""``accelsim scalesim``: what a user of SCALE-Sim types, gets, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import Cli

CONFIG = """[general]
run_name = small
[architecture_presets]
ArrayHeight:    4
ArrayWidth:     3
IfmapSramSzkB:  1
FilterSramSzkB: 1
OfmapSramSzkB:  1
Dataflow : os
MemoryBanks: 1
"""
REPORTS = ["BANDWIDTH_REPORT.csv", "COMPUTE_REPORT.csv", "DETAILED_ACCESS_REPORT.csv"]


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    """Return the options for a configuration without [layout], and a topology of products."""
    (tmp_path / "chip.cfg").write_text(CONFIG)
    (tmp_path / "net.csv").write_text("Layer,M,N,K,\na,10,7,9,\nb,3,2,2,\n")
    return "-c", str(tmp_path / "chip.cfg"), "-t", str(tmp_path / "net.csv")


def test_reports_lie_in_a_folder_named_as_the_run(
    given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    done = cli("scalesim", *given, "-p", str(tmp_path / "results"))
    assert done.code == 0, done.err
    folder = tmp_path / "results" / "small"
    assert sorted(path.name for path in folder.iterdir()) == REPORTS
    # As SCALE-Sim 3.0.0 writes it.
    assert (folder / "COMPUTE_REPORT.csv").read_text().splitlines()[1].startswith(
        "0, 157, 125, 0, 42.0, 64.81481481481"
    )  # fmt: skip
    assert "2 layers, 131 cycles without stalls" in done.out
    again = cli("scalesim", *given, "-p", str(tmp_path / "results"), "--mode", "native")
    assert again.code == 0
    assert "2 layers, 133 cycles without stalls" in again.out
    assert "memory model stay empty" in again.err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["small"]


def test_without_a_folder_nothing_is_written(
    given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    assert cli("scalesim", *given, "-i", "gemm").code == 0
    assert sorted(tmp_path.iterdir()) == before


def test_keys_that_mean_nothing_are_noted(given: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "chip.cfg").write_text(CONFIG + "Colour: red\n")
    done = cli("scalesim", *given)
    assert done.code == 0
    assert f"{tmp_path}/chip.cfg:11:1: colour: not read" in done.err


def test_all_mistakes_of_a_configuration_at_once(
    given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    wrong = CONFIG.replace("Dataflow : os", "Dataflow : rs").replace("Width:     3", "Width: -3")
    wrong = wrong.replace("IfmapSramSzkB", "IfmapSramSzeB")
    (tmp_path / "chip.cfg").write_text(wrong)
    done = cli("scalesim", *given)
    assert done.code == 2
    assert done.err.replace(f"{tmp_path}/", "").splitlines() == [
        "chip.cfg:5:1: ArrayWidth: found '-3'; a whole number from 1 on is needed",
        "chip.cfg:3:1: IfmapSramSzkB: is missing in section [architecture_presets]",
        "chip.cfg:9:1: Dataflow: found 'rs'; allowed: os, ws, is",
        "chip.cfg:6:1: ifmapsramszeb: unknown key (did you mean 'IfmapSramSzkB'? known: "
        "IfmapSramSzkB)",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ArrayHeight: 4\n", "chip.cfg:1:1: not a configuration"),
        (CONFIG + "[sparsity]\nSparsitySupport: maybe\n", "SparsitySupport: found 'maybe'"),
        (
            CONFIG + "[sparsity]\nSparsitySupport: true\nOptimizedMapping: true\n",
            "chip.cfg:13:1: OptimizedMapping: found true",
        ),
        (
            CONFIG + "[run_presets]\nInterfaceBandwidth: USER\n[layout]\nIfmapCustomLayout: True\n",
            "chip.cfg:14:1: IfmapCustomLayout: found True",
        ),
        (CONFIG.replace("small", "../x"), "chip.cfg:2:1: run_name: found '../x'"),
        (CONFIG.replace("Dataflow : os", "ArrayWidth: 3"), "chip.cfg:9:1: not a configuration"),
    ],
)
def test_configurations_that_cannot_be_used(
    text: str, says: str, given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "chip.cfg").write_text(text)
    done = cli("scalesim", *given)
    assert done.code == 2
    assert says in done.err


def test_malformed_rows_are_named_with_their_lines(
    given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "net.csv").write_text("Layer,M,N,K,\na,10,7,\nb,3,two,2,\nc,0,1,1\n")
    done = cli("scalesim", *given, "-p", str(tmp_path / "results"))
    assert done.code == 2
    assert done.err.replace(f"{tmp_path}/", "").splitlines() == [
        "net.csv:2:8: K is '', a whole number from 1 on is needed",
        "net.csv:3:5: N is 'two', a whole number from 1 on is needed",
        "net.csv:4:3: M is '0', a whole number from 1 on is needed",
    ]
    assert not (tmp_path / "results").exists()


def test_folders_with_something_else_are_left_alone(
    given: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "results" / "small"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    done = cli("scalesim", *given, "-p", str(tmp_path / "results"))
    assert (done.code, "holds notes.txt" in done.err) == (2, True)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (tmp_path / "file").write_text("")
    done = cli("scalesim", *given, "-p", str(tmp_path / "file"))
    assert (done.code, "is a file" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("-i", "conv"), "its header is that of gemm, not conv"),
        (("-i", "mnk"), "unknown input 'mnk'"),
        (("--mode", "exact"), "unknown mode 'exact'"),
        (("-l", "none.csv"), "none.csv: no such file"),
    ],
)
def test_wrong_usage(more: tuple[str, ...], says: str, given: tuple[str, ...], cli: Cli) -> None:
    done = cli("scalesim", *given, *more)
    assert done.code == 2
    assert says in done.err


def test_files_that_are_not_there(given: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    for name in ("chip.cfg", "net.csv"):
        (tmp_path / name).rename(tmp_path / "away")
        done = cli("scalesim", *given)
        assert (done.code, f"{name}: cannot be read: No such file" in done.err) == (2, True)
        (tmp_path / "away").rename(tmp_path / name)


def test_a_topology_is_simulated_as_a_model(given: tuple[str, ...], cli: Cli) -> None:
    done = cli("simulate", "edge_npu", given[3], "--recipe", "w8a8_int8", "--fidelity",
               "analytical", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert '"name": "1.b"' in done.out
