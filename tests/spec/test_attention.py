"""How a chip's file says how attention is computed, and that plans and values follow it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import SpecError
from accelsim.graph.ir import Op, Tensor
from accelsim.mapping._core import attention as core
from accelsim.mapping.attention import plan_attention
from accelsim.mapping.search import machines
from accelsim.mapping.workload import AttentionWorkload
from accelsim.sim.bindings.rows import ROWS
from accelsim.sim.bindings.values import Call
from accelsim.sim.numerics import numerics_of, reference
from accelsim.spec.attention import AttentionSpec
from accelsim.spec.dump import arch_yaml
from accelsim.spec.load import load_arch, shipped
from accelsim_kernels.attention import attention
from accelsim_kernels.attention_arithmetic import ATTENTION_PRESETS, AttentionArithmetic
from tests.kernels.support import numbers, same


def chip(folder: Path, text: str) -> Path:
    path = folder / "chip.yaml"
    path.write_text(f"extends: cloud_npu\nattention: {text}\n")
    return path


def test_every_key_is_a_field_of_the_kernels_arithmetic() -> None:
    fields = {field.name for field in dataclasses.fields(AttentionArithmetic)}
    assert set(AttentionSpec.model_fields) - {"preset"} <= fields


@pytest.mark.parametrize("name", shipped())
def test_shipped_chips_keep_their_bits(name: str) -> None:
    assert load_arch(name).attends == ATTENTION_PRESETS["whole_row"]


def test_a_preset_with_changes_has_a_name_that_says_so(tmp_path: Path) -> None:
    arch = load_arch(chip(tmp_path, "{preset: online_128, block: 32, accumulator: bf16}"))
    name = "online_128[accumulator=bf16,block=32]"
    assert arch.attends == dataclasses.replace(
        ATTENTION_PRESETS["online_128"], name=name, block=32, accumulator="bf16"
    )
    assert f"attention:{name}" in numerics_of(arch).signature
    again = tmp_path / "again.yaml"
    again.write_text(arch_yaml(arch))
    assert load_arch(again) == arch


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("online_12", "unknown attention 'online_12' (did you mean 'online_128'?"),
        ("{preset: flash_attention_2, blok: 4}", "unknown key (did you mean 'block'?"),
        ("{preset: online_64, probabilities: fp9}", "found 'fp9', one of storage"),
        ("{preset: online_64, probabilities: int8}", "attention: probability_scale is 1"),
        ("flash_decoding", "attends the keys in parts, which plans of a chip do not"),
    ],
)
def test_mistakes_are_named_once(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_arch(chip(tmp_path, text))
    (mistake,) = caught.value.mistakes
    assert said in mistake.what


def workload(keys: int) -> AttentionWorkload:
    fields: dict[str, Any] = {
        "units": 2, "group": 2, "queries": 96, "keys": keys, "depth": 16, "value_depth": 16,
        "causal": False, "window": 0, "q_format": "bf16", "k_format": "bf16",
        "o_bits": 16 * 4 * 96 * 16, "x_bits": 0, "mask_bits": 0, "mask_planes": 1,
        "score_work": (("exp", 4 * 96 * keys),), "output_work": (),
    }  # fmt: skip
    return AttentionWorkload(**fields)


@pytest.mark.parametrize(("block", "keys", "planned"), [(48, 480, 48), (64, 480, 64), (64, 40, 40)])
def test_a_plan_has_the_blocks_of_the_values(
    block: int, keys: int, planned: int, tmp_path: Path
) -> None:
    arch = load_arch(chip(tmp_path, f"{{preset: online_64, block: {block}}}"))
    machine = machines(arch, "bf16", "bf16", False)[0]
    assert plan_attention(workload(keys), machine, "op").choice[core.H_KEYS] == planned


def test_values_are_those_of_the_chips_arithmetic(tmp_path: Path) -> None:
    shapes = {"q": (1, 2, 5, 4), "k": (1, 1, 40, 4), "v": (1, 1, 40, 4)}
    q, k, v = (numbers(i, *shape, spread=1) for i, shape in enumerate(shapes.values()))
    op = Op("op", "attention", tuple(shapes), ("y",), {"causal": True, "scale": 0.5})
    ins = [Tensor(name, shape, format="bf16") for name, shape in shapes.items()]
    outs = [Tensor("y", shapes["q"], format="bf16")]
    for text in ("whole_row", "{preset: flash_attention_2, block: 8}"):
        arch = load_arch(chip(tmp_path, text))
        (found,) = ROWS["attention"](Call(op, ins, outs, [q, k, v], numerics_of(arch)))
        wanted = attention(
            q, k, v, arch.attends, scale=0.5, causal=True, probabilities="bf16", format="bf16"
        )
        assert same(np.asarray(found), wanted)
    assert reference().attention.name == "whole_row"
