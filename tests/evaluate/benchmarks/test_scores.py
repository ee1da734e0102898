"""Standard errors, intervals and paired differences, held to simulation and to other formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelsim.evaluate.benchmarks.catalog import BENCHMARKS, NAMES, PROTOCOLS, Asked, Metric
from accelsim.evaluate.benchmarks.scores import Pair, estimate, paired, score
from accelsim.evaluate.statistics import wilson

SHARE, PERPLEXITY = Metric("acc"), Metric("perplexity", "perplexity")


def shares(*values: int) -> list[Pair]:
    return [(float(value), 1.0) for value in values]


def texts(rng: np.random.Generator, n: int, mean: float = 2.0) -> list[Pair]:
    words = rng.integers(50, 500, n)
    return [(float(w * rng.normal(mean, 0.3)), float(w)) for w in words]


def test_a_share_has_lm_evals_error_and_wilsons_interval() -> None:
    found = score(SHARE, shares(1, 0, 1, 1))
    assert found["value"] == 0.75 and found["n"] == 4 and found["tag"] == "measured"
    deviation = math.sqrt(sum((x - 0.75) ** 2 for x in (1, 0, 1, 1)) / 3)
    assert found["stderr"] == pytest.approx(deviation / 2)
    assert found["interval"] == list(wilson(3, 4))


def test_one_item_has_no_error() -> None:
    found = score(PERPLEXITY, [(2.0, 1.0)])
    assert found["value"] == math.exp(2.0)
    assert found["stderr"] is None and found["interval"] is None


def test_a_perplexity_beyond_all_numbers_is_none() -> None:
    found = score(PERPLEXITY, [(4000.0, 1.0), (4001.0, 1.0)])
    assert found["value"] is None and found["interval"] is None


def test_the_error_of_a_perplexity_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    values = [score(PERPLEXITY, texts(rng, 60)) for _ in range(800)]
    spread = np.std([one["value"] for one in values])
    assert np.mean([one["stderr"] for one in values]) == pytest.approx(spread, rel=0.1)
    inside = [one["interval"][0] <= math.exp(2.0) <= one["interval"][1] for one in values]
    assert 0.92 <= np.mean(inside) <= 0.98


def test_instructions_of_one_prompt_count_as_one_observation() -> None:
    alone = score(SHARE, [(3.0, 3.0), (0.0, 3.0)] * 20)
    assert alone["value"] == 0.5
    assert alone["stderr"] == pytest.approx(score(SHARE, shares(1, 0) * 20)["stderr"])


def test_pairs_are_surer_than_two_runs() -> None:
    rng = np.random.default_rng(1)
    first = texts(rng, 60)
    second = [(a + 0.01 * b + float(rng.normal(0, 0.1)), b) for a, b in first]
    found = paired(PERPLEXITY, second, first)
    assert found["difference"] == pytest.approx(found["value"] - found["against"])
    assert found["ratio"] == pytest.approx(math.exp(0.01), rel=2e-3)
    low, high = found["ratio_interval"]
    assert 1.0 < low < found["ratio"] < high
    assert found["stderr"] < score(PERPLEXITY, first)["stderr"] / 10


def test_equal_runs_do_not_differ() -> None:
    found = paired(SHARE, shares(1, 0, 1), shares(1, 0, 1))
    assert found["difference"] == 0.0
    low, high = found["difference_interval"]
    assert low < 0.0 < high


def test_an_estimate_corrects_the_fast_score() -> None:
    fast, sample = shares(*[1] * 60, *[0] * 40), shares(*[1] * 30, *[0] * 20)
    exact = shares(*[1] * 25, *[0] * 25)
    gap = paired(SHARE, exact, sample)
    found = estimate(SHARE, score(SHARE, fast), gap)
    assert found is not None and found["tag"] == "predicted"
    assert found["value"] == pytest.approx(0.5)
    assert found["gap_interval"][0] < 0.5 < found["gap_interval"][1]


def test_every_benchmark_names_its_metrics_once() -> None:
    assert NAMES == ("mmlu", "gsm8k", "humaneval", "ifeval", "wikitext")
    assert PROTOCOLS == ("lm-eval-words", "gptq-2048", "4096")
    labels = [one.label for one in BENCHMARKS]
    assert len(set(labels)) == len(labels)
    asked = Asked(("wikitext", "gsm8k"), ("gptq-2048", "lm-eval-words"))
    assert [one.label for one in asked.benchmarks] == [
        "wikitext/lm-eval-words", "wikitext/gptq-2048", "gsm8k",
    ]  # fmt: skip
