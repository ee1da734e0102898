"""The arithmetic of a matrix unit as data, and the named presets.

Neither numba nor numpy is imported here: a hardware description validates its arithmetic against
this table without starting a compiler. Rows stand in one file per kind of machine.
"""

from __future__ import annotations

from types import MappingProxyType

from accelsim_kernels.arithmetic import KNOBS, UNITS, Arithmetic, changed
from accelsim_kernels.preset_rows import amd, chains, integers, nvidia

__all__ = ["KNOBS", "PRESETS", "UNITS", "Arithmetic", "changed"]

_ROWS = (*integers.ROWS, *chains.ROWS, *nvidia.ROWS, *amd.ROWS)

#: Every preset by name.
PRESETS = MappingProxyType({row.name: row for row in _ROWS})
