"""Instructions of matrix units, and products that are made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from accelsim.validate.catalog.bits import SPELLED, Array
from accelsim.validate.catalog.output import Case, Output, Unfit
from accelsim_kernels.presets import PRESETS, Arithmetic
from accelsim_kernels.product import matmul

#: NVIDIA's generations as the makers of vectors spell them.
_NVIDIA = {
    "Volta": "volta", "Turing": "turing", "Ampere": "ampere", "Ada Lovelace": "ada",
    "Hopper": "hopper", "Blackwell": "blackwell", "RTX Blackwell": "rtx_blackwell",
}  # fmt: skip
#: Kinds with scales (PTX ISA): block and format of a scale, where they matter → the preset's name.
_SCALED = {
    ("mxf8f6f4", "block32", "ue8m0"): "mxfp8", ("mxf4", "block32", "ue8m0"): "mxfp4",
    ("mxf4nvf4", "block32", "ue8m0"): "mxfp4", ("mxf4nvf4", "block16", "ue8m0"): "mxfp4_block16",
    ("mxf4nvf4", "block16", "ue4m3"): "nvfp4",
}  # fmt: skip
_SHAPE = re.compile(r"m\d+n\d+k(\d+)")
_TYPES = re.compile(r"(?<![:\w])(f64|f32|f16)\.(\w+)\.(\w+)")
_MFMA = re.compile(r"f(?:32|64)_\d+x\d+x(\d+)(?:_\d+b)?_?(\w+)")
_AMD_FP8 = {"fp8": "fp8_e4m3fnuz", "bf8": "fp8_e5m2fnuz"}
_AMD = {"f16": "fp16", "f32": "fp32", "f64": "fp64"}


@dataclass(frozen=True)
class Instruction:
    """What an instruction computes.

    Attributes:
        arithmetic: of one instruction.
        a, b: formats of the operands.
    """

    arithmetic: Arithmetic
    a: str
    b: str


def _preset(name: str, k: int) -> Arithmetic:
    """Return the arithmetic of an instruction of that K.

    Raises:
        Unfit: no preset has this name.
    """
    if name not in PRESETS:
        raise Unfit(f"no preset is called {name!r}")
    found = PRESETS[name]
    return replace(found, step=k) if found.step else found


def _nvidia(generation: str, text: str) -> Instruction:
    shape, types = _SHAPE.match(text), _TYPES.search(text)
    if shape is None or types is None:
        raise Unfit(f"the instruction {text!r} is not known")
    k, (result, *spelled) = int(shape[1]), types.groups()
    a, b = (SPELLED.get(name, name) for name in spelled)
    if a == "fp64":
        return Instruction(_preset("fp64_chain", k), a, b)
    scaled = re.search(r"kind::(mx\w+)\.(block\d+)\..*\.(ue\w+)$", text)
    if scaled is not None:
        name = _SCALED.get((scaled[1], scaled[2], scaled[3]), text)
        return Instruction(_preset(f"{generation}_{name}", k), a, b)
    if text.startswith("m8n8k4."):  # of Volta, and on Turing as on Volta
        generation = "volta"
    kind = "fp8" if a[:3] in ("fp8", "fp6", "fp4") else a
    half = "_f16" if result == "f16" else ""
    short = f"{generation}_{kind}_k{k}{half}"
    name = short if short in PRESETS else f"{generation}_{kind}{half}"
    return Instruction(_preset(name, k), a, b)


def _amd(generation: str, text: str) -> Instruction:
    match = _MFMA.fullmatch(text)
    if match is None:
        raise Unfit(f"the instruction {text!r} is not known")
    k, kind = int(match[1]), match[2]
    if kind[:3] in _AMD_FP8:
        a, b = (_AMD_FP8[name] for name in kind.split("_"))
        return Instruction(_preset(f"{generation}_fp8", k), a, b)
    row = _preset(f"{generation}_{_AMD.get(kind, kind)}", k)
    return Instruction(row, row.operands[0], row.operands[0])


def instruction(arch: str, text: str) -> Instruction:
    """Return what an instruction computes, by its generation and its name.

    Raises:
        Unfit: an instruction that is not known.
    """
    if arch in _NVIDIA:
        return _nvidia(_NVIDIA[arch], text)
    return _amd(arch.lower(), text)


def _codes(stored: Array, fmt: str, packed: bool) -> Array:
    """Return codes as the kernels take them: FP6 and FP4 lie in bits 5:0 and 5:2 of a byte."""
    if packed or fmt not in ("fp4_e2m1", "fp6_e3m2", "fp6_e2m3"):
        return stored
    return (stored & 63) >> 2 if fmt == "fp4_e2m1" else stored & 63


def _product(case: Case, made: Instruction) -> Array:
    """Return the products of all tiles of a case, or of its one pair of matrices."""
    arithmetic = made.arithmetic
    packed = arithmetic.unit == "grouped"
    roles = {"a": "a", "b": "b", "c": "c", "a_scales": "sa", "b_scales": "sb"}
    operands = {to: case.arrays[role] for to, role in roles.items() if role in case.arrays}
    operands["a"] = _codes(operands["a"], made.a, packed)
    operands["b"] = _codes(operands["b"], made.b, packed)
    formats = ("fp4_e2m1x2",) * 2 if packed else (made.a, made.b)

    def one(place: int | None) -> Array:
        given = {to: x if place is None else x[place] for to, x in operands.items()}
        return matmul(
            given.pop("a"), given.pop("b"), arithmetic, given.pop("c", None),
            a_format=formats[0], b_format=formats[1], **given,
        )  # fmt: skip

    if operands["a"].ndim == 2:
        return one(None)
    return np.stack([one(place) for place in range(len(operands["a"]))])


def _instruction(case: Case) -> Array:
    return _product(case, instruction(case.fact("arch"), case.fact("instruction")))


def _promoted(case: Case) -> Array:
    made = instruction(case.fact("arch"), case.fact("instruction"))
    promotion = int(case.fields["interval"])
    return _product(case, replace(made, arithmetic=replace(made.arithmetic, promotion=promotion)))


_SETS = (
    "mma_nv_sync", "mma_nv_sync_f8f6f4", "mma_nv_block_scale", "mma_nv_wgmma", "mma_nv_tcgen05",
    "mma_nv_tcgen05_block_scale", "mma_amd_mfma", "mma_chained_gemm",
)  # fmt: skip
_KEY = {"case": r"[a-z]+\d+"}
_NEEDS = {"a": "{case}_A", "b": "{case}_B"}
_MAY = {"c": "{case}_C", "sa": "{case}_SA", "sb": "{case}_SB"}

OUTPUTS: tuple[Output, ...] = (
    *(Output(name, "{case}_D", _KEY, _NEEDS, "bits", _instruction, _MAY) for name in _SETS),
    Output(
        "mma_chained_gemm", "{case}_D_two_level_{interval}",
        {**_KEY, "interval": ("64", "128", "256")}, _NEEDS, "fp32", _promoted, _MAY,
    ),
)  # fmt: skip
