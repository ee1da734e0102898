"""Decode tables and casts, as other libraries make them."""

from __future__ import annotations

import numpy as np

from accelsim.validate.catalog.bits import Array, bits16, bits_fp16, numbers
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.cast import decode_fp8, encode_fp8
from accelsim_kernels.rounding import round_to


def _cast(case: Case) -> Array:
    x, target = numbers(case["x"]), case.format()
    if target.startswith("fp8"):
        return encode_fp8(x, target)
    return bits16(round_to(x, target)) if target == "bf16" else bits_fp16(round_to(x, target))


def _decoded(case: Case) -> Array:
    return decode_fp8(np.arange(256, dtype=np.uint8), case.format()).astype(np.float64)


OUTPUTS: tuple[Output, ...] = (
    *(
        Output(
            "casts", f"{{format}}__{role}", {"format": formats}, {"x": "{format}__x"}, "{format}",
            _cast, key="",
        )
        # Nearest, ties to even: FP8 saturates here, the wider formats go to infinity.
        for formats, role in (
            (("e4m3fn", "e5m2"), "gfloat_TiesToEven_sat"), (("e4m3fn",), "torch"),
            (("bfloat16", "float16"), "gfloat_TiesToEven_ovf"),
            (("bfloat16", "float16"), "torch"), (("bfloat16",), "mldtypes"),
        )
    ),
    Output(
        "decode_tables", "{maker}_{format}",
        {"maker": ("gfloat", "mldtypes", "torch"), "format": ("e4m3fn", "e5m2")}, {}, "number",
        _decoded, key="",
    ),
)  # fmt: skip
