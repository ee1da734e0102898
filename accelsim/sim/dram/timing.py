"""Timings of a DRAM in clocks, and what contradicts itself among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

_MAY_BE_ZERO = ("tRTRS", "tWR", "tRTP", "tWTR_S", "tWTR_L")


@dataclass(frozen=True, slots=True)
class Timing:
    """Timings by their JEDEC names; all in clocks of the command bus but ``tCK``.

    Attributes:
        tCK: length of a clock in ns.
        burst: clocks for which a request keeps the data bus.
        tRCDW: row to write command, where it differs from tRCD; 0: it does not.
        tRPab: precharge of all banks to activation; 0: as tRP.
        tRTRS: clocks lost when another rank drives the data bus.
        tAAD: most clocks from the first half of an activation to the second; 0: it has no halves.
        tWCKPST: clocks for which the data clock runs on after an access.
        act_clocks: clocks for which an activation keeps the command bus.
        burst_long: as burst, where accesses of one bank group take longer; 0: they do not.
    """

    tCK: float
    burst: int
    CL: int
    CWL: int
    tRCD: int
    tRP: int
    tRAS: int
    tRC: int
    tRFC: int
    tREFI: int
    tRRD_S: int
    tRRD_L: int
    tFAW: int
    tCCD_S: int
    tCCD_L: int
    tWR: int
    tRTP: int
    tWTR_S: int
    tWTR_L: int
    tRTRS: int = 1
    AL: int = 0
    tRCDW: int = 0
    tRPab: int = 0
    tPPD: int = 0
    tRFCpb: int = 0
    tREFIpb: int = 0
    tCCD_S_WR: int = 0
    tCCD_L_WR: int = 0
    tAAD: int = 0
    tWCKPST: int = 0
    act_clocks: int = 1
    burst_long: int = 0

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield a timing and a sentence for everything that cannot be."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.default == 0 or field.name in _MAY_BE_ZERO else 1
            if field.name != "tCK" and value < least:
                yield field.name, f"found {value}; clocks are counted from {least}"
        if not 0 < self.tCK < 100:
            yield "tCK", f"found {self.tCK}; a clock takes between 0 and 100 ns"
        yield from self._orders()
        if self.tREFI <= self.tRFC:
            yield "tREFI", f"found {self.tREFI}; a refresh takes tRFC {self.tRFC}, so the bank " \
                "would never be free"  # fmt: skip

    def _orders(self) -> Iterator[tuple[str, str]]:
        """Yield what is shorter than something that it contains."""
        row = self.tRAS + self.tRP
        if self.tRC < row:
            why = f"a row is open for tRAS {self.tRAS} and closed for tRP {self.tRP}"
            yield "tRC", f"found {self.tRC}; {why}, so it cannot be below {row}"
        if self.tFAW < self.tRRD_S:
            why = f"four activations cannot take less than tRRD_S {self.tRRD_S}"
            yield "tFAW", f"found {self.tFAW}; {why}"
        for name in ("tRRD", "tCCD", "tWTR"):
            short, long = getattr(self, f"{name}_S"), getattr(self, f"{name}_L")
            if long < short:
                why = f"within a bank group it cannot be below {name}_S {short}"
                yield f"{name}_L", f"found {long}; {why}"
