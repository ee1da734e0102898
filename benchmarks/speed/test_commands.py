"""Commands as a user runs them: cold processes, compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.speed.conftest import Table

Run = Callable[[Sequence[str]], tuple[float, float]]

_SIMULATE = (
    "-m", "accelsim", "simulate", "cloud_npu", "llama-3-8b", "--phase", "prefill",
    "--seq-len", "2048",
)  # fmt: skip
_RECORD = """
from transformers import LlamaConfig
from accelsim.graph.record_hf import record_hf
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo.configs import config_of
record_hf(config_of("llama-3-8b"), GraphRequest(seq_len=2048))
"""


def test_help(table: Table, run_python: Run) -> None:
    seconds, _ = run_python(("-m", "accelsim", "--help"))
    limit, _ = run_python(("-c", "import typer, rich.console"))
    table.add("accelsim --help", seconds, 1.0, limit, "s")


def test_simulate(table: Table, run_python: Run) -> None:
    run_python(_SIMULATE)  # compiles
    seconds, megabytes = run_python(_SIMULATE)
    limit, floor = run_python(("-c", "import numba, pydantic, yaml, typer, rich.console"))
    table.add("simulate llama-3-8b prefill 2048 on cloud_npu, cold", seconds, 3.0, limit, "s")
    table.add("the same, peak memory", megabytes, 600.0, floor, "MB")


def test_record(table: Table, run_python: Run) -> None:
    seconds, megabytes = run_python(("-c", _RECORD))
    limit, floor = run_python(("-c", "from transformers import LlamaForCausalLM"))
    table.add("record llama-3-8b from its config, imports included", seconds, 12.0, limit, "s")
    table.add("the same, peak memory", megabytes, 2000.0, floor, "MB")


def test_values(table: Table, run_python: Run) -> None:
    command = ("-m", "accelsim", "simulate")
    run_python(command)  # compiles
    seconds, megabytes = run_python(command)
    limit, floor = run_python(("-c", "import numba, pydantic, yaml, typer, rich.console"))
    table.add("simulate without arguments, values included, cold", seconds, 15.0, limit, "s")
    table.add("the same, peak memory", megabytes, 600.0, floor, "MB")


def test_problems(table: Table, run_python: Run) -> None:
    command = (
        "-m", "accelsim", "simulate", "edge_npu", "tiny", "--recipe", "w8a8_int8",
        "--numerics", "exact", "--problems", "2000",
    )  # fmt: skip
    seconds, _ = run_python(command)
    limit, _ = run_python(("-m", "accelsim", "simulate", "edge_npu", "tiny"))
    table.add(
        "exact match of 2,000 problems (the same run without values)", seconds, 180, limit, "s"
    )
