"""What a chip gets wrong: error per layer on a text, and the score on a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError, UnknownNameError
from accelsim.evaluate import task
from accelsim.evaluate.error import Deviation, mean_db, sqnr_db
from accelsim.evaluate.layers import Compared, Sampling, compare
from accelsim.evaluate.model import RunningModel
from accelsim.evaluate.sample import TEXT, sample
from accelsim.evaluate.truth import Truth
from accelsim.graph.request import GraphRequest
from accelsim.ids import content_id
from accelsim.recipe.schema import Recipe
from accelsim.recipe.stored import check_compressed
from accelsim.sim.numerics import MODES, Mode, numerics_of
from accelsim.sim.result import LayerError, LayerResult, SimResult
from accelsim.spec.arch import ArchSpec

Tokens = npt.NDArray[np.int64]
#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

#: Models that were trained on the task.
HAVE_TASK = ("tiny",)
#: Problems on which the gap between fast and exact values is measured.
GAP_PROBLEMS = 32
#: A sampled score looks at one problem in this many, but at no fewer than ``LEAST``.
SAMPLED_SHARE, LEAST = 4, 50


@dataclass(frozen=True)
class Measured:
    """What values add to a result: by name of an op, to the totals, and the details."""

    layers: Mapping[str, LayerError]
    totals: Mapping[str, Any]
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which values are computed.

    Attributes:
        mode: ``exact``, ``sampled`` or ``fast``.
        problems: how many problems a model with a task is asked.
    """

    mode: Mode = "exact"
    problems: int = 200

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InputError: a mode or a count that is none.
        """
        if self.mode not in MODES:
            raise UnknownNameError("numerics", self.mode, MODES)
        if self.problems < 1:
            raise InputError(f"problems is {self.problems}; a whole number of at least 1 is needed")


def measure(
    truth: Truth,
    recipe: Recipe,
    arch: ArchSpec,
    request: GraphRequest,
    wanted: Wanted,
    progress: Progress = lambda what, done, total: None,
) -> Measured:
    """Run a model's values on a chip.

    Args:
        truth: the model; one serves any number of recipes and chips.
        recipe: how it is compressed.
        arch: the chip.
        request: phase and sizes; logits are computed for all tokens.
        wanted: how values are computed, and of how many problems.
        progress: told how far the work is.

    Raises:
        InputError: an op without a kernel.
        RecipeError: methods that were not applied to the model.
        CheckpointError: weights that are not finite.
        RunError: an op left the range of its format.
    """
    check_compressed(truth.source, recipe)
    mode = wanted.mode
    bench = _Bench(truth, recipe, arch, mode)
    compared = bench.text(request, progress)
    deviation = Deviation.of(compared.logits, compared.truth)
    totals: dict[str, Any] = {
        "numerics_mode": mode,
        "sqnr_db": deviation.sqnr_db,
        "max_abs_error": deviation.max_abs_error,
        "top1_agreement": deviation.top1_agreement,
        "kl_divergence": deviation.kl_divergence,
    }
    details: dict[str, Any] = {
        "mode": mode,
        "problems": wanted.problems,
        "tokens": int(compared.logits[..., 0].size),
        "text": TEXT,
        "signature": bench.exact.chip.signature,
        "weights": truth.values.fingerprint,
        # The interpreter has kernels or refuses: nothing runs natively here.
        "native_ops": [],
        "task": None,
        "gap": None if mode == "exact" else bench.gap(progress),
    }
    if truth.source.name in HAVE_TASK:
        scored = bench.score(wanted.problems, progress)
        totals |= scored.pop("totals")
        details["task"] = scored
    return Measured(compared.errors, totals, details)


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def attach(run: SimResult, found: Measured) -> SimResult:
    """Return a timed run with what its values got wrong; rows are matched by the names of ops."""
    layers = tuple(replace(row, error=_error(row, found.layers)) for row in run.layers)
    return replace(
        run,
        id=content_id([run.id, found.details]),
        totals={**run.totals, **found.totals, **_by_cause(layers)},
        layers=layers,
        numerics=found.details,
    )


def _by_cause(rows: Sequence[LayerResult]) -> dict[str, float | None]:
    """Return the two causes over all layers that multiply, each with the same weight."""
    errors = [row.error for row in rows if row.executed_macs and row.error is not None]
    return {
        "sqnr_quantization_db": mean_db([error.sqnr_quantization_db for error in errors]),
        "sqnr_arithmetic_db": mean_db([error.sqnr_arithmetic_db for error in errors]),
    }


def _error(row: LayerResult, errors: Mapping[str, LayerError]) -> LayerError:
    """Causes come from the first op that has any, the distance to FP32 from the last one."""
    found = [errors[name] for name in (row.name, *row.fused) if name in errors]
    if not found:
        return LayerError()
    caused = (error for error in found if error.sqnr_quantization_db is not None)
    return replace(
        next(caused, LayerError()),
        sqnr_propagated_db=found[-1].sqnr_propagated_db,
        max_abs_error=found[-1].max_abs_error,
    )


class _Bench:
    """One model in FP32, in a chip's exact arithmetic, and in the arithmetic of a mode."""

    def __init__(self, truth: Truth, recipe: Recipe, arch: ArchSpec, mode: Mode) -> None:
        self.truth, self.mode = truth, mode
        source, stored = truth.source, truth.stored
        self.exact = RunningModel(source, stored, recipe, numerics_of(arch))
        fast = RunningModel(source, stored, recipe, numerics_of(arch, ideal=True))
        self.model = self.exact if mode == "exact" else fast

    def text(self, request: GraphRequest, progress: Progress) -> Compared:
        """Compare op by op on a text that fills the request."""
        decode = request.phase == "decode"
        length = request.context_len + 1 if decode else request.seq_len
        asked = GraphRequest(
            request.phase, request.batch, request.seq_len, request.context_len, "all"
        )
        tokens = sample(self.truth.encoder, request.batch, length)
        inputs = [self._inputs(model, tokens, decode) for model in (self.model, self.truth.model)]
        graph = self.model.graphs(asked)[1]
        sampling = Sampling.of(graph, self.exact.chip) if self.mode == "sampled" else None
        return compare(
            self.model, self.truth.model, asked, (inputs[0], inputs[1]), sampling,
            _named(progress, "values, op by op"),
        )  # fmt: skip

    def _inputs(self, model: RunningModel, tokens: Tokens, decode: bool) -> dict[str, Any]:
        if not decode:
            return {"input_ids": tokens}
        return {"input_ids": tokens[:, -1:], **model.caches(tokens[:, :-1])}

    def score(self, problems: int, progress: Progress) -> dict[str, Any]:
        """Return the task's summary, with what it adds to the totals."""
        sampled = self.mode == "sampled"
        count = min(problems, max(LEAST, problems // SAMPLED_SHARE)) if sampled else problems
        given, model = task.asked(count), self.exact if sampled else self.model
        chip = task.solved(
            model.logits, self.truth.problems(count), _named(progress, "problems on the chip")
        )
        truth = self.truth.solved(count, _named(progress, "problems in FP32"))
        share, interval = task.score(chip)
        totals = {
            "exact_match": share,
            "exact_match_interval": list(interval),
            "exact_match_n": len(given),
        }
        return {"totals": totals, **task.summary(given, chip, truth)}

    def gap(self, progress: Progress) -> Mapping[str, Any]:
        """Return how far the mode's values are from exact ones, on a few problems."""
        encoded, tell = self.truth.problems(GAP_PROBLEMS), _named(progress, "gap to exact values")
        exact = task.solved(self.exact.logits, encoded, tell)
        fast = task.solved(self.model.logits, encoded, tell)
        tokens = np.array([encoded[0].tokens], np.int64)
        truth, found = self.exact.logits(tokens), self.model.logits(tokens)
        return {
            "problems": len(encoded),
            "exact_match_exact": sum(exact) / len(exact),
            "exact_match_fast": sum(fast) / len(fast),
            "sqnr_db": sqnr_db(truth, found.astype(np.float64) - truth),
        }
