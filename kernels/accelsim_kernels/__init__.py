"""Number formats and the arithmetic of matrix units, as data that descriptions refer to."""

from accelsim_kernels.formats import FORMATS, NumberFormat
from accelsim_kernels.presets import PRESETS, Arithmetic

__all__ = ["FORMATS", "PRESETS", "Arithmetic", "NumberFormat"]
