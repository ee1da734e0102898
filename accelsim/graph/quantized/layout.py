"""What every layout of a checkpoint says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.raw import FORMAT_OF, Raw, numbers
from accelsim.graph.quantized.scheme import Scheme

Array = npt.NDArray[Any]
#: Tensors of one module by their local names, and their sizes.
Parts = Mapping[str, Raw]
Sizes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """How a file keeps the weight of a module.

    Attributes:
        needed: local names of its tensors.
        optional: those that some schemes have.
        read: codes and scales from them; the first argument is the module's name, for messages.
        shape: of the weight, ``[n, k]``, from their sizes; () where only their values tell.
        write: them from codes and scales; None: the layout is only read.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[str, Parts, Scheme], CodedWeight]
    shape: Callable[[Sizes, Scheme], tuple[int, ...]]
    write: Callable[[str, CodedWeight], dict[str, Raw]] | None = None


def integers(name: str, raw: Raw, kinds: tuple[str, ...]) -> Array:
    """Return codes or whole numbers of a type.

    Raises:
        CheckpointError: they are of another type.
    """
    if raw.kind not in kinds:
        raise CheckpointError(f"{name}: is stored as {raw.kind}; {' or '.join(kinds)} is needed")
    return raw.values


def matrix(name: str, values: Array) -> Array:
    """Return scales of a tensor, [] or [1], and of channels, [n], as ``[row blocks, groups]``.

    Raises:
        CheckpointError: they have more than two dimensions.
    """
    if values.ndim > 2:
        raise CheckpointError(f"{name}: is {list(values.shape)}; a vector or matrix is needed")
    return values.reshape(1, 1) if values.ndim == 0 else values.reshape(len(values), -1)


def scales_of(module: str, parts: Parts, local: str) -> tuple[Array, str]:
    """Return scales as float32 ``[row blocks, groups]``, and their format.

    Raises:
        CheckpointError: a type that holds no scales.
    """
    raw, name = parts[local], f"{module}.{local}"
    found = matrix(name, numbers(name, raw))
    return np.ascontiguousarray(found), FORMAT_OF[raw.kind]


def exponents_of(module: str, parts: Parts, local: str) -> Array:
    """Return powers of two, bytes of E8M0 whichever type they are given, as ``scales_of``.

    Raises:
        CheckpointError: another type.
    """
    name = f"{module}.{local}"
    codes = integers(name, parts[local], ("U8", "F8_E8M0"))
    return matrix(name, numbers(name, Raw("F8_E8M0", codes)))
