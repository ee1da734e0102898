"""How a chip's file says what its units compute: presets, and presets with changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from accelsim.errors import SpecError
from accelsim.sim.numerics import numerics_of
from accelsim.spec.arithmetic import ArithmeticSpec
from accelsim.spec.dump import arch_yaml
from accelsim.spec.load import load_arch
from accelsim_kernels.presets import PRESETS, Arithmetic

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
        ("int32_exact", "int32_exact multiplies int8, int4, int2, not bf16"),
    ],
)
def test_mistakes_are_named_once(arithmetic: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_arch(chip(tmp_path, arithmetic))
    (mistake,) = caught.value.mistakes
    assert said in mistake.what
