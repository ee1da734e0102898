"""Configuration files of SCALE-Sim: INI files, of which some sections may be missing."""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import FileError, InputError, Mistake, nearest

DATAFLOWS = ("os", "ws", "is")
#: Values of ``InterfaceBandwidth``: DRAM as fast as asked for, or as fast as the user says.
BANDWIDTHS = ("CALC", "USER")
REPRESENTATIONS = ("csr", "csc", "ellpack_block")


@dataclass(frozen=True, slots=True)
class ScaleConfig:
    """What counts of a configuration.

    Attributes:
        run_name: folder of the reports.
        rows, columns: of the array.
        dataflow: ``os``, ``ws`` or ``is``.
        ifmap_kb, filter_kb, ofmap_kb: SRAM sizes in units of 1024 words of a byte.
        bandwidth: ``CALC`` or ``USER``.
        ifmap_words, filter_words, ofmap_words: words per cycle and operand in mode USER. SCALE-Sim
            takes the first two from the layout's bank bandwidths, the last one from ``Bandwidth``.
        sparse: whether the topology's N:M ratios count.
        representation: how kept weights are stored.
        notes: keys that are not read, with their lines.
    """

    run_name: str
    rows: int
    columns: int
    dataflow: str
    ifmap_kb: int
    filter_kb: int
    ofmap_kb: int
    bandwidth: str = "CALC"
    ifmap_words: int = 10
    filter_words: int = 10
    ofmap_words: int = 10
    sparse: bool = False
    representation: str = "ellpack_block"
    notes: tuple[str, ...] = ()


def _size(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise ValueError("a whole number from 1 on is needed")
    return int(text)


def _first_size(text: str) -> int:
    return _size(text.split(",")[0].strip())


def _flag(text: str) -> bool:
    if text.lower() not in configparser.ConfigParser.BOOLEAN_STATES:
        raise ValueError("True or False is needed")
    return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"allowed: {', '.join(allowed)}")
        return text

    return read


def _name(text: str) -> str:
    if not text or "/" in text or "\\" in text or text in (".", ".."):
        raise ValueError("the name of a folder is needed")
    return text


_NEEDED = "needed"
#: Section, key, field, how it is read, and the default.
_KEYS: tuple[tuple[str, str, str, Callable[[str], Any], Any], ...] = (
    ("general", "run_name", "run_name", _name, "scale_run"),
    ("architecture_presets", "ArrayHeight", "rows", _size, _NEEDED),
    ("architecture_presets", "ArrayWidth", "columns", _size, _NEEDED),
    ("architecture_presets", "IfmapSramSzkB", "ifmap_kb", _size, _NEEDED),
    ("architecture_presets", "FilterSramSzkB", "filter_kb", _size, _NEEDED),
    ("architecture_presets", "OfmapSramSzkB", "ofmap_kb", _size, _NEEDED),
    ("architecture_presets", "Dataflow", "dataflow", _one_of(*DATAFLOWS), _NEEDED),
    ("run_presets", "InterfaceBandwidth", "bandwidth", _one_of(*BANDWIDTHS), "CALC"),
    ("layout", "IfmapSRAMBankBandwidth", "ifmap_words", _size, 10),
    ("layout", "FilterSRAMBankBandwidth", "filter_words", _size, 10),
    ("architecture_presets", "Bandwidth", "ofmap_words", _first_size, 10),
    ("sparsity", "SparsitySupport", "sparse", _flag, False),
    ("sparsity", "SparseRep", "representation", _one_of(*REPRESENTATIONS), "ellpack_block"),
)
#: Keys that SCALE-Sim knows and that no count depends on here.
_UNUSED = (
    "IfmapOffset", "FilterOffset", "OfmapOffset", "MemoryBanks", "ReadRequestBuffer",
    "WriteRequestBuffer", "UseRamulatorTrace", "TopologyCsvLoc", "LayoutCsvLoc",
    "IfmapCustomLayout", "IfmapSRAMBankNum", "IfmapSRAMBankPort", "FilterCustomLayout",
    "FilterSRAMBankNum", "FilterSRAMBankPort",
    "OptimizedMapping", "BlockSize", "RandomNumberGeneratorSeed",
)  # fmt: skip


