"""From what items give to scores: standard errors, intervals, and differences of two runs, paired.

Every item gives a numerator and a denominator: 1 or 0 over 1 for a question, instructions that were
followed over those given for a prompt, the loss in nats over words for a text. A score is a
function of the ratio of their sums, whose standard error is that of the ratio estimator over items
(W. G. Cochran, Sampling Techniques, 1977, 6.3). So what belongs to one item counts as one
observation, however many instructions or words it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accelsim.evaluate.benchmarks.catalog import Kind, Metric
from accelsim.evaluate.statistics import Z, paired_difference, wilson

#: Numerator and denominator of an item.
Pair = tuple[float, float]

#: Kind of a metric → the score of a ratio, and its derivative there.
_SCORES: Mapping[Kind, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "share": (lambda ratio: ratio, lambda ratio: 1.0),
    "perplexity": (math.exp, math.exp),
    "bits": (lambda ratio: ratio / math.log(2.0), lambda ratio: 1.0 / math.log(2.0)),
}


def score(metric: Metric, items: Sequence[Pair]) -> dict[str, Any]:
    """Return a metric's value with its standard error and 95 % interval.

    Args:
        metric: what is scored.
        items: at least one.

    Returns:
        Keys of the JSON form. ``stderr`` is None for one item; a perplexity beyond the largest
        number is None, too.
    """
    ratio, residuals = _linear(items)
    spread = _spread(residuals)
    function, slope = _SCORES[metric.kind]
    value = _finite(function, ratio)
    stderr = None
    if spread is not None and value is not None:
        stderr = spread * slope(ratio)
    return {
        "metric": metric.name, "value": value, "stderr": stderr,
        "interval": _interval(metric, items, ratio, spread), "n": len(items), "tag": "measured",
        "higher_is_better": metric.higher_is_better,
    }  # fmt: skip


def paired(metric: Metric, first: Sequence[Pair], second: Sequence[Pair]) -> dict[str, Any]:
    """Return the score of ``first`` less that of ``second`` over the same items.

    Returns:
        Keys of the JSON form: both values, their difference and its 95 % interval; for
        perplexities also the ratio and its interval, which is the surer of the two.
    """
    (one, mine), (two, theirs) = _linear(first), _linear(second)
    function, slope = _SCORES[metric.kind]
    values = [_finite(function, ratio) for ratio in (one, two)]
    found: dict[str, Any] = {
        "metric": metric.name, "n": len(first), "value": values[0], "against": values[1],
        "difference": None, "stderr": None, "difference_interval": None,
        "higher_is_better": metric.higher_is_better,
    }  # fmt: skip
    if values[0] is None or values[1] is None:
        return found
    slopes = slope(one), slope(two)
    off = [slopes[0] * a - slopes[1] * b for a, b in zip(mine, theirs, strict=True)]
    spread = _spread(off)
    found["difference"], found["stderr"] = values[0] - values[1], spread
    if spread is not None:
        found["difference_interval"] = _around(found["difference"], spread)
    if _counts(first) and _counts(second):
        _, interval = paired_difference([a > 0 for a, _ in first], [a > 0 for a, _ in second])
        found["difference_interval"] = list(interval)
    if metric.kind == "perplexity":
        logs = _spread([a - b for a, b in zip(mine, theirs, strict=True)])
        found["ratio"] = _finite(math.exp, one - two)
        ends = [] if logs is None else [_finite(math.exp, end) for end in _around(one - two, logs)]
        found["ratio_interval"] = None if None in ends or not ends else ends
    return found


def estimate(
    metric: Metric, every: Mapping[str, Any], gap: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return what a score would be in exact arithmetic, from a fast run and a sample of the gap.

    The difference estimator: the score of the fast run over all items, corrected by what exact and
    fast differ in over a sample of them. Its interval is of that correction alone: over which items
    a score would vary is what the score's own interval says.

    Args:
        metric: what is scored.
        every: its score over all items, fast.
        gap: exact against fast over the sample, as ``paired`` gives it.
    """
    if metric.kind == "perplexity":
        if every["value"] is None or gap.get("ratio_interval") is None:
            return None
        value, ends = every["value"] * gap["ratio"], gap["ratio_interval"]
        ends = [every["value"] * end for end in ends]
    else:
        if gap["difference_interval"] is None:
            return None
        value = every["value"] + gap["difference"]
        ends = [every["value"] + end for end in gap["difference_interval"]]
    if metric.kind == "share":
        value, *ends = (min(1.0, max(0.0, one)) for one in (value, *ends))
    return {
        "metric": metric.name, "value": value, "gap_interval": ends, "tag": "predicted",
        "method": "fast over all items, corrected by exact less fast over the sample",
        "higher_is_better": metric.higher_is_better,
    }  # fmt: skip


def _linear(items: Sequence[Pair]) -> tuple[float, list[float]]:
    """Return the ratio of the sums, and what each item adds to its error."""
    # As lm-eval sums, so that scores are equal to the bit.
    above, below = sum(a for a, _ in items), sum(b for _, b in items)
    ratio = above / below
    return ratio, [(a - ratio * b) / below for a, b in items]


def _spread(residuals: Sequence[float]) -> float | None:
    n = len(residuals)
    if n < 2:
        return None
    return math.sqrt(math.fsum(one * one for one in residuals) * n / (n - 1))


def _finite(function: Callable[[float], float], ratio: float) -> float | None:
    try:
        value = function(ratio)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _counts(items: Sequence[Pair]) -> bool:
    return all(b == 1 and a in (0, 1) for a, b in items)


def _around(centre: float, spread: float) -> list[float]:
    return [centre - Z * spread, centre + Z * spread]


def _interval(
    metric: Metric, items: Sequence[Pair], ratio: float, spread: float | None
) -> list[float] | None:
    if metric.kind == "share" and _counts(items):
        return list(wilson(sum(a > 0 for a, _ in items), len(items)))
    if spread is None:
        return None
    function, _ = _SCORES[metric.kind]
    ends = [_finite(function, end) for end in _around(ratio, spread)]
    known = [end for end in ends if end is not None]
    if len(known) < 2:
        return None
    return [min(1.0, max(0.0, end)) for end in known] if metric.kind == "share" else known
