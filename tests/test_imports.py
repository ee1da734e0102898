"""What is imported when, and which files may import what is heavy."""

from __future__ import annotations

import ast
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

HEAVY = ("torch", "transformers", "numba", "llvmlite", "matplotlib", "scipy", "ray", "optuna")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after running some code."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_the_package_itself_imports_nothing() -> None:
    before = imported_by("")
    assert imported_by("import accelsim") - before <= {"accelsim", "importlib", "typing"} | set(
        sys.stdlib_module_names
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["specs", "--help"], ["specs", "show", "edge_npu"]]
)
def test_the_command_line_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "from accelsim.cli.app import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as stop: assert not stop.code, stop.code"
    )
    assert imported_by(code) & set(HEAVY) == set()


def test_loading_a_chip_and_naming_the_models_imports_nothing_heavy() -> None:
    code = (
        "import accelsim; accelsim.load_arch('edge_npu')\n"
        "from accelsim.graph import zoo; zoo.names()\n"
        "from accelsim.recipe.load import shipped; shipped()"
    )
    assert imported_by(code) & set(HEAVY) == set()


def test_help_takes_less_than_a_second() -> None:
    def seconds() -> float:
        # Processor time, best of three: the machine may be busy with something else.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "accelsim", "--help"]
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1.0


#: Library → files that may import it, relative to the root.
MAY_IMPORT = {
    "torch": (
        "accelsim/graph/record*.py",
        "accelsim/graph/exported.py",
        "accelsim/evaluate/benchmarks/*.py",
        "accelsim/evaluate/live.py",
        "accelsim/compress/*.py",
        "accelsim/compress/train/*.py",
        "kernels/*/torch_ops.py",
    ),
    "transformers": (
        "accelsim/graph/record*.py",
        "accelsim/graph/zoo/configs.py",
        "accelsim/evaluate/benchmarks/*.py",
        "accelsim/evaluate/live.py",
        "accelsim/compress/*.py",
        "accelsim/compress/train/*.py",
    ),
    "matplotlib": (
        "accelsim/report/plots*.py",
        "accelsim/report/plots/*.py",
        "accelsim/report/style.py",
    ),
    "rich": ("accelsim/cli/*.py",),
    "typer": ("accelsim/cli/*.py",),
    "numba": (
        "accelsim/jit.py",
        "accelsim/api.py",
        "accelsim/*/_core/*.py",
        "kernels/accelsim_kernels/**/*.py",
    ),
    "kernels": (),
    "ray": (),
}

#: All that accelsim_kernels stands on; llvmlite is the part of numba that writes machine code.
KERNELS_STAND_ON = {"accelsim_kernels", "numpy", "numba", "llvmlite", "torch"}
KERNELS_STAND_ON |= set(sys.stdlib_module_names)


def imports() -> Iterator[tuple[Path, str]]:
    """Yield every import of the sources: the file, and the top-level module."""
    for path in sorted([*ROOT.glob("accelsim/**/*.py"), *ROOT.glob("kernels/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                names = [node.module or ""]
            for name in names:
                yield path.relative_to(ROOT), name.partition(".")[0]


@pytest.mark.parametrize("library", MAY_IMPORT)
def test_who_may_import_what(library: str) -> None:
    importers = {path for path, name in imports() if name == library}
    allowed = {
        path.relative_to(ROOT) for pattern in MAY_IMPORT[library] for path in ROOT.glob(pattern)
    }
    assert importers <= allowed


def test_kernels_stand_on_numpy_and_numba_alone() -> None:
    used = {name for path, name in imports() if path.parts[0] == "kernels"}
    assert used <= KERNELS_STAND_ON
