"""How wrong values are: signal-to-noise ratios, divergence, agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.sim.ideal import softmax

Array = npt.NDArray[Any]


def sqnr_db(signal: Array, error: Array) -> float | None:
    """Return 10 log10 of the signal's energy over the error's; None without error or signal."""
    power = float(np.square(signal, dtype=np.float64).sum())
    noise = float(np.square(error, dtype=np.float64).sum())
    return None if power == 0.0 or noise == 0.0 else 10.0 * math.log10(power / noise)


def mean_db(ratios: Sequence[float | None]) -> float | None:
    """Return the ratio of the mean noise of layers whose signals weigh alike, in dB.

    None among the ratios is a layer without error; None is returned when no layer has one.
    """
    noise = sum(10.0 ** (-ratio / 10.0) for ratio in ratios if ratio is not None)
    return -10.0 * math.log10(noise / len(ratios)) if noise else None


@dataclass(frozen=True)
class Deviation:
    """How far logits are from those of the FP32 run.

    Attributes:
        sqnr_db: signal-to-noise ratio over all logits.
        max_abs_error: largest deviation of a logit.
        top1_agreement: share of the tokens whose most probable successor is the same.
        kl_divergence: mean Kullback-Leibler divergence of the next-token distribution from that
            of the FP32 run, in nats.
    """

    sqnr_db: float | None
    max_abs_error: float
    top1_agreement: float
    kl_divergence: float

    @classmethod
    def of(cls, logits: Array, truth: Array) -> Deviation:
        """Compare ``[..., vocabulary]`` logits with those of the FP32 run."""
        found, wanted = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (logits, truth))
        return cls(
            sqnr_db(wanted, found - wanted),
            float(np.abs(found - wanted).max()),
            float((found.argmax(-1) == wanted.argmax(-1)).mean()),
            float(kl_divergence(wanted, found).mean()),
        )


def kl_divergence(wanted: Array, found: Array) -> Array:
    """Return the divergence of each row's softmax from the wanted one's, in nats."""
    p, q = _log_softmax(wanted), _log_softmax(found)
    divergence: Array = (softmax(wanted) * (p - q)).sum(-1)
    return np.maximum(divergence, 0.0)  # rounding may leave a little less than nothing


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
