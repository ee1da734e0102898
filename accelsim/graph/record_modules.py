"""Modules that are one op of the table: recognized by class name when they are entered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from accelsim.graph.record_call import Call, Draft, Refusal

#: Drafts the op of a module from the module, its input and its output.
Boundary = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], Draft]

#: Endings of class names and the norm that they compute; the first that fits counts.
NORMS: Mapping[str, str] = {
    "T5LayerNorm": "rms_norm",
    "RMSNorm": "rms_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "BatchNorm": "batch_norm",
}

#: Activations that are spelled as arithmetic inside, by class name.
ACTIVATIONS: Mapping[str, str] = {
    "NewGELUActivation": "gelu_tanh",
    "FastGELUActivation": "gelu_tanh",
    "AccurateGELUActivation": "gelu_tanh",
    "QuickGELUActivation": "quick_gelu",
}


def _tensor(module: torch.nn.Module, name: str) -> torch.Tensor | None:
    found = getattr(module, name, None)
    return found if isinstance(found, torch.Tensor) else None


def _row(module: torch.nn.Module, fn: str, x: torch.Tensor) -> int:
    """Return the elements that are normalized together."""
    if fn == "batch_norm":
        return 1
    if fn == "group_norm":
        return int(math.prod(x.shape[1:])) // int(getattr(module, "num_groups", 1))
    shape = getattr(module, "normalized_shape", None)
    if shape is not None:
        return math.prod(shape) if isinstance(shape, (tuple, list, torch.Size)) else int(shape)
    weight = _tensor(module, "weight")
    return int(x.shape[-1] if weight is None else weight.numel())


def _norm(fn: str) -> Boundary:
    def draft(module: torch.nn.Module, x: torch.Tensor, out: torch.Tensor) -> Draft:
        names = ("weight", "bias", "running_mean", "running_var")
        found = [_tensor(module, name) for name in names[: 4 if fn == "batch_norm" else 2]]
        given = tuple(tensor for tensor in found if tensor is not None)
        attrs: dict[str, int | float | str | bool] = {"fn": fn, "row": _row(module, fn, x)}
        eps = getattr(module, "eps", getattr(module, "variance_epsilon", None))
        if isinstance(eps, float):
            attrs["eps"] = eps
        return Draft("norm", (x, *given), attrs, fn, (out,))

    return draft


def _activation(fn: str) -> Boundary:
    def draft(module: torch.nn.Module, x: torch.Tensor, out: torch.Tensor) -> Draft:
        return Draft("activation", (x,), {"fn": fn}, fn, (out,))

    return draft


def boundary(module: torch.nn.Module) -> Boundary | None:
    """Return what drafts the op of ``module``, or None when its inside is recorded."""
    name = type(module).__name__
    for ending, fn in NORMS.items():
        if name.endswith(ending):
            return _norm(fn)
    return _activation(ACTIVATIONS[name]) if name in ACTIVATIONS else None


def at_boundary(rule: Boundary, module: torch.nn.Module, call: Call) -> Draft:
    """Draft the op of a module that has returned.

    Raises:
        Refusal: the module does not map one tensor to one of the same shape.
    """
    given = [v for v in (*call.args, *call.kwargs.values()) if isinstance(v, torch.Tensor)]
    if not given or not isinstance(call.out, torch.Tensor) or call.out.shape != given[0].shape:
        raise Refusal(f"{type(module).__name__} does not map one tensor to one of its shape")
    return rule(module, given[0], call.out)
