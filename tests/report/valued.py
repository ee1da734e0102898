"""What ``--numerics`` adds to a run, made up: the shapes that pages and pictures must cope with."""

from __future__ import annotations

import copy
from typing import Any

Run = dict[str, Any]

#: Ratios of a layer by its place: quantization, arithmetic, propagated, largest error.
ERRORS = (
    (44.7, None, 43.8, 0.0585),
    (31.07, 98.98, 34.94, 3.2),
    (55.58, None, 35.7, 0.066),
    (None, None, None, 0.0),
    (156.7, 118.3, 40.1, 0.04),
    (-3.25, 61.6, -4.5, 812.0),
    (55.9, 58.6, 33.0, 0.31),
)
COLUMNS = (
    "sqnr_quantization_db", "sqnr_arithmetic_db", "sqnr_propagated_db", "max_abs_error",
)  # fmt: skip


def valued(run: Run, mode: str = "exact", task: bool = True) -> Run:
    """Return a run with errors and, where there is a task, a score."""
    found = copy.deepcopy(run)
    for index, layer in enumerate(found["layers"]):
        layer.update(zip(COLUMNS, ERRORS[index % len(ERRORS)], strict=True))
        if mode == "sampled" and layer["sqnr_quantization_db"] is not None:
            layer["sqnr_stderr_db"] = 0.25
    found["totals"] |= {
        "numerics_mode": mode, "sqnr_db": 31.25, "sqnr_quantization_db": 38.5,
        "sqnr_arithmetic_db": None, "max_abs_error": 2.5, "top1_agreement": 0.984,
        "kl_divergence": 0.000215628,
    }  # fmt: skip
    found["numerics"] = {
        "mode": mode, "tokens": 512, "text": "arithmetic word problems, seed 0",
        "signature": "int8xint8:int32_exact;rows:64", "weights": "7944080f62a7050a",
        "native_ops": [], "task": None, "gap": None if mode == "exact" else gap(),
    }  # fmt: skip
    if task:
        found["totals"] |= {
            "exact_match": 0.915, "exact_match_interval": [0.868, 0.946], "exact_match_n": 200,
        }  # fmt: skip
        found["numerics"]["task"] = scored()
    return found


def gap() -> dict[str, Any]:
    return {
        "problems": 32, "exact_match_exact": 0.90625, "exact_match_fast": 0.9375, "sqnr_db": 45.25,
    }  # fmt: skip


def scored() -> dict[str, Any]:
    sums = {"level": 1, "what": "sums below 100", "n": 80}
    products = {"level": 2, "what": "products", "n": 120}
    return {
        "name": "arithmetic word problems", "n": 200, "seed": 1, "fp32_exact_match": 0.93,
        "fp32_interval": [0.886, 0.958], "difference": -0.015,
        "difference_interval": [-0.039, 0.009],
        "levels": [
            {**sums, "exact_match": 0.9875, "fp32_exact_match": 1.0},
            {**products, "exact_match": 0.8667, "fp32_exact_match": 0.8833},
        ],
    }  # fmt: skip
