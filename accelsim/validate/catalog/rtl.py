"""What ``accelsim vectors`` writes, computed again."""

from __future__ import annotations

import numpy as np

from accelsim.validate.catalog.bits import Array
from accelsim.validate.catalog.output import Case, Output
from accelsim.validate.rtl_sums import accumulators, product

_NEEDS = {"a": "{case}__a", "b": "{case}__b", "c": "{case}__c"}
_MAY = {"a_scales": "{case}__a_scales", "b_scales": "{case}__b_scales"}
_CASES = {"case": r"[a-z]+"}


def _entry(case: Case) -> dict[str, str]:
    return {key: case.fact(key) for key in ("preset", "a_format", "b_format", "step")}


def _result(case: Case) -> Array:
    return product(case.arrays, _entry(case), np.shape(case["a"])[1])


OUTPUTS: tuple[Output, ...] = (
    Output(
        "rtl", "{case}__acc", _CASES, _NEEDS, "bits",
        lambda c: accumulators(c.arrays, _entry(c)), _MAY,
    ),
    Output("rtl", "{case}__result", _CASES, _NEEDS, "bits", _result, _MAY),
)  # fmt: skip
