"""Full products against chained instructions of mmasim, random and ragged shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim_kernels.product import matmul

torch: Any = pytest.importorskip("torch", reason="the oracle needs torch")
nv: Any = pytest.importorskip("mmasim.nv_ptx", reason="mmasim is not installed")

_TORCH = {
    "fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32,
    "fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2,
}  # fmt: skip
_CODES = {"fp16": np.uint16, "bf16": np.uint16, "tf32": np.uint32}
#: Preset, class of the oracle, generation, instruction, formats.
CASES = (
    ("turing_fp16", "MMA", "Turing", "m16n8k8.f32.f16.f16.f32", "fp16", "fp16"),
    ("ampere_fp16", "MMA", "Ampere", "m16n8k16.f32.f16.f16.f32", "fp16", "fp16"),
    ("ampere_fp16_f16", "MMA", "Ampere", "m16n8k16.f16.f16.f16.f16", "fp16", "fp16"),
    ("ampere_bf16", "MMA", "Ampere", "m16n8k16.f32.bf16.bf16.f32", "bf16", "bf16"),
    ("ampere_tf32", "MMA", "Ampere", "m16n8k8.f32.tf32.tf32.f32", "tf32", "tf32"),
    ("ada_fp8", "MMA", "Ada Lovelace", "m16n8k32.f32.e4m3.e5m2.f32", "fp8_e4m3", "fp8_e5m2"),
    ("hopper_fp16", "WGMMA", "Hopper", "m64n8k16.f32.f16.f16", "fp16", "fp16"),
    ("hopper_fp8", "WGMMA", "Hopper", "m64n8k32.f32.e4m3.e4m3", "fp8_e4m3", "fp8_e4m3"),
    ("hopper_fp8_f16", "WGMMA", "Hopper", "m64n8k32.f16.e5m2.e4m3", "fp8_e5m2", "fp8_e4m3"),
    ("blackwell_fp8", "TCGen05MMA", "Blackwell", "m64n8k32.kind::f8f6f4.f32.e4m3.e4m3",
     "fp8_e4m3", "fp8_e4m3"),
)  # fmt: skip


def _operand(rng: np.random.Generator, fmt: str, rows: int, depth: int) -> Any:
    """Return numbers over many binades, some of them zero, as a tensor of the format."""
    made = rng.standard_normal((rows, depth)) * 2.0 ** rng.integers(-6, 4, (rows, depth))
    made[rng.random((rows, depth)) < 0.1] = 0.0
    return torch.tensor(made, dtype=torch.float32).to(_TORCH[fmt])


def _codes(x: Any, fmt: str) -> Any:
    kind = _CODES.get(fmt, np.uint8)
    view = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[np.dtype(kind).itemsize]
    return x.view(view).numpy().view(kind)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_chained_instructions(case: tuple[str, str, str, str, str, str]) -> None:
    name, kind, generation, text, *formats = case
    rng = np.random.default_rng(len(name))
    step = int(text.split("k")[1].split(".")[0])
    for m, n, k in ((3, 5, step), (17, 70, 3 * step + 1), (9, 66, 2 * step + 7)):
        a, b = (_operand(rng, fmt, rows, k) for fmt, rows in zip(formats, (m, n), strict=True))
        instruction = getattr(nv, kind)(generation, text)
        c = torch.zeros((m, n), dtype=instruction.c_type)
        for start in range(0, k, step):
            piece = [torch.zeros((len(x), step), dtype=x.dtype) for x in (a, b)]
            for to, x in zip(piece, (a, b), strict=True):
                part = x[:, start : start + step]
                to[:, : part.shape[1]] = part
            left = piece[0][:, None, :].expand(-1, n, -1).contiguous()
            right = piece[1][None, :, :].expand(m, -1, -1).contiguous()
            c = instruction.dpa(left, right, c)
        found = matmul(
            _codes(a, formats[0]), _codes(b, formats[1]), name,
            a_format=formats[0], b_format=formats[1],
        )  # fmt: skip
        wanted = c.view(torch.int16 if found.itemsize == 2 else torch.int32).numpy()
        assert np.array_equal(found, wanted.view(found.dtype)), (m, n, k)
