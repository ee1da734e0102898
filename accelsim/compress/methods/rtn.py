"""Round to nearest: every weight by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim.compress.grid import Coded, Grid, Range, group_numbers, group_scales, whole_range

Float32 = npt.NDArray[np.float32]


def rtn(w: Float32, grid: Grid, span: Range = whole_range) -> Coded:
    """Return weights ``[n, k]`` as the nearest codes.

    Args:
        w: the weights, all finite.
        grid: the format.
        span: the range that codes cover.
    """
    scales = group_scales(grid, w, span)
    return grid.coded(group_numbers(grid, w, scales), scales)
