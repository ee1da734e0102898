"""Decode tables and casts, as other libraries make them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelsim.validate.catalog.bits import Array, numbers
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.codec import encode, numbers_of
from accelsim_kernels.codec_rules import ROUNDINGS
from accelsim_kernels.conventions import CONVENTIONS, library_cast
from accelsim_kernels.e8m0 import encode_e8m0
from accelsim_kernels.formats import format_of

#: Formats as the makers of these sets spell them; ``e4m3`` is the one of ml_dtypes here.
_SPELLED = {
    "e4m3fn": "fp8_e4m3", "e5m2": "fp8_e5m2", "e4m3fnuz": "fp8_e4m3fnuz",
    "e5m2fnuz": "fp8_e5m2fnuz", "e4m3b11fnuz": "fp8_e4m3b11fnuz", "e4m3": "fp8_e4m3ieee",
    "e3m4": "fp8_e3m4ieee", "e3m2fn": "fp6_e3m2", "e2m3fn": "fp6_e2m3", "e2m1fn": "fp4_e2m1",
    "e8m0fnu": "e8m0", "int8mx": "mxint8", "bfloat16": "bf16", "float16": "fp16",
}  # fmt: skip
#: The P3109 formats, which have one NaN.
_P3109 = {
    f"p3109_k{k}p{p}_{kind}": f"p3109_k{k}p{p}{kind}"
    for k in range(2, 9)
    for p in range(1, k)
    for kind in ("sf", "se", "uf", "ue")
}
_LIBRARIES = {"mldtypes": "ml_dtypes", "torch": "torch"}
#: Roundings of gfloat.
_MODES = {
    "TowardZero": "toward_zero", "TowardNegative": "down", "TowardPositive": "up",
    "TiesToEven": "nearest_even", "TiesToAway": "nearest_away", "Stochastic": "stochastic",
    "StochasticOdd": "stochastic_odd", "StochasticFast": "stochastic_fast",
    "StochasticFastest": "stochastic_fastest",
}  # fmt: skip
_RANDOM = tuple(mode for mode, name in _MODES.items() if ROUNDINGS[name].random)
_PLAIN = tuple(mode for mode in _MODES if mode not in _RANDOM)


def _gfloat(case: Case) -> Array:
    """Return gfloat's cast to a format; where it refuses, the vectors hold 0."""
    spelled, fields = case.fields["format"], case.fields
    fmt = format_of(_P3109.get(spelled, _SPELLED.get(spelled, spelled)))
    x, saturates, rounding = numbers(case["x"]), fields["overflow"] == "sat", _MODES[fields["mode"]]
    count, bits = int(fields.get("count", "0")), case.arrays.get("bits")
    if not fmt.has_zero:
        how = ROUNDINGS[rounding]
        with np.errstate(invalid="ignore"):  # a signalling NaN is turned into a quiet one
            wide = x.astype(np.float64)
        drawn = np.int64(0) if bits is None else bits.astype(np.int64)
        return encode_e8m0(wide, how.tie, how.up, saturates, drawn, count, "gfloat")
    # An integer made of NaN is the least one, as the processor converts it.
    refuses = fmt.nan_code is None and not (saturates and not fmt.is_float)
    return encode(
        x, fmt.name, rounding, "saturate" if saturates else "overflow", bits=bits, bit_count=count,
        missing=0 if refuses else None,
    )  # fmt: skip


def _library(name: str) -> Callable[[Case], Array]:
    return lambda case: library_cast(numbers(case["x"]), name, _LIBRARIES[case.fields["library"]])


def _casts(formats: tuple[str, ...], holds: str) -> tuple[Output, ...]:
    """Return the rows of gfloat's casts, without random bits and with them."""
    start, fields = "{format}__gfloat_{mode}_{overflow}", {"overflow": ("sat", "ovf")}
    return (
        Output(
            "casts", start, {"format": formats, "mode": _PLAIN, **fields}, {"x": "{format}__x"},
            holds, _gfloat, key="",
        ),
        Output(
            "casts", start + "_b{count}",
            {"format": formats, "mode": _RANDOM, "count": r"\d+", **fields},
            {"x": "{format}__sr_x_b{count}", "bits": "{format}__sr_bits_b{count}"}, holds, _gfloat,
            key="",
        ),
    )  # fmt: skip


def _library_casts(spelled: str, name: str) -> Output:
    libraries = tuple(short for short, long in _LIBRARIES.items() if name in CONVENTIONS[long])
    return Output(
        "casts", f"{spelled}__{{library}}", {"library": libraries}, {"x": f"{spelled}__x"}, name,
        _library(name), key="",
    )  # fmt: skip


def _decoded(name: str) -> Callable[[Case], Array]:
    return lambda case: numbers_of(name)


def _fp64(name: str) -> tuple[Output, ...]:
    spelled = next(short for short, long in _SPELLED.items() if long == name)
    needs = {"x": "x_f64"}
    libraries = tuple(short for short, long in _LIBRARIES.items() if name in CONVENTIONS[long])
    return (
        Output(
            "casts_fp64", f"{{library}}_{spelled}", {"library": libraries}, needs, name,
            lambda case: library_cast(case["x"], name, _LIBRARIES[case.fields["library"]]), key="",
        ),
        Output(
            "casts_fp64", f"gfloat_{spelled}_{{overflow}}", {"overflow": ("sat", "ovf")}, needs,
            name,
            lambda case: encode(
                case["x"], name,
                overflow="saturate" if case.fields["overflow"] == "sat" else "overflow",
            ),
            key="",
        ),
    )  # fmt: skip


OUTPUTS: tuple[Output, ...] = (
    *(row for spelled, name in _SPELLED.items() for row in _casts((spelled,), name)),
    *_casts(tuple(_P3109), "number"),
    *(_library_casts(spelled, name) for spelled, name in _SPELLED.items()),
    *(row for name in _SPELLED.values() for row in _fp64(name)),
    *(
        Output(
            "decode_tables", f"{{maker}}_{spelled}", {"maker": ("gfloat", *_LIBRARIES)}, {}, name,
            _decoded(name), key="",
        )
        for spelled, name in _SPELLED.items()
    ),
    Output(
        "decode_tables", "{format}", {"format": tuple(_P3109)}, {}, "number",
        lambda case: numbers_of(_P3109[case.fields["format"]]), key="",
    ),
)  # fmt: skip
