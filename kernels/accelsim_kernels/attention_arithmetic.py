"""The arithmetic of attention as data, and the named presets.

Neither numba nor numpy is imported here: a chip's description is checked against this table
without starting a compiler. What each step does is stated in ``accelsim_kernels.attention``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

#: How e^x, or 2^x, is computed. ``attention_exponential`` holds one loop for each.
EXPONENTIALS = ("exp", "exp2", "exp2_cubic", "exp2_table", "exp2_fp16")
#: Formats in which scores leave the first product, and in which the running output is kept.
SUMS = ("fp32", "bf16", "fp16")
#: Formats of probabilities, and their largest number; ``storage``: what the call says.
PROBABILITIES = MappingProxyType(
    {
        "storage": math.inf, "fp32": math.inf, "bf16": math.inf, "fp16": 65504.0,
        "fp8_e4m3": 448.0, "fp8_e5m2": 57344.0, "int8": 127.0,
    }
)  # fmt: skip
_CHOICES = {
    "exponential": EXPONENTIALS,
    "exponent": ("difference", "folded"),
    "scores": SUMS,
    "accumulator": SUMS,
    "probabilities": tuple(PROBABILITIES),
    "order": ("ascending", "descending"),
    "sums": ("unrounded", "rounded"),
    "carry": ("continued", "added"),
    "normalize": ("division", "reciprocal"),
    "merge": ("together", "pairwise"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AttentionArithmetic:
    """How attention is computed, block by block; both products are ``fp32_chain``.

    Attributes:
        name: the preset's name.
        source: who states it.
        block: keys of a block; blocks begin at key 0. 0: the whole row is one block.
        order: in which the blocks of a split are visited.
        exponential: one of ``EXPONENTIALS``.
        exponent: ``difference``: score less maximum, then times log2 e for powers of two;
            ``folded``: one fused multiply-add of the score, with scale and log2 e in one factor.
        scores: format in which scores leave the first product.
        probabilities: format in which probabilities enter the second product.
        probability_scale: what they are multiplied by before they are rounded to it.
        sums: whether the sum of the probabilities is taken before or after they are rounded.
        rescale_above: the maximum that exponents are taken against follows the running maximum
            only where that has grown by more than this, in the exponent's unit; 0: always.
        accumulator: format to which the running output is rounded after every block.
        carry: ``continued``: the second product goes on from the rescaled output; ``added``: it
            begins at zero and is added.
        normalize: by a division, or by multiplication with the reciprocal.
        splits: parts of the keys that are attended apart and merged: each has as many whole
            blocks as the others, but for the last one.
        split_keys: keys of a part, instead of ``splits``; 0: as ``splits`` says.
        merge: all parts with the logarithm of the sum of their sums, or one after the other.

    Raises:
        ValueError: a word that is not known, or numbers that do not fit together.
    """

    name: str
    source: str
    block: int = 0
    order: str = "ascending"
    exponential: str = "exp"
    exponent: str = "difference"
    scores: str = "fp32"
    probabilities: str = "storage"
    probability_scale: float = 1.0
    sums: str = "unrounded"
    rescale_above: float = 0.0
    accumulator: str = "fp32"
    carry: str = "continued"
    normalize: str = "division"
    splits: int = 1
    split_keys: int = 0
    merge: str = "together"

    def __post_init__(self) -> None:
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f"{field} is {getattr(self, field)!r}; {', '.join(allowed)} are allowed"
                )
        if self.block < 0 or self.split_keys < 0 or self.splits < 1:
            raise ValueError(
                f"block is {self.block}, splits {self.splits}, split_keys {self.split_keys}; at "
                "least 0, 1 and 0 are needed"
            )
        if not 0.0 <= self.rescale_above <= 64.0:
            raise ValueError(f"rescale_above is {self.rescale_above}; 0 to 64 are allowed")
        if self.exponent == "folded" and self.exponential == "exp":
            raise ValueError("exponent is folded, which needs a power of two, not exp")
        self._check_scale()
        self._check_splits()

    def _check_scale(self) -> None:
        scale, largest = self.probability_scale, PROBABILITIES[self.probabilities]
        if not 0.0 < scale <= min(largest, 2.0**16):
            raise ValueError(
                f"probability_scale is {scale}; above 0 and up to {min(largest, 2.0**16):g} is "
                f"allowed for {self.probabilities}"
            )
        if self.probabilities == "int8" and scale == 1.0:
            raise ValueError("probability_scale is 1, which leaves no bits of int8; 127 is usual")

    def _check_splits(self) -> None:
        if self.splits > 1 and self.split_keys:
            raise ValueError(f"splits is {self.splits} and split_keys {self.split_keys}: give one")
        if self.splits > 1 and self.block == 0:
            raise ValueError(f"splits is {self.splits}, which needs a block: parts hold whole ones")
        if self.split_keys and (self.block == 0 or self.split_keys % self.block):
            raise ValueError(
                f"split_keys is {self.split_keys}, no multiple of block, which is {self.block}"
            )

    @property
    def splits_keys(self) -> bool:
        """Whether keys are attended in parts."""
        return self.splits > 1 or self.split_keys > 0


_FA2 = "T. Dao, FlashAttention-2 (arXiv 2307.08691) and its CUDA kernels"
_FA3 = "Shah et al., FlashAttention-3 (arXiv 2407.08608) and its CUDA kernels"
_FA4 = "FlashAttention-4: exp2 polynomial and conditional rescaling of its CuTe kernels"
_SAGE2 = "Zhang et al., SageAttention2 (arXiv 2411.10958)"
_ONLINE = "Milakov, Gimelshein, Online normalizer calculation for softmax (arXiv 1805.02867)"
_FLASH: dict[str, str] = {
    "order": "descending", "exponential": "exp2", "exponent": "folded", "normalize": "reciprocal",
}  # fmt: skip

_ROWS = (
    AttentionArithmetic("whole_row", "softmax by its definition, rounded step by step"),
    AttentionArithmetic("online_64", _ONLINE, block=64),
    AttentionArithmetic("online_128", _ONLINE, block=128),
    AttentionArithmetic("online_256", _ONLINE, block=256),
    AttentionArithmetic("flash_attention_2", _FA2, block=64, **_FLASH),
    AttentionArithmetic(
        "flash_decoding", f"{_FA2}; split KV", block=64, splits=4, **_FLASH,
    ),
    AttentionArithmetic(
        "flash_attention_3_fp8", _FA3, block=128, probabilities="fp8_e4m3",
        probability_scale=256.0, **_FLASH,
    ),
    AttentionArithmetic(
        "flash_attention_4", _FA4, block=128, rescale_above=8.0,
        **(_FLASH | {"exponential": "exp2_cubic"}),
    ),
    AttentionArithmetic(
        "sage_attention_2", _SAGE2, block=64, exponential="exp2", probabilities="fp8_e4m3",
        probability_scale=448.0, carry="added",
    ),
    AttentionArithmetic(
        "npu_table", "2^f by a table of 64 steps and linear interpolation, in 16-bit fixed point",
        block=128, exponential="exp2_table", carry="added",
    ),
    AttentionArithmetic(
        "npu_fp16", "exponent and power in binary16, as vector units of 16-bit lanes have them",
        block=128, exponential="exp2_fp16", scores="fp16", probabilities="fp16", sums="rounded",
        carry="added",
    ),
    AttentionArithmetic(
        "npu_int8", "probabilities as INT8 codes of 1/127", block=128, exponential="exp2_table",
        probabilities="int8", probability_scale=127.0, sums="rounded", carry="added",
    ),
)  # fmt: skip

#: Every preset by name.
ATTENTION_PRESETS = MappingProxyType({row.name: row for row in _ROWS})


def attention_arithmetic(given: AttentionArithmetic | str) -> AttentionArithmetic:
    """Return a preset by name, or what was given.

    Raises:
        ValueError: no preset has that name.
        TypeError: neither a name nor an arithmetic.
    """
    if isinstance(given, AttentionArithmetic):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"arithmetic is {given!r}; a preset's name or AttentionArithmetic is needed"
        )
    if given not in ATTENTION_PRESETS:
        raise ValueError(f"arithmetic is {given!r}; {', '.join(ATTENTION_PRESETS)} are allowed")
    return ATTENTION_PRESETS[given]