def read_config(path: str | Path) -> ScaleConfig:
    """Read a configuration.

    Raises:
        InputError: it cannot be read.
        FileError: it is no INI file, or keys are missing, misspelt or hold something else; all of
            them with their lines.
    """
    text = _text(path)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or (getattr(error, "errors", None) or [(1, "")])[0][0]
        what = str(error).replace("\n", " ")
        raise FileError([Mistake(f"{path}:{line}:1", "", f"not a configuration: {what}")]) from None
    lines = _lines(text)
    mistakes: list[Mistake] = []
    found = _values(parser, str(path), lines, mistakes)
    notes = _unknown(parser, str(path), lines, mistakes)
    _refuse(parser, str(path), lines, mistakes)
    if mistakes:
        raise FileError(mistakes)
    return ScaleConfig(**found, notes=tuple(notes))


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(text: str) -> Mapping[tuple[str, str], int]:
    """Return the line of every key and, under the empty key, of every section."""
    found, section = {}, ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\[([^]]+)\]", line):
            section = match[1]
            found[section, ""] = number
        elif match := re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", line):
            found[section, match[1].lower()] = number
    return found


def _where(path: str, lines: Mapping[tuple[str, str], int], section: str, key: str = "") -> str:
    line = lines.get((section, key.lower()), lines.get((section, ""), 1))
    return f"{path}:{line}:1"


def _values(
    parser: configparser.ConfigParser, path: str, lines: Mapping[tuple[str, str], int],
    mistakes: list[Mistake],
) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {}
    for section, key, field, read, default in _KEYS:
        text = parser.get(section, key, fallback=None)
        if text is None:
            if default is _NEEDED:
                what = f"is missing in section [{section}]"
                mistakes.append(Mistake(_where(path, lines, section), key, what))
            else:
                found[field] = default
            continue
        try:
            found[field] = read(text.strip())
        except ValueError as error:
            what = f"found {text!r}; {error}"
            mistakes.append(Mistake(_where(path, lines, section, key), key, what))
    return found


def _unknown(
    parser: configparser.ConfigParser, path: str, lines: Mapping[tuple[str, str], int],
    mistakes: list[Mistake],
) -> list[str]:  # fmt: skip
    """Refuse keys that are misspelt; return a note for those that mean nothing here."""
    known = {key.lower(): key for key in (*(row[1] for row in _KEYS), *_UNUSED)}
    notes = []
    for section in parser.sections():
        for key in parser.options(section):
            if key in known:
                continue
            where = _where(path, lines, section, key)
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
            if close and not parser.has_option(section, close[0]):
                what = f"unknown key{nearest(known[close[0]], [known[close[0]]])}"
                mistakes.append(Mistake(where, key, what))
            else:
                notes.append(f"{where}: {key}: not read")
    return notes


#: Switches that are not modelled: section, key, the switch that they need, and why.
_REFUSED = (
    ("sparsity", "OptimizedMapping", ("sparsity", "SparsitySupport", "true"),
     "only layer-wise sparsity is counted, from the topology's N:M"),
    ("layout", "IfmapCustomLayout", ("run_presets", "InterfaceBandwidth", "user"),
     "in mode USER only the usual layout is modelled"),
    ("layout", "FilterCustomLayout", ("run_presets", "InterfaceBandwidth", "user"),
     "in mode USER only the usual layout is modelled"),
    ("run_presets", "UseRamulatorTrace", ("run_presets", "InterfaceBandwidth", "user"),
     "latencies of a Ramulator trace are not read"),
)  # fmt: skip


def _refuse(
    parser: configparser.ConfigParser, path: str, lines: Mapping[tuple[str, str], int],
    mistakes: list[Mistake],
) -> None:  # fmt: skip
    """Name switches whose effect on the counts is not modelled."""

    def value(section: str, key: str) -> str:
        return parser.get(section, key, fallback="").strip().lower()

    for section, key, (other, switch, on), why in _REFUSED:
        if value(section, key) == "true" and value(other, switch) == on:
            where = _where(path, lines, section, key)
            mistakes.append(Mistake(where, key, f"found {parser.get(section, key)}: {why}"))
