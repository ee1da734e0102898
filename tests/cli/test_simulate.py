"""``accelsim simulate`` as a user sees it: the screen, the JSON, the folder, and its mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import Cli

SMALL = ("edge_npu", "bert-base", "--seq-len", "32")


def test_no_argument_runs_a_shipped_model_and_says_what_limits_it(cli: Cli) -> None:
    found = cli("simulate")
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    assert lines[0].startswith("tiny in w8a8_int8 on edge_npu: prefill, batch 1, seq-len 512")
    assert lines[1].startswith("Limited by ")
    assert "of peak compute" in lines[1]
    for words in (
        "tokens/s", "energy per token", "area", "bound by", "mlp.up_proj.linear",
        "SQNR quant.", "arith.", "propag.", "exact match", "measured", "paired", "level 4",
    ):  # fmt: skip
        assert words in found.out
    assert "unvalidated" in found.out


def test_json_is_alone_on_stdout_and_stable(cli: Cli) -> None:
    first, second = cli("simulate", *SMALL, "--json"), cli("simulate", *SMALL, "--json")
    assert first.code == 0
    assert first.out == second.out
    run = json.loads(first.out)
    assert (run["arch"], run["model"], run["recipe"]) == ("edge_npu", "bert-base", "bf16")
    assert run["totals"]["cycles"] == sum(layer["cycles"] for layer in run["layers"])


def test_the_folder_holds_everything_and_the_same_bytes(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    found = cli("simulate", *SMALL, "-o", str(folder), "--json")
    assert found.code == 0, found.err
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "run.json", "layers.csv", "report.html", "timeline.perfetto-trace", "provenance.json",
        "plots",
    }  # fmt: skip
    assert (folder / "run.json").read_text(encoding="utf-8") == found.out
    run = json.loads(found.out)
    rows = (folder / "layers.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len(run["layers"])
    made = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert {"command", "accelsim", "wall_s"} <= set(made)
    for word in ("wall", "hostname", str(tmp_path)):
        assert word not in found.out


def test_overrides_change_the_chip(cli: Cli) -> None:
    plain = json.loads(cli("simulate", *SMALL, "--json").out)
    more = ("--set", "dram.bandwidth_bytes_per_s=200 GB/s")
    faster = json.loads(cli("simulate", *SMALL, *more, "--json").out)
    assert faster["totals"]["seconds"] < plain["totals"]["seconds"]
    assert faster["id"] != plain["id"]


def test_both_fidelities_and_both_phases(cli: Cli) -> None:
    small = ("edge_npu", "llama-3-8b", "--recipe", "w4a8_int4_g32", "--seq-len", "16", "--json")
    prefill = json.loads(cli("simulate", *small, "--fidelity", "analytical").out)
    decode = json.loads(cli("simulate", *small, "--phase", "decode").out)
    assert (prefill["fidelity"], prefill["phase"]) == ("analytical", "prefill")
    assert (decode["fidelity"], decode["phase"]) == ("tile", "decode")
    assert decode["sizes"]["context_len"] == 16
    assert decode["totals"]["macs"] < prefill["totals"]["macs"]


MISTAKES = {
    ("edge_npuu",): "unknown chip 'edge_npuu' (did you mean 'edge_npu'?",
    ("edge_npu", "bert-bse"): "unknown model 'bert-bse' (did you mean 'bert-base'?",
    ("edge_npu", "bert-base", "--recipe", "bf61"): "unknown recipe 'bf61' (did you mean 'bf16'?",
    ("edge_npu", "bert-base", "--phase", "decod"): "unknown phase 'decod' (did you mean 'decode'?",
    ("edge_npu", "bert-base", "--phase", "decode"): "bert-base",
    ("edge_npu", "bert-base", "--fidelity", "cycles"): "unknown fidelity 'cycles'",
    ("edge_npu", "bert-base", "--logits", "some"): "unknown choice of logits 'some'",
    ("edge_npu", "bert-base", "--set", "dram.bandwith=1"): "--set dram.bandwith=1",
    ("edge_npu", "no/such/folder"): "no/such/folder: no such file or folder",
    ("tpu_v4", "bert-base", "--recipe", "w4a4_int4_g32"): "tpu_v4 does not build int4 x int4",
    ("edge_npu", "llama-3-8b", "--set", "dram.size_bytes=4 GiB"): "do not fit the DRAM of edge_npu",
    ("edge_npu", "bert-base", "--set", "memories.0.size_bytes=64"): "bytes over",
}  # fmt: skip


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_mistakes_are_one_clear_message(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    found = cli("simulate", *arguments, "-o", str(tmp_path / "run"))
    assert found.code == 2
    assert MISTAKES[arguments] in found.err
    assert "Traceback" not in found.err
    assert found.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_before_the_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = cli("simulate", *SMALL, "-o", str(tmp_path / "file" / "run"))
    assert found.code == 2
    assert str(tmp_path / "file") in found.err
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep me", encoding="utf-8")
    found = cli("simulate", *SMALL, "-o", str(mine))
    assert found.code == 2
    assert (mine / "notes.txt").read_text(encoding="utf-8") == "keep me"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A file-size limit of the process stands for a full disk: writes fail half-way."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from accelsim import api; api.simulate('edge_npu', 'bert-base');"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from accelsim.cli.app import main; main(sys.argv[1:])"
    )
    folder = tmp_path / "run"
    done = _python("-c", code, "simulate", *SMALL, "-o", str(folder))
    assert done.returncode == 2, done.stderr
    assert str(folder) in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupting_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("-m", "accelsim", "simulate", "edge_npu", "llama-3-8b", "-o", str(folder))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=_listen,
    ) as child:  # fmt: skip
        _wait_for(Path(f"/proc/{child.pid}/maps"), "llvmlite")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def _wait_for(maps: Path, library: str) -> None:
    """Wait until a process has loaded a library: by then it runs accelsim, and for a while yet."""
    for _ in range(2000):
        if library in maps.read_text(encoding="utf-8"):
            return
        time.sleep(0.01)
    pytest.fail(f"{library} was not loaded")


def _listen() -> None:
    """Undo what a background shell does to its children: they would not hear Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *arguments], env=env, check=False, capture_output=True, text=True
    )


def test_ctrl_c_inside_a_kernel_is_an_interrupt(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba answers Ctrl-C inside compiled code with an error of its own."""

    def broken(*arguments: object, **options: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise SystemError("returned a result with an exception set") from interrupt

    monkeypatch.setattr("accelsim.api.simulate", broken)
    found = cli("simulate", *SMALL)
    assert (found.code, found.err.splitlines()[-1]) == (130, "interrupted")


def test_a_full_or_closed_stdout_is_no_defect() -> None:
    code = "import sys; from accelsim.cli.app import main; main(sys.argv[1:])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "specs", "ls"], env=env, check=False, stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert "standard output cannot be written" in done.stderr
    pipe = f"{sys.executable} -c '{code}' simulate {' '.join(SMALL)} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], env=env, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bert-base")


def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers() -> None:
    from accelsim.cli.console import _kept

    headers = ["layer", "count", "shape", "cycles", "energy"]
    row = [
        "model.layers.*.mlp.down_proj.linear",
        "32",
        "m=512 n=4096 k=14336",
        "236,560,368",
        "1 J",
    ]
    assert _kept(headers, [row], 200, ("energy", "shape")) == [0, 1, 2, 3, 4]
    assert _kept(headers, [row], 60, ("energy", "shape")) == [0, 1, 3]
