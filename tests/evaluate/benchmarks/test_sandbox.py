"""Programs that a model wrote run within limits, whatever they try."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from accelsim.errors import RunError
from accelsim.evaluate.benchmarks import sandbox as module
from accelsim.evaluate.benchmarks.sandbox import Limits, Sandbox

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs run on POSIX systems only")


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(Limits(cpu_seconds=1, wall_seconds=6.0, memory_bytes=1 << 29))


def test_an_honest_program_comes_to_its_end(sandbox: Sandbox) -> None:
    assert sandbox.run("import math\nassert math.gcd(4, 6) == 2\nprint('said')") == "passed"
    assert set(sandbox.protections) == {"network", "user", "files"}


def test_it_writes_in_its_own_folder_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.run("open('mine', 'w').write('x')\nimport os; os.remove('mine')") == "passed"
    target = tmp_path / "theirs"
    tmp_path.chmod(0o777)
    assert sandbox.run(f"open({str(target)!r}, 'w').write('x')") == "failed"
    assert not target.exists()


@pytest.mark.parametrize(
    "program",
    [
        "assert 1 == 2",
        "def broken(",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_leaving_before_the_end_is_no_success(sandbox: Sandbox, program: str) -> None:
    assert sandbox.run(program) == "failed"


@pytest.mark.parametrize(
    ("what", "program"),
    [
        ("endless loop", "while True: pass"),
        ("waiting", "import time; time.sleep(60)"),
        ("printing without end", "while True: print('x' * 1000)"),
    ],
)
def test_time_is_limited(what: str, program: str) -> None:
    short = Sandbox(Limits(cpu_seconds=1, wall_seconds=1.5))
    assert short.run(program) == "timed out", what


@pytest.mark.parametrize(
    ("what", "program"),
    [
        ("memory", "x = [0] * 10**9"),
        (
            "a large file",
            "file = open('large', 'w')\nfor _ in range(99): file.write('x' * 100_000)",
        ),
        ("a process", "import os; os.fork()"),
        ("processes without end", "import os\nwhile True: os.fork()"),
        ("a thread", "import threading; threading.Thread(target=print).start()"),
        ("a command", "import subprocess; subprocess.run(['true'])"),
        ("a shell", "import os; os.system('true')"),
        ("a socket", "import socket; socket.socket()"),
        ("a connection", "import socket; socket.create_connection(('127.0.0.1', 9))"),
        ("foreign code", "import ctypes; ctypes.CDLL(None).getpid()"),
        ("its parent", "import os; os.kill(os.getppid(), 9)"),
        ("its limits", "import resource; resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))"),
        ("another folder", "import os; os.mkdir('../elsewhere')"),
    ],
)
def test_what_a_solution_does_not_need_is_refused(
    sandbox: Sandbox, what: str, program: str
) -> None:
    assert sandbox.run(program) == "failed", what
    # It was refused with an error that a program may catch, and nothing worse.
    indented = "\n".join(f"    {line}" for line in program.splitlines())
    caught = f"try:\n{indented}\nexcept BaseException:\n    pass\nelse:\n    1 / 0"
    assert sandbox.run(caught) == "passed"


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.remove({path!r})",
        "import os; os.truncate({path!r}, 0)",
        "import os; os.rename({path!r}, 'mine')",
        "import os; os.chmod({path!r}, 0)",
        "import os; os.symlink({path!r}, 'link'); open('link', 'w').write('x')",
        "import os; os.link({path!r}, 'link'); open('link', 'w').write('x')",
        "import shutil; shutil.rmtree({folder!r})",
        "import pathlib; pathlib.Path({path!r}).unlink()",
    ],
)
def test_files_of_others_stay_as_they_are(sandbox: Sandbox, tmp_path: Path, program: str) -> None:
    tmp_path.chmod(0o777)
    path = tmp_path / "precious"
    path.write_text("kept")
    path.chmod(0o666)
    assert sandbox.run(program.format(path=str(path), folder=str(tmp_path))) == "failed"
    assert path.read_text() == "kept"
    assert path.stat().st_mode & 0o777 == 0o666


def test_nothing_is_left_behind(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert sandbox.run("open('mine', 'w').write('x')") == "passed"
    assert list(tmp_path.iterdir()) == []


def test_the_answer_cannot_be_guessed(sandbox: Sandbox) -> None:
    program = (
        "import os\nfor pipe in range(3, 32):\n    try:\n        os.write(pipe, b'passed')\n"
        "    except OSError:\n        pass\nos._exit(0)"
    )
    assert sandbox.run(program) == "failed"


def test_a_machine_that_runs_no_programs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HONEST", "import no_such_module")
    with pytest.raises(RunError, match="programs cannot be run here"):
        _ = Sandbox().protections


@pytest.mark.parametrize("gone", ["unshare", "syscall"])
def test_without_the_kernel_python_refuses(
    gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that grants nothing: the child is made to ask for calls that fail."""
    text = module._CHILD.read_text()
    broken = {
        "unshare": ("libc.unshare(spaces) == 0", "False"),
        "syscall": ("if version < 1:", "if True:"),
    }[gone]
    assert broken[0] in text
    child = tmp_path / "child.py"
    child.write_text(text.replace(*broken))
    monkeypatch.setattr(module, "_CHILD", child)
    weaker = Sandbox(Limits(cpu_seconds=1, wall_seconds=6.0))
    assert "refused in Python" in weaker.protections.values()
    assert weaker.run("import socket; socket.socket()") == "failed"
    assert weaker.run("open('/tmp/accelsim-test-outside', 'w')") == "failed"
    assert not Path("/tmp/accelsim-test-outside").exists()
