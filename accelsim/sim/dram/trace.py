"""Memory traces: the formats of DRAMsim3 and Ramulator as text, and words in a ``.npy`` file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from accelsim.errors import FileError, InputError, Mistake
from accelsim.jit import Ints
from accelsim.sim.dram.stream import WRITE, Words

#: What a line may call an access.
_KINDS = {"READ": 0, "WRITE": 1, "R": 0, "W": 1, "LD": 0, "ST": 1}
#: Mistakes that are named; a file of another kind would have one per line.
_SHOWN = 20
_FORMATS = "'0xADDRESS READ|WRITE [clock]' or 'R|W 0xADDRESS'"


def read_trace(path: Path, size_bytes: int) -> tuple[Words, Ints]:
    """Return the requests of a trace, and from which clock on each may be accepted.

    Text has a request per line, as DRAMsim3 (``0x1A40 READ 17``, the clock may be left out) or
    Ramulator (``R 0x1A40``) take it; empty lines and those that begin with ``#`` are skipped. A
    ``.npy`` file holds uint64 words: a byte address, with bit 63 set for a write.

    Args:
        path: the file.
        size_bytes: capacity of the DRAM, which addresses must not reach.

    Raises:
        InputError: the file cannot be read or holds no request.
        FileError: lines that are no requests, or addresses beyond the capacity.
    """
    if path.suffix == ".npy":
        return _read_words(path, size_bytes)
    text = _read_text(path)
    words: list[int] = []
    clocks: list[int] = []
    mistakes: list[Mistake] = []
    for number, parts in _lines(text):
        try:
            address, write, clock = _request(parts)
            if address >= size_bytes:
                raise ValueError(
                    f"address {address:#x} is beyond the capacity of {size_bytes:#x} bytes"
                )
            if clocks and clock < clocks[-1]:
                raise ValueError(f"clock {clock} is before that of the request above it")
        except ValueError as error:
            mistakes.append(Mistake(f"{path}:{number}:1", "", str(error)))
            if len(mistakes) == _SHOWN:
                break
            continue
        words.append(address | (WRITE if write else 0))
        clocks.append(clock)
    if mistakes:
        raise FileError(mistakes)
    if not words:
        raise InputError(f"{path}: no request in it; a line is {_FORMATS}")
    return np.array(words, np.uint64), np.array(clocks, np.int64)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if parts and not parts[0].startswith("#"):
            yield number, parts


def _request(parts: list[str]) -> tuple[int, int, int]:
    """Return address, whether it is written, and the clock of a line.

    Raises:
        ValueError: it is no request; the text says why.
    """
    first = _KINDS.get(parts[0].upper())
    if first is not None and len(parts) == 2:
        return _number(parts[1]), first, 0
    if len(parts) in (2, 3):
        kind = _KINDS.get(parts[1].upper())
        if kind is not None:
            clock = parts[2] if len(parts) == 3 else "0"
            if not clock.isdecimal() or int(clock) > 1 << 60:
                raise ValueError(f"found the clock {clock!r}; a whole number is needed")
            return _number(parts[0]), kind, int(clock)
    raise ValueError(f"found {' '.join(parts)[:60]!r}; a line is {_FORMATS}")


def _number(text: str) -> int:
    try:
        address = int(text, 0)
    except ValueError:
        raise ValueError(f"found the address {text!r}; a number such as 0x1A40 is needed") from None
    if not 0 <= address < WRITE:
        raise ValueError(f"found the address {text!r}; it must lie in 0 to 2**63 - 1")
    return address


def _read_words(path: Path, size_bytes: int) -> tuple[Words, Ints]:
    try:
        words = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: not an array of numpy") from error
    if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or words.ndim != 1:
        raise InputError(f"{path}: one dimension of uint64 is needed; address, bit 63 for a write")
    if not len(words):
        raise InputError(f"{path}: no request in it")
    beyond = np.flatnonzero((words & np.uint64(WRITE - 1)) >= np.uint64(size_bytes))
    if len(beyond):
        at = int(beyond[0])
        raise InputError(
            f"{path}: request {at}: address {int(words[at]) & (WRITE - 1):#x} is beyond the "
            f"capacity of {size_bytes:#x} bytes"
        )
    return words, np.zeros(len(words), np.int64)
