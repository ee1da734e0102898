"""Energy of commands from the currents of a data sheet: V * mA * ns = pJ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelsim.sim.dram.replay import Counts
    from accelsim.sim.dram.system import DramSystem


@dataclass(frozen=True, slots=True)
class Currents:
    """Supply voltage in V, and currents of one device in mA by their JEDEC names.

    Attributes:
        IDD0: activation and precharge at the least interval.
        IDD2N: all banks closed.
        IDD3N: a row open.
        IDD4R: reading without pause.
        IDD4W: writing without pause.
        IDD5AB: refreshing without pause.
    """

    VDD: float
    IDD0: float
    IDD2N: float
    IDD3N: float
    IDD4R: float
    IDD4W: float
    IDD5AB: float


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy by part, in nJ.

    Attributes:
        from_currents: whether it follows from currents; if not, only ``total`` is known, with
            ``low`` and ``high`` around it.
    """

    activate: float
    read: float
    write: float
    refresh: float
    background: float
    total: float
    low: float
    high: float
    from_currents: bool


def energy_of(system: DramSystem, counts: Counts, clocks: int) -> Energy | None:
    """Return the energy of a run; None when nothing is known of it.

    Per command and device, as DRAMsim3 counts it: an activation costs what IDD0 exceeds the
    background by over tRC; a burst and a refresh what IDD4 and IDD5AB exceed IDD3N by.

    Args:
        system: the DRAM.
        counts: commands and clocks with an open row.
        clocks: of the run.
    """
    currents = system.currents
    if currents is None:
        return _per_bit(system, counts)
    t, ranks = system.timing, system.organization.ranks * system.organization.channels
    scale = currents.VDD * t.tCK * system.organization.devices * 1e-3
    over = currents.IDD0 * t.tRC - (currents.IDD3N * t.tRAS + currents.IDD2N * t.tRP)
    activate = counts.activates * over * scale
    read = counts.reads * (currents.IDD4R - currents.IDD3N) * t.burst * scale
    write = counts.writes * (currents.IDD4W - currents.IDD3N) * t.burst * scale
    refresh = counts.refreshes * (currents.IDD5AB - currents.IDD3N) * t.tRFC * scale
    idle = clocks * ranks - counts.open_clocks
    background = (counts.open_clocks * currents.IDD3N + idle * currents.IDD2N) * scale
    total = activate + read + write + refresh + background
    return Energy(activate, read, write, refresh, background, total, total, total, True)


def _per_bit(system: DramSystem, counts: Counts) -> Energy | None:
    if system.pj_per_bit is None:
        return None
    bits = 8 * system.request_bytes * (counts.reads + counts.writes)
    low, typical, high = (bits * pj * 1e-3 for pj in system.pj_per_bit)
    return Energy(0.0, 0.0, 0.0, 0.0, 0.0, typical, low, high, False)
