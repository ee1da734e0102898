"""``accelsim replay dram``: what a user sees, and what is said about bad traces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accelsim.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["replay", "dram", *arguments])
        out, err = capsys.readouterr()
        return int(done.value.code or 0), out, err

    return call


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.trace"
    path.write_text("# a comment\n0x0 READ 0\n\n0x40 WRITE 3\n0x2000 READ 10\n")
    return path


def test_a_table(run: Run, trace: Path) -> None:
    code, out, _ = run(str(trace), "--standard", "ddr4-3200")
    assert code == 0
    for part in ("ddr4-3200, controller dramsim3", "3 (2 reads, 1 writes)", "pJ/bit", "clocks"):
        assert part in out


def test_json_is_alone_on_stdout(run: Run, trace: Path) -> None:
    code, out, _ = run(str(trace), "--standard", "lpddr5", "--profile", "ramulator2", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["requests"], found["reads"], found["profile"]) == (3, 2, "ramulator2")
    assert found["energy_nj"]["from_currents"] is False


def test_every_format_says_the_same(run: Run, tmp_path: Path) -> None:
    texts = {"a.txt": "0x40 READ\n0x80 WRITE\n", "b.txt": "R 0x40\nW 0x80\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "c.npy", np.array([0x40, 0x80 | 1 << 63], np.uint64))
    outs = {run(str(tmp_path / n), "--standard", "ddr4", "--json")[1] for n in [*texts, "c.npy"]}
    assert len(outs) == 1


def test_settings_of_the_driver_matter(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"R {64 * i:#x}\n" for i in range(50)))
    cycles = [
        json.loads(run(str(path), "--standard", "ddr4", "--json", *more)[1])["cycles"]
        for more in ([], ["--chase"], ["--interval", "100"], ["--mapping", "RoBaRaCoCh"])
    ]
    assert len(set(cycles)) == 4


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("R 0x40\nX 12\n", ":2:1: found 'X 12'"),
        ("R 0x40\nR pear\n", ":2:1: found the address 'pear'"),
        ("0x40 READ soon\n", ":1:1: found the clock 'soon'"),
        ("0x40 READ 5\n0x80 READ 4\n", ":2:1: clock 4 is before"),
        ("R 0x200000000\n", ":1:1: address 0x200000000 is beyond the capacity of 0x200000000"),
        ("R -1\n", "must lie in 0 to"),
        ("\n# nothing\n", "no request in it"),
        ("READ WRITE R W\n", ":1:1: found"),
    ],
)
def test_bad_lines_are_named(run: Run, tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "bad.trace"
    path.write_text(text)
    code, out, err = run(str(path), "--standard", "ddr4")
    assert (code, out) == (2, "")
    assert what in err and "Traceback" not in err


def test_bad_arrays_and_files(run: Run, tmp_path: Path) -> None:
    cases = {"f.npy": np.zeros(3), "e.npy": np.zeros(0, np.uint64)}
    for name, array in cases.items():
        np.save(tmp_path / name, array)
        assert run(str(tmp_path / name), "--standard", "ddr4")[0] == 2
    np.save(tmp_path / "far.npy", np.array([0, 1 << 40], np.uint64))
    assert (
        "request 1: address 0x10000000000"
        in run(str(tmp_path / "far.npy"), "--standard", "ddr4")[2]
    )
    (tmp_path / "no.npy").write_bytes(b"not an array")
    assert "not an array of numpy" in run(str(tmp_path / "no.npy"), "--standard", "ddr4")[2]
    assert run(str(tmp_path / "missing"), "--standard", "ddr4")[0] == 2


def test_unknown_names_have_suggestions(run: Run, trace: Path) -> None:
    code, _, err = run(str(trace), "--standard", "ddr4-320")
    assert code == 2 and "did you mean 'ddr4-3200'" in err
    code, _, err = run(str(trace), "--standard", "ddr4", "--mapping", "RoBaRaCoC")
    assert code == 2 and "did you mean 'RoBaRaCoCh'" in err
