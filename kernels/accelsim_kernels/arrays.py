"""Arguments of kernels: checked, and brought into the one layout that is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def array(name: str, value: npt.ArrayLike, dtype: Any) -> npt.NDArray[Any]:
    """Return a contiguous array of a type.

    Raises:
        ValueError: another type; numbers are never converted silently.
    """
    found = np.asarray(value)
    if found.dtype != np.dtype(dtype):
        raise ValueError(f"{name} is {found.dtype}, {np.dtype(dtype)} is needed")
    # Kernels are compiled for arrays that may be written; a copy is cheaper than a second one.
    return np.require(found, requirements=["C", "W"])


def matrix(name: str, value: npt.ArrayLike, dtype: Any) -> npt.NDArray[Any]:
    """Return a contiguous matrix of a type.

    Raises:
        ValueError: another type, or not two dimensions.
    """
    found = array(name, value, dtype)
    if found.ndim != 2:
        raise ValueError(f"{name} has the shape {found.shape}, a matrix is needed")
    return found


def vector(name: str, value: npt.ArrayLike, dtype: Any, length: int) -> npt.NDArray[Any]:
    """Return a contiguous vector of a type and length.

    Raises:
        ValueError: another type or shape.
    """
    found = array(name, value, dtype)
    if found.shape != (length,):
        raise ValueError(f"{name} has the shape {found.shape}, ({length},) is needed")
    return found
