"""A check of command logs that knows nothing of how they came about.

Every pair of commands is held to the timings of the data sheet, and every access to the row that
is open. Slow and plain on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.system import DramSystem

_NAMES = {
    s.ACT: "ACT", s.PRE: "PRE", s.RD: "RD", s.WR: "WR", s.RDA: "RDA", s.WRA: "WRA", s.REF: "REF",
    s.PREAB: "PREab", s.REFPB: "REFpb", s.ACT2: "ACT2", s.CAS: "CAS",
}  # fmt: skip
_BANK, _GROUP, _RANK = range(3)
_READS, _WRITES = (s.RD, s.RDA), (s.WR, s.WRA)


@dataclass
class _Bank:
    row: int = -1
    last: dict[int, int] = field(default_factory=dict)


def violations(system: DramSystem, log: npt.NDArray[Any]) -> Iterator[str]:
    """Yield a sentence for every command that comes too early or finds the wrong row.

    Args:
        system: whose timings hold.
        log: [commands, 4] int64: clock, command, bank over all channels, row.
    """
    organization = system.organization
    rules = tuple(_rules(system))
    banks = [_Bank() for _ in range(organization.channels * organization.all_banks)]
    activations: dict[int, list[int]] = {}
    for clock, command, bank, row in log.tolist():
        where = f"clock {clock}: {_NAMES[command]} to bank {bank}"
        yield from (f"{where}: {what}" for what in _state(banks[bank], command, row))
        for name, before, scope, least in _applying(rules, command):
            last = max(
                (banks[other].last.get(kind, -(10**9)) for other in _scope(system, bank, scope)
                 for kind in before),
                default=-(10**9),
            )  # fmt: skip
            if clock - last < least:
                yield f"{where}: {clock - last} clocks after {name} allows {least}"
        rank = bank // (organization.groups * organization.banks)
        if command == s.ACT:
            recent = activations.setdefault(rank, [])
            if len(recent) >= 4 and clock - recent[-4] < system.timing.tFAW:
                yield f"{where}: the fifth activation within tFAW {system.timing.tFAW}"
            recent.append(clock)
        _apply(system, banks, command, bank, row, clock)


def _applying(
    rules: tuple[Any, ...], command: int
) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    for name, before, after, scope, least in rules:
        if command in after:
            yield name, before, scope, least


def _rules(system: DramSystem) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...], int, int]]:
    """Yield name, commands before, commands after, scope and least clocks."""
    t = system.timing
    write_end = t.AL + t.CWL + t.burst
    opens, closes, column = (s.ACT,), (s.PRE,), (*_READS, *_WRITES)
    yield "tRCD", opens, _READS, _BANK, t.tRCD
    yield "tRCD", opens, _WRITES, _BANK, t.tRCDW or t.tRCD
    yield "tRP", (s.PRE, s.PREAB), opens, _BANK, t.tRP - (t.act_clocks - 1)
    yield "tRAS", opens, closes, _BANK, t.tRAS
    yield "tRC", opens, opens, _BANK, t.tRC
    yield "tRRD_S", opens, opens, _RANK, t.tRRD_S
    yield "tRRD_L", opens, opens, _GROUP, t.tRRD_L
    yield "tCCD_S", _READS, _READS, _RANK, t.tCCD_S
    yield "tCCD_L", _READS, _READS, _GROUP, t.tCCD_L
    yield "tCCD_S", _WRITES, _WRITES, _RANK, t.tCCD_S_WR or t.tCCD_S
    yield "tCCD_L", _WRITES, _WRITES, _GROUP, t.tCCD_L_WR or t.tCCD_L
    yield "tWTR_S", _WRITES, _READS, _RANK, write_end + t.tWTR_S
    yield "tWTR_L", _WRITES, _READS, _GROUP, write_end + t.tWTR_L
    yield "tRTP", _READS, closes, _BANK, t.AL + t.tRTP
    yield "tWR", _WRITES, closes, _BANK, write_end + t.tWR
    yield "burst", column, column, _RANK, t.burst
    yield "tRFC", (s.REF,), opens, _RANK, t.tRFC - (t.act_clocks - 1)
    yield "tRP", (s.PRE, s.PREAB), (s.REF,), _RANK, t.tRP


def _scope(system: DramSystem, bank: int, scope: int) -> range:
    organization = system.organization
    size = (1, organization.banks, organization.groups * organization.banks)[scope]
    first = bank // size * size
    return range(first, first + size)


def _state(bank: _Bank, command: int, row: int) -> Iterator[str]:
    if command == s.ACT and bank.row >= 0:
        yield f"row {bank.row} is still open"
    if command in (*_READS, *_WRITES) and bank.row != row:
        yield f"row {row} is wanted and row {bank.row} is open"
    if command == s.PRE and bank.row < 0:
        yield "no row is open"


def _apply(
    system: DramSystem, banks: list[_Bank], command: int, bank: int, row: int, clock: int
) -> None:
    wide = command in (s.REF, s.PREAB)
    for other in _scope(system, bank, _RANK if wide else _BANK):
        banks[other].last[command] = clock
        if command == s.ACT:
            banks[other].row = row
        elif command in (s.PRE, s.PREAB, s.RDA, s.WRA):
            banks[other].row = -1
