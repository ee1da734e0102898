"""The arithmetic of a chip: what its description says about the bits that it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accelsim.errors import InputError
from accelsim.spec.arch import ArchSpec
from accelsim_kernels.attention_arithmetic import ATTENTION_PRESETS, AttentionArithmetic
from accelsim_kernels.presets import PRESETS, Arithmetic

#: How values are computed: ``exact`` in the chip's arithmetic, ``sampled`` that on chosen tokens
#: and layers, ``fast`` in the host's floating point on the same codes.
Mode = Literal["exact", "sampled", "fast"]
MODES: tuple[Mode, ...] = ("exact", "sampled", "fast")

#: What the lanes of a vector unit do with a product that no array mode takes, and what every
#: array of the reference does.
CHAIN = "fp32_chain"
#: Lanes of the reference, which is no chip.
REFERENCE_LANES = 16


@dataclass(frozen=True)
class ChipNumerics:
    """Everything of a chip that decides bits.

    Attributes:
        name: the chip's name.
        modes: arithmetic of its arrays by format of activation and weight.
        lanes: partial sums that its vector unit keeps while it reduces a row.
        ideal: products in the host's own arithmetic, as fast as it goes.
        attention: how attention is computed.
    """

    name: str
    modes: Mapping[tuple[str, str], Arithmetic]
    lanes: int
    ideal: bool = False
    attention: AttentionArithmetic = ATTENTION_PRESETS["whole_row"]

    def arithmetic(self, activation: str, weight: str) -> Arithmetic:
        """Return the arithmetic of a product; what no array takes runs on the vector lanes.

        Raises:
            InputError: codes that only an array multiplies, on a chip whose arrays do not.
        """
        found = self.modes.get((activation, weight))
        if found is not None:
            return found
        if activation.startswith("int") or activation.startswith("fp8"):
            known = ", ".join(f"{a} x {w}" for a, w in self.modes)
            raise InputError(f"{self.name}: no mode for {activation} x {weight} (it has: {known})")
        return PRESETS[CHAIN]

    @property
    def signature(self) -> str:
        """What decides the bits of a result beside the recipe and the length of K."""
        modes = [f"{a}x{w}:{how.name}" for (a, w), how in sorted(self.modes.items())]
        return ";".join(
            [*modes, f"rows:{self.lanes}", f"attention:{self.attention.name}", f"else:{CHAIN}"]
        )


def numerics_of(arch: ArchSpec, ideal: bool = False) -> ChipNumerics:
    """Return the arithmetic of a chip.

    Raises:
        InputError: two arrays of the chip that add up one pair of formats in different ways.
    """
    modes: dict[tuple[str, str], Arithmetic] = {}
    for array in arch.arrays:
        for mode in array.modes:
            pair = (mode.activation, mode.weight)
            arithmetic = mode.how
            if modes.setdefault(pair, arithmetic) != arithmetic:
                raise InputError(
                    f"{arch.name}: arrays add up {pair[0]} x {pair[1]} in different ways "
                    f"({modes[pair].name}, {arithmetic.name}): bits would depend on the mapping"
                )
    return ChipNumerics(arch.name, modes, arch.vector.lanes, ideal, arch.attends)


def reference() -> ChipNumerics:
    """Return the arithmetic in which a checkpoint is run for comparison: FP32 throughout."""
    return ChipNumerics("reference", {}, REFERENCE_LANES)
