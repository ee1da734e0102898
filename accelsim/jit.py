"""The door to Numba for the kernels that time and map: those of ``_core``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from accelsim_kernels.jit import DOOR as VALUES
from accelsim_kernels.jit import Door
from accelsim_kernels.jit import cache_base as cache_base
from accelsim_kernels.jit import inner as inner
from accelsim_kernels.jit import part as part

#: Arrays that cross into kernels.
Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

DOOR = Door("timing", [*sorted(Path(__file__).parent.glob("**/_core/*.py")), Path(__file__)])
kernel, leaf = DOOR.kernel, DOOR.leaf


def cold(values: bool) -> bool:
    """Whether kernels have to be compiled first, which tells users why it takes long.

    Args:
        values: whether the kernels that compute values are needed too.
    """
    return DOOR.cold() or (values and VALUES.cold())
