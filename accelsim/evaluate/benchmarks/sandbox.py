"""Programs that a model wrote, each run in a process of its own within limits.

What holds on a machine depends on its kernel and on the user; ``Sandbox.protections`` says it, and
it stands in the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from accelsim.errors import InputError, RunError

Outcome = Literal["passed", "failed", "timed out"]

_CHILD = Path(__file__).with_name("sandbox_child.py")
#: What solutions of puzzles import; if these cannot be, no score would mean anything.
_HONEST = """
import bisect, collections, copy, functools, hashlib, heapq, itertools, math, operator, random, re
import string, sys, typing
with open("scratch", "w") as file:
    file.write("kept")
assert open("scratch").read() == "kept" and hashlib.md5(b"").hexdigest().startswith("d41d8")
"""
_LONGEST_ANSWER = 4096


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Attributes:
        cpu_seconds: processor time; what HumanEval's own scorer gives as wall time.
        wall_seconds: wall time, for programs that wait.
        memory_bytes: address space.
        file_bytes: size of each file that it writes.
    """

    cpu_seconds: int = 3
    wall_seconds: float = 15.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 1 << 20


class Sandbox:
    """Runs programs one after the other.

    Args:
        limits: of each program.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    @cached_property
    def protections(self) -> Mapping[str, str]:
        """What holds on this machine: network, user and files; an honest program was run for it.

        Raises:
            InputError: no such process can be started here.
            RunError: an honest program fails.
        """
        if os.name != "posix":
            raise InputError(f"programs are run on POSIX systems only, this is {sys.platform}")
        outcome, said = self._run(_HONEST)
        if outcome != "passed":
            raise RunError(
                f"programs cannot be run here: one that only imports the standard library "
                f"{outcome} (protections: {said or 'none were reached'})"
            )
        held: Mapping[str, str] = json.loads(said)
        return held

    def run(self, program: str) -> Outcome:
        """Run a program to its end.

        Returns:
            ``passed`` if it came to its end; ``failed`` if it raised, was killed by a limit, or
            left before; ``timed out`` if it did not end in time.
        """
        return self._run(program)[0]

    def _run(self, program: str) -> tuple[Outcome, str]:
        word = secrets.token_hex(16)
        limits = {key: value for key, value in asdict(self.limits).items() if key != "wall_seconds"}
        asked = json.dumps({"program": program, "word": word, "limits": limits}).encode()
        with tempfile.TemporaryDirectory(prefix="accelsim-program-") as folder:
            os.chmod(folder, 0o777)  # the program may run as another user
            read, write = os.pipe()
            with os.fdopen(read, "rb") as answers:
                late = self._wait(folder, write, asked)
                said = answers.read(_LONGEST_ANSWER).decode(errors="replace")
        held, _, end = said.partition("\n")
        if end == word:
            return "passed", held
        return ("timed out" if late else "failed"), held

    def _wait(self, folder: str, pipe: int, asked: bytes) -> bool:
        """Run the child to its end or to the end of its time; say whether the time was over."""
        try:
            child = subprocess.Popen(
                # Isolated from the environment, writing no compiled files.
                [sys.executable, "-I", "-B", str(_CHILD), str(pipe)],
                cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(pipe,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(pipe)
        try:
            child.communicate(asked, timeout=self.limits.wall_seconds)
        except subprocess.TimeoutExpired:
            return True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        return child.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
