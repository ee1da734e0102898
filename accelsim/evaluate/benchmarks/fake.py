"""Fake quantization in torch: codes and scales of a recipe, products in torch's own arithmetic.

What peers evaluate compression with, on whatever device the model lies. Weights are what their
codes stand for, made once by the kernels; activations are coded and decoded row by row. Norms,
attention and the residual stream are torch's, in the storage format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from accelsim.evaluate.benchmarks.coded import codes_of
from accelsim.graph.ir import Graph, Op, Tensor
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.recipe.annotate import compressed
from accelsim.recipe.schema import FLOATS, ActivationFormat, Recipe
from accelsim.sim.interpret import StoredModel
from accelsim_kernels.quantize import QMAX

#: Formats of scales, and of FP8 codes, as torch has them.
_TYPES = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
    "fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2,
}  # fmt: skip
#: What a linear module is called in a recorded graph: the module, and its function.
_FUNCTION = "linear"


class _Weights:
    """Weights of a module, wherever they lie."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module, self._codes = module, codes_of(module)

    def coded(self, name: str) -> CodedWeight | None:
        """Return a weight's codes where the checkpoint holds them."""
        return None if self._codes is None else self._codes.coded(name)

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """Return the values of a weight."""
        found: npt.NDArray[np.float32] = (
            self._module.get_parameter(name).detach().float().cpu().numpy()
        )
        return found


def can_fake(module: torch.nn.Module, recipe: Recipe) -> bool:
    """Whether a recipe covers nothing but linear modules, in formats that torch can round to."""
    turned = recipe.rotation is not None and recipe.rotation.online
    if turned or recipe.kv_cache is not None:
        return False
    if any(weight.ndim > 2 for weight in module.parameters()):
        return False  # experts in one tensor, or convolutions
    return all(
        (rule.activation.format in FLOATS or rule.activation.format in QMAX)
        and rule.activation.granularity == "token"
        and rule.activation.scale_format in _TYPES
        for rule in recipe.rules
        if "matmul" in rule.ops
    )


def fake_rows(x: torch.Tensor, wanted: ActivationFormat) -> torch.Tensor:
    """Return FP32 rows ``[..., k]`` as their codes say, one scale per row.

    Bit for bit what ``accelsim_kernels.quantize`` and ``dequantize`` make of finite rows.
    """
    most = QMAX[wanted.format]
    kind = _TYPES[wanted.scale_format]
    edges = torch.finfo(kind)
    largest = x.abs().amax(-1, keepdim=True)
    scale = (largest / most).to(kind).float().clamp(edges.tiny, edges.max)
    scale = torch.where(largest == 0, torch.ones_like(scale), scale)
    bounded = (x * (1.0 / scale)).clamp(-most, most)
    if wanted.format in _TYPES:
        codes = bounded.to(_TYPES[wanted.format]).float()
    else:
        codes = bounded.round()
    return codes * scale


@contextmanager
def fake_quantized(module: torch.nn.Module, recipe: Recipe) -> Iterator[None]:
    """Let a torch model compute with the values that a recipe's codes stand for.

    Args:
        module: a model in the recipe's storage format, for which ``can_fake`` holds.
        recipe: how it is compressed.
    """
    stored = StoredModel(_Weights(module))
    changed = []
    try:
        for name, part in module.named_modules():
            if isinstance(part, torch.nn.Linear):
                rule = recipe.rule_for("matmul", f"{name}.{_FUNCTION}")
                if rule is not None:
                    weight = _dense(name, part, recipe, stored).to(part.weight.device)
                    part.forward = partial(_forward, part, weight, rule.activation)
                    changed.append(part)
        yield
    finally:
        for part in changed:
            del part.forward


def _dense(name: str, part: Any, recipe: Recipe, stored: StoredModel) -> torch.Tensor:
    """Return the numbers that the codes of a module's weight stand for."""
    n, k = part.weight.shape
    tensors = {
        "x": Tensor("x", (1, k), "input", recipe.storage),
        f"{name}.weight": Tensor(f"{name}.weight", (n, k), "weight", recipe.storage),
        "y": Tensor("y", (1, n), "activation", recipe.storage),
    }
    op = Op(f"{name}.{_FUNCTION}", "matmul", ("x", f"{name}.weight"), ("y",), {}, name)
    graph = compressed(Graph(recipe.name, tensors, (op,), ("y",)), recipe)
    product = next(one for one in graph.ops if one.kind == "matmul")
    return torch.from_numpy(stored.product(product, graph.tensors[product.inputs[1]]).dense)


def _forward(
    part: Any, weight: torch.Tensor, activation: ActivationFormat, x: torch.Tensor
) -> torch.Tensor:
    """Return ``x @ weight.T + bias`` of coded rows, summed in FP32 and stored as x is."""
    rows = x.float()
    if activation.format not in FLOATS:
        rows = fake_rows(rows, activation)
    bias = None if part.bias is None else part.bias.float()
    return torch.nn.functional.linear(rows, weight, bias).to(x.dtype)
