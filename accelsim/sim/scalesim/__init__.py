"""SCALE-Sim's inputs and reports: its own counts (``compatible``) or true ones (``native``)."""

from accelsim.sim.scalesim.config import ScaleConfig, read_config
from accelsim.sim.scalesim.counts import Counts, Mode, count
from accelsim.sim.scalesim.memory import Memory, memory_of
from accelsim.sim.scalesim.reports import REPORTS, ScaleReports, run

__all__ = [
    "REPORTS",
    "Counts",
    "Memory",
    "Mode",
    "ScaleConfig",
    "ScaleReports",
    "count",
    "memory_of",
    "read_config",
    "run",
]
