"""From a recipe's rule to the function that finds the codes of a weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from accelsim.compress.grid import Coded, Grid, Range
from accelsim.compress.methods.clip import span_of
from accelsim.compress.methods.gptq import Moment, gptq, sparsegpt
from accelsim.compress.methods.prune import magnitude, wanda
from accelsim.compress.methods.rtn import rtn
from accelsim.recipe.methods import CALIBRATED, Step
from accelsim.recipe.schema import Rule

Float32 = npt.NDArray[np.float32]

_ROUND: Mapping[str, Callable[[Float32, Moment, Grid, Range, Step], Coded]] = {
    "rtn": lambda w, moment, grid, span, step: rtn(w, grid, span),
    "magnitude": lambda w, moment, grid, span, step: magnitude(w, grid, span),
    "wanda": lambda w, moment, grid, span, step: wanda(w, np.diagonal(moment.total), grid, span),
    "gptq": lambda w, moment, grid, span, step: gptq(
        w, moment, grid, span, act_order=step.act_order, damp=step.damp, block=step.block
    ),
    "sparsegpt": lambda w, moment, grid, span, step: sparsegpt(
        w, moment, grid, span, damp=step.damp, block=step.block
    ),
}


def calibrated(rule: Rule) -> bool:
    """Whether a rule's codes depend on what flows through the model."""
    return rule.rounding.name in CALIBRATED


def find_codes(w: Float32, rule: Rule, moment: Moment | None) -> Coded:
    """Return weights ``[n, k]`` in a rule's codes.

    Args:
        w: the weights, all finite.
        rule: format and method.
        moment: of the inputs; None where the method does not look at them.
    """
    step, span = rule.rounding, span_of(rule.step("clip"))
    seen = Moment(np.zeros((0, 0))) if moment is None else moment
    return _ROUND[step.name](w, seen, Grid.of(rule.weight, w), span, step)
