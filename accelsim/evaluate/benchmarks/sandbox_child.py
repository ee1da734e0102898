"""Runs one program that a model wrote, behind limits; ``sandbox`` starts it as a script of its own.

It stands on the standard library alone. It is told on stdin what to run and within which limits,
and says on a pipe which of its protections hold, and at the very end the word it was given, which
the program is not told. Limits come from the kernel where the kernel grants them; an audit hook,
which no Python code can take off again, refuses in any case what a puzzle's solution does not need.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_NOBODY = 65534
#: Landlock (Linux 5.13): system calls, all rights that change files, by the version that has them.
_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446
_CHANGE_FILES = {1: (1 << 1) | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: 1 << 14}
_NO_NEW_PRIVILEGES, _PATH_BENEATH = 38, 1
_KEEP_CAPABILITIES, _CAPABILITIES_VERSION, _READ_ALL = 8, 0x20080522, 1 << 2

#: Events of the audit hook that are refused; a dot at the end stands for all that begin so.
_REFUSED = (
    "socket.", "subprocess.", "ctypes.", "pty.", "os.system", "os.exec", "os.posix_spawn",
    "os.spawn", "os.startfile", "os.fork", "os.kill", "signal.pthread_kill", "resource.",
    "syslog.", "mmap.", "webbrowser.", "urllib.", "ftplib.", "smtplib.", "os.setxattr", "os.chown",
    "os.removexattr",
)  # fmt: skip
#: Events that name the path of something that is changed, and how many of their arguments do.
_CHANGES = {
    "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
    "os.truncate": 1, "os.chmod": 1, "os.utime": 1, "os.chdir": 1, "shutil.rmtree": 1,
    "shutil.move": 2,
}  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _network(libc: Any) -> str:
    """Enter a network without interfaces, as root or in a name space of users."""
    spaces = _NEW_NETWORK if os.geteuid() == 0 else _NEW_NETWORK | _NEW_USER
    return "none (name space)" if libc.unshare(spaces) == 0 else "refused in Python"


def _user(libc: Any) -> str:
    """Become nobody: limits of processes do not bind root, and its files are out of reach.

    Where Python itself lies in root's own folders, nobody keeps the right to read, and only that.
    """
    if os.geteuid() != 0:
        return "same user"
    try:
        libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return "root"
    kept = 0 if os.access(os.__file__, os.R_OK) else _READ_ALL
    head = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    # Effective, permitted and inheritable, the low halves first.
    libc.capset(ctypes.byref(head), ctypes.byref((ctypes.c_uint32 * 6)(kept, kept)))
    return "nobody, reading all files" if kept else "nobody"


def _files(libc: Any, folder: str) -> str:
    """Let the kernel refuse changes of files outside a folder."""
    version = libc.syscall(_CREATE_RULES, None, 0, 1)
    if version < 1:
        return "refused in Python"
    rights = sum(bits for since, bits in _CHANGE_FILES.items() if since <= version)
    handled = ctypes.c_uint64(rights)
    rules = libc.syscall(_CREATE_RULES, ctypes.byref(handled), 8, 0)
    place = os.open(folder, os.O_PATH)
    rule = (ctypes.c_char * 12).from_buffer_copy(
        rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
    )
    refused = (
        rules < 0
        or libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(rule), 0)
        or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        or libc.syscall(_RESTRICT, rules, 0)
    )
    os.close(place)
    return "refused in Python" if refused else "own folder (Landlock)"


def _limits(limits: dict[str, int]) -> None:
    for name, most in (
        ("RLIMIT_AS", limits["memory_bytes"]),
        ("RLIMIT_FSIZE", limits["file_bytes"]),
        ("RLIMIT_CPU", limits["cpu_seconds"]),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 32),
        ("RLIMIT_CORE", 0),
    ):
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (allowed, allowed))


def _guard(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return the audit hook: files are changed in one folder, and nothing else is touched."""
    inside, real, dirname, join = folder + os.sep, os.path.realpath, os.path.dirname, os.path.join
    basename, fsdecode, writes = os.path.basename, os.fsdecode, _WRITES

    def allowed(path: Any) -> bool:
        if isinstance(path, int):  # a descriptor that is open already
            return True
        name = fsdecode(path)
        # The last part may be a link that is removed or renamed; what it points to is not touched.
        whole = join(real(dirname(name) or "."), basename(name))
        return (whole + "/").startswith(inside) and (real(name) + "/").startswith(inside)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            if (given[2] or 0) & writes and not allowed(given[0]):
                raise PermissionError(f"{given[0]!r}: files are written in the own folder only")
        elif event in _CHANGES:
            if not all(allowed(path) for path in given[: _CHANGES[event]]):
                raise PermissionError(f"{event}: files are changed in the own folder only")
        elif event.startswith(_REFUSED):
            raise PermissionError(f"{event} is refused here")

    return hook


def main() -> None:
    """Read what to run, protect, run it, and say so."""
    pipe = int(sys.argv[1])
    asked = json.loads(sys.stdin.buffer.read())
    folder = os.path.realpath(".")
    libc = ctypes.CDLL(None, use_errno=True)
    held = {"network": _network(libc), "user": _user(libc), "files": _files(libc, folder)}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.write(pipe, (json.dumps(held) + "\n").encode())
    program, word = asked["program"], asked["word"].encode()
    _limits(asked["limits"])
    sys.addaudithook(_guard(folder))
    sys.argv = [""]
    del asked
    exec(compile(program, "<program>", "exec"), {})  # what all of this is for
    os.write(pipe, word)


if __name__ == "__main__":
    main()
