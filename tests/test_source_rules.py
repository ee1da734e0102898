"""Rules of the sources that no linter knows. Each one says which lines break it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT

MAX_FILE_LINES = 500
MAX_BODY_LINES = 80
MAX_KERNEL_ARGUMENTS = 10

CODE = sorted([*ROOT.glob("accelsim/**/*.py"), *ROOT.glob("kernels/**/*.py")])
TESTS = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")])
TEXTS = sorted(
    path
    for pattern in ("*.*", "Makefile", ".ci/*", "accelsim/**/*.*", "kernels/**/*.*", "tests/**/*.*",
                    "arch_specs/*.*", "docs/**/*.*", "benchmarks/**/*.*")
    for path in ROOT.glob(pattern)
    if path.suffix in (".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".j2", ".json", "")
    and path.is_file() and "__pycache__" not in path.parts
)  # fmt: skip

COMPILERS = ("jit", "njit", "vectorize", "guvectorize", "generated_jit")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(tree(path))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in nodes(path) if isinstance(node, Function))


def name_of(node: ast.AST) -> str:
    """Return ``njit`` for ``njit``, ``numba.njit`` and ``numba.njit(...)``."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return getattr(node, "attr", getattr(node, "id", ""))


def body_lines(function: Function) -> int:
    """Count the lines of a function's body without its docstring."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def breaks(paths: list[Path], rule: Callable[[Path], Iterator[int]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in rule(path)]


def fastmath(path: Path) -> Iterator[int]:
    for node in nodes(path):
        if isinstance(node, ast.keyword) and node.arg == "fastmath":
            yield node.value.lineno


def compiled_without_cache_choice(path: Path) -> Iterator[int]:
    for node in nodes(path):
        if (
            isinstance(node, ast.Call)
            and not isinstance(node.func, ast.Call)
            and name_of(node.func) in COMPILERS
        ):
            if "cache" not in {keyword.arg for keyword in node.keywords}:
                yield node.lineno
        elif isinstance(node, Function):
            bare = [d for d in node.decorator_list if not isinstance(d, ast.Call)]
            yield from (d.lineno for d in bare if name_of(d) in COMPILERS)


def prints(path: Path) -> Iterator[int]:
    for node in nodes(path):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ):
            yield node.lineno


def long_bodies(path: Path) -> Iterator[int]:
    return (f.lineno for f in functions(path) if body_lines(f) > MAX_BODY_LINES)


def many_arguments(path: Path) -> Iterator[int]:
    for function in functions(path):
        arguments = function.args
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        if len(listed) > MAX_KERNEL_ARGUMENTS:
            yield function.lineno


def test_fast_math_is_never_used() -> None:
    assert breaks(CODE + TESTS, fastmath) == []


def test_every_compiled_function_chooses_its_cache() -> None:
    assert breaks(CODE, compiled_without_cache_choice) == []


def test_only_the_console_prints() -> None:
    quiet = [path for path in CODE if path != ROOT / "accelsim" / "cli" / "console.py"]
    assert breaks(quiet, prints) == []


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lines = {path.relative_to(ROOT): path.read_text().count("\n") for path in CODE + TESTS}
    assert {path: n for path, n in lines.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    assert breaks(CODE + TESTS, long_bodies) == []


def test_kernels_take_few_arguments() -> None:
    cores = [path for path in CODE if "_core" in path.parts or "kernels" in path.parts]
    assert breaks(cores, many_arguments) == []


def test_the_rules_find_what_breaks_them(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    long = "\n".join(f"    x = {n}" for n in range(MAX_BODY_LINES + 1))
    names = ", ".join(f"a{n}" for n in range(MAX_KERNEL_ARGUMENTS + 1))
    bad.write_text(
        "@njit\ndef a(): ...\n@numba.njit(fastmath=True)\ndef b(): print(1)\n"
        f"def c({names}):\n    '''Say.'''\n{long}\n"
    )
    assert list(fastmath(bad)) == [3]
    assert list(compiled_without_cache_choice(bad)) == [1, 3]
    assert list(prints(bad)) == [4]
    assert list(long_bodies(bad)) == list(many_arguments(bad)) == [5]


# Spelled in pieces, so that this file does not break its own rule.
HOSTS = "|".join(("py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.", "debian" + r"\.org",
                  "download\\.py" + "torch"))  # fmt: skip
PLACES = r"(?<![\w.~-])/(" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers")) + ")/"


@pytest.mark.parametrize("words", [HOSTS, PLACES], ids=["registries", "machines"])
def test_nothing_names_a_registry_or_a_machine(words: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(words, line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("words", "line", "found"),
    [
        (HOSTS, "pip install -i https://py" + "pi.org/simple", True),
        (HOSTS, "deb http://deb.debian" + ".org/debian", True),
        (HOSTS, "pip install accelsim", False),
        (PLACES, "open('/ho" + "me/ann/x')", True),
        (PLACES, "framework/root/notes", False),
    ],
)
def test_the_search_for_names_finds_them(words: str, line: str, found: bool) -> None:
    assert bool(re.search(words, line)) == found
