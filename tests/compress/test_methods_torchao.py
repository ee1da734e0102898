"""Errors of layers' outputs against torchao's GPTQ and AWQ, on the same tensors."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="torchao's methods need torch")
pytest.importorskip("torchao", reason="compared with torchao's methods")

from accelsim.compress.grid import Grid
from accelsim.compress.methods.awq import awq_factors
from accelsim.compress.methods.gptq import Moment, gptq
from accelsim.compress.methods.rtn import rtn
from accelsim.recipe.schema import ActivationFormat, Rule, WeightFormat

Float32 = npt.NDArray[np.float32]
INT8 = {"format": "int8"}
NVFP4 = {"format": "fp4_e2m1", "group": 16, "scale_format": "ue4m3"}

pytestmark = pytest.mark.filterwarnings("ignore")


def tensors(seed: int) -> tuple[Float32, Float32]:
    """Return inputs with a few large channels, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1024, 128)) @ (np.eye(128) + 0.1 * rng.standard_normal((128, 128)))
    x *= np.exp(rng.standard_normal(128))
    return x.astype(np.float32), rng.standard_normal((96, 128)).astype(np.float32)


def output_error(x: Float32, w: Float32, made: Any) -> float:
    return float(np.square(x.astype(np.float64) @ (made - w).T).sum())


def on_a_cpu(module: Any) -> Any:
    """Return torchao's GPTQ without its check for a GPU, which its arithmetic does not need."""
    text = inspect.getsource(module.gptq_quantize)
    names = dict(vars(module))
    names["_nvfp4_qdq_fn"] = module._nvfp4_with_precalculated_scales_qdq
    names["_nvfp4_q_fn"] = module._nvfp4_with_precalculated_scales_q
    text = text.replace('assert device.type == "cuda"', "assert True")
    exec(text.replace("torch.cuda.synchronize()", ""), names)
    return names["gptq_quantize"]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("wanted", [INT8, NVFP4])
def test_gptq_errs_no_more_than_torchao(wanted: dict[str, Any], seed: int) -> None:
    module = pytest.importorskip("torchao.prototype.gptq.api", reason="torchao has no GPTQ here")
    base = module.Int8WeightOnlyConfig(granularity=module.PerRow())
    if wanted is NVFP4:
        base = module.NVFP4DynamicActivationNVFP4WeightConfig(use_dynamic_per_tensor_scale=True)
    x, w = tensors(seed)
    total = x.astype(np.float64).T @ x
    config = module.GPTQConfig(step="convert", base_config=base)
    theirs = on_a_cpu(module)(
        torch.from_numpy(total.astype(np.float32)), torch.from_numpy(w.copy()), config
    )
    numbers = theirs.dequantize(torch.float32) if wanted is NVFP4 else theirs.dequantize()
    error = output_error(x, w, numbers.float().numpy())
    how = WeightFormat(**wanted)
    assert error < output_error(x, w, rtn(w, Grid.of(how, w)).numbers)
    assert output_error(x, w, gptq(w, Moment(total), Grid.of(how, w)).numbers) <= error
    if wanted is NVFP4:
        # In the same order the same numbers, but for the precision of the updates.
        same = gptq(w, Moment(total), Grid.of(how, w), act_order=False)
        assert output_error(x, w, same.numbers) == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_awq_errs_no_more_than_torchao(seed: int) -> None:
    core = pytest.importorskip("torchao.prototype.awq.core", reason="torchao has no AWQ here")
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    x, w = tensors(seed)
    x[:, ::16] *= 20
    base = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
    observer = core.AWQObserver(torch.from_numpy(w), None, base, 20)
    observer(torch.from_numpy(x), None)
    scales = observer.calculate_qparams().numpy()
    rule = Rule(
        weight=WeightFormat(format="int4", group=32), activation=ActivationFormat(format="bf16")
    )
    factors = awq_factors(x, [(w, rule)], 41)
    errors = [
        output_error(x, w, rtn((w * by).astype(np.float32), Grid(rule.weight)).numbers / by)
        for by in (factors, scales, np.ones(128))
    ]
    assert errors[0] <= errors[1] < errors[2]
