"""What the recorder refuses, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F
from torch import nn

from accelsim.errors import CaptureError
from accelsim.graph.record import record_module
from tests.graph.torch_builder import Function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: torch.special.bessel_j0(x), "no model for special_bessel_j0"),
        (lambda m, x: torch.fft.fft(x.float()), "no model for fft_fft"),
        (lambda m, x: x if x.sum() > 0 else -x, "__bool__ in module .* reads values"),
        (lambda m, x: x[x > 0], "depends on values"),
        (lambda m, x: torch.nonzero(x), "nonzero in module .* reads values"),
        (lambda m, x: F.scaled_dot_product_attention(x, x, x), "add an axis"),
        (lambda m, x: torch.matmul(x, x[0]), "a product with a vector"),
        (lambda m, x: x.reshape(7, 7), "RuntimeError"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(function: Callable[..., Any], message: str) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Function(function)

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    with pytest.raises(CaptureError, match=message) as error:
        record_module(Outer(), (torch.zeros(4, 8),))
    assert "'inner'" in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_stays_behind_after_an_error() -> None:
    hooks = torch.nn.modules.module
    before = len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)
    module = Function(lambda m, x: torch.special.bessel_j0(x)).train()
    with pytest.raises(CaptureError):
        record_module(module, (torch.zeros(2),))
    assert (len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)) == before
    assert module.training
    assert torch.is_grad_enabled()
