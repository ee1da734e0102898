"""How a chip's file says what its units compute: presets, and presets with changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import SpecError
from accelsim.sim.numerics import numerics_of
from accelsim.spec.arithmetic import ArithmeticSpec
from accelsim.spec.dump import arch_yaml
from accelsim.spec.load import load_arch
from accelsim_kernels.formats import FORMATS
from accelsim_kernels.presets import KNOBS, PRESETS, UNITS, Arithmetic, changed
from accelsim_kernels.product import matmul

CHIP = """extends: cloud_npu
arrays:
  - name: mxu
    rows: 128
    columns: 128
    dataflows: [weight_stationary]
    modes:
      - activation: {activation}
        weight: bf16
        macs_per_pe_per_cycle: 1
        arithmetic: {arithmetic}
"""


def chip(folder: Path, arithmetic: str, activation: str = "bf16") -> Path:
    path = folder / "chip.yaml"
    text = CHIP.replace("{activation}", activation).replace("{arithmetic}", arithmetic)
    path.write_text(text)
    return path


def test_every_key_is_a_field_of_the_kernels_arithmetic() -> None:
    fields = {field.name for field in dataclasses.fields(Arithmetic)}
    assert set(ArithmeticSpec.model_fields) - {"preset"} <= fields


def test_a_preset_with_changes_has_a_name_that_says_so(tmp_path: Path) -> None:
    arch = load_arch(chip(tmp_path, "{preset: fp32_chain, depth: 16, spill: bf16}"))
    (mode,) = arch.arrays[0].modes
    assert mode.how == dataclasses.replace(
        PRESETS["fp32_chain"], name="fp32_chain[depth=16,spill=bf16]", depth=16, spill="bf16"
    )
    assert "fp32_chain[depth=16,spill=bf16]" in numerics_of(arch).signature
    assert mode.how.accumulator_bits == 16


def test_no_changes_are_the_preset_itself(tmp_path: Path) -> None:
    arch = load_arch(chip(tmp_path, "{preset: fp32_chain}"))
    assert arch.arrays[0].modes[0].how == PRESETS["fp32_chain"]


def test_every_unit_says_what_may_be_changed_and_its_presets_are_possible() -> None:
    assert set(KNOBS) == set(UNITS)
    for preset in PRESETS.values():
        for field, allowed in KNOBS[preset.unit].items():
            value = getattr(preset, field)
            if field == "chunk" and preset.alignment == "exact":
                continue  # exact sums have no chunks
            assert changed(preset, **{field: value}).unit == preset.unit, (preset.name, allowed)


@pytest.mark.parametrize("unit", [unit for unit in KNOBS if KNOBS[unit]])
def test_what_may_be_changed_can_be_computed(unit: str) -> None:
    """The ends of every range run; a kernel that refuses one would fail a run half way."""
    preset = next(one for one in PRESETS.values() if one.unit == unit)
    for field, allowed in KNOBS[unit].items():
        for value in allowed:
            made = changed(preset, **{field: value})
            fmt = made.operands[0] if made.operands else made.accumulator
            kind = "int8" if fmt.startswith("int") else f"uint{max(8, FORMATS[fmt].bits)}"
            codes = np.ones((2, 64), kind)
            scales = np.full((2, 64 // made.block), 120, np.uint8) if made.block else None
            found = matmul(codes, codes, made, a_scales=scales, b_scales=scales)
            assert found.shape == (2, 2), (field, value)


def test_it_is_written_back(tmp_path: Path) -> None:
    arch = load_arch(chip(tmp_path, "{preset: fp32_chain, depth: 16}"))
    again = tmp_path / "again.yaml"
    again.write_text(arch_yaml(arch))
    assert load_arch(again) == arch


@pytest.mark.parametrize(
    ("arithmetic", "said"),
    [
        ("{preset: fp32_chan}", "unknown arithmetic 'fp32_chan' (did you mean 'fp32_chain'?"),
        ("{preset: fp32_chain, dept: 4}", "unknown key (did you mean 'depth'?"),
        ("{preset: fp32_chain, spill: bf61}", "unknown number format 'bf61'"),
        ("{preset: hopper_fp8, chunk: 4}", "hopper_fp8[chunk=4] multiplies fp8_e4m3"),
        ("{preset: hopper_bf16, depth: 4}", "hopper_bf16 has no depth to change; it takes chunk, "),
        ("{preset: cdna1_bf16, depth: 4}", "cdna1_bf16 has no depth to change; nothing about it"),
        ("{preset: hopper_bf16, chunk: 64}", "chunk of hopper_bf16 is 64; allowed are 1 to 32"),
        ("{preset: fp32_chain, spill: int8}", "spill of fp32_chain is 'int8'; allowed are fp16, "),
        ("int32_exact", "int32_exact multiplies int8, int4, int2, not bf16"),
    ],
)
def test_mistakes_are_named_once(arithmetic: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_arch(chip(tmp_path, arithmetic))
    (mistake,) = caught.value.mistakes
    assert said in mistake.what
