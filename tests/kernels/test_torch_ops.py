"""The operators of torch: the bits of the kernels, traced, with straight-through gradients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import accelsim_kernels  # noqa: E402
from accelsim_kernels import torch_ops  # noqa: E402
from accelsim_kernels.attention import attention  # noqa: E402
from accelsim_kernels.blocks import dequantize_blocks, quantize_blocks  # noqa: E402
from accelsim_kernels.codec import decode, encode  # noqa: E402
from accelsim_kernels.product import matmul  # noqa: E402
from tests.kernels.support import codes, numbers, same  # noqa: E402

X = numbers(1, 6, 32, spread=3)
Y = numbers(2, 5, 32, spread=3)


def tensor(x: Any, grad: bool = False) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x)).clone().requires_grad_(grad)


def of(name: str) -> Callable[..., Any]:
    return getattr(torch_ops, name)  # type: ignore[no-any-return]  # operators are torch's


def heads(*shape: int, grad: bool = False) -> Any:
    return tensor(numbers(sum(shape), *shape, spread=1), grad)


def points(rows: int) -> Any:
    return torch.arange(rows, dtype=torch.int32) - 2


def steps(rows: int) -> Any:
    return torch.full((rows,), 0.05) * torch.arange(1, rows + 1)


#: Arguments of every operator; what they are called with in tests that ask all of them.
CALLS: dict[str, tuple[Any, ...]] = {
    "encode": (tensor(X), "fp8_e4m3"),
    "decode": (tensor(codes(1, 4, 8).view(np.uint8)), "fp8_e5m2"),
    "cast": (tensor(X, True), "fp4_e2m1", "nearest_even", "saturate"),
    "absmax": (tensor(X),),
    "scales": (tensor(np.abs(X[:, 0])), "int8", "fp32"),
    "quantize": (tensor(X), steps(6), "int8"),
    "dequantize": (tensor(codes(2, 6, 8)), steps(6), "int8"),
    "fake_quantize": (tensor(X, True), steps(6), "int4"),
    "fake_quantize_affine": (tensor(X, True), steps(6), points(6), "int8"),
    "fake_quantize_blocks": (tensor(X, True), "mxfp4_e2m1"),
    "matmul": (tensor(X, True), tensor(Y, True), "fp32_chain"),
    "matmul_chain": (tensor(X, True), tensor(Y, True)),
    "matmul_int8": (tensor(codes(3, 4, 8)), tensor(codes(4, 3, 8))),
    "matmul_int4": (
        tensor(codes(3, 4, 32)), tensor(codes(4, 3, 16).view(np.uint8)), torch.ones(3, 1), 32,
    ),
    "prune_2to4": (tensor(X),),
    "compress_2to4": (tensor(np.tile(np.array([1, 0, 3, 0], np.int8), (4, 4))),),
    "decompress_2to4": (
        torch.ones(4, 8, dtype=torch.int8), torch.full((4, 2), 0x44, dtype=torch.uint8),
    ),
    "matmul_2to4": (
        tensor(codes(3, 5, 16)), torch.ones(4, 8, dtype=torch.int8),
        torch.full((4, 2), 0x44, dtype=torch.uint8),
    ),
    "attention": (
        heads(1, 4, 5, 8, grad=True), heads(1, 2, 7, 8, grad=True), heads(1, 2, 7, 6, grad=True),
        "online_64", 0.3, True, 4, 5.0,
    ),
}  # fmt: skip


def test_every_operator_is_called() -> None:
    assert sorted(CALLS) == sorted(torch_ops.__all__)
    assert torch.ops.accelsim.cast is not None
    with pytest.raises(AttributeError, match="it has"):
        of("no_such")


@pytest.mark.parametrize("name", sorted(CALLS))
def test_torch_checks_the_operator(name: str) -> None:
    torch.library.opcheck(of(name), CALLS[name])


def test_bits_are_those_of_the_kernels() -> None:
    x, y = tensor(X), tensor(Y)
    assert np.array_equal(of("encode")(x, "fp6_e3m2", "up").numpy(), encode(X, "fp6_e3m2", "up"))
    cast = of("cast")(x, "bf16", "toward_zero").numpy()
    assert same(cast, decode(encode(X, "bf16", "toward_zero"), "bf16"))
    made = quantize_blocks(X, "nvfp4")
    assert same(of("fake_quantize_blocks")(x, "nvfp4").numpy(), dequantize_blocks(*made, "nvfp4"))
    product = of("matmul")(x, y, "hopper_fp8", "fp8_e4m3", "fp8_e5m2")
    wanted = matmul(
        encode(X, "fp8_e4m3"), encode(Y, "fp8_e5m2"), "hopper_fp8", a_format="fp8_e4m3",
        b_format="fp8_e5m2",
    )  # fmt: skip
    assert np.array_equal(product.numpy().view(np.uint32), wanted)
    q, k, v = (heads(1, 2, 70, d) for d in (8, 8, 5))
    found = of("attention")(q, k, v, "flash_attention_2", None, True)
    wanted = attention(q.numpy(), k.numpy(), v.numpy(), "flash_attention_2", causal=True)
    assert same(found.numpy(), wanted)


def test_types_of_torch_are_taken_as_codes() -> None:
    x, y = tensor(X), tensor(Y)
    eight = of("matmul")(x.to(torch.float8_e4m3fn), y.to(torch.float8_e5m2), "hopper_fp8")
    named = of("matmul")(
        x.to(torch.float8_e4m3fn).view(torch.uint8), y.to(torch.float8_e5m2).view(torch.uint8),
        "hopper_fp8", "fp8_e4m3", "fp8_e5m2",
    )  # fmt: skip
    assert torch.equal(eight, named)
    sixteen = of("matmul")(x.bfloat16(), y.bfloat16(), "ampere_bf16")
    assert (sixteen - x.bfloat16().double() @ y.bfloat16().double().T).abs().max() < 1e-4 * (
        sixteen.abs().max()
    )
    whole = of("matmul")(tensor(codes(1, 4, 8)), tensor(codes(2, 3, 8)), "int32_exact")
    assert whole.dtype == torch.int32
    half = of("attention")(*(heads(1, 1, 9, 8).bfloat16() for _ in range(3)), "online_64")
    assert half.dtype == torch.bfloat16


def test_views_and_strides_change_no_bit() -> None:
    wide = tensor(np.tile(X, (1, 2)))
    part = wide[:, ::2]
    assert torch.equal(of("cast")(part, "fp8_e4m3"), of("cast")(part.clone(), "fp8_e4m3"))
    x, y, turned = tensor(X), tensor(Y), tensor(X.T).T
    assert torch.equal(of("matmul_chain")(turned, y), of("matmul_chain")(x, y))
    cube = tensor(X).reshape(2, 3, 32)
    assert torch.equal(
        of("fake_quantize")(cube, steps(6), "int8").reshape(6, 32),
        of("fake_quantize")(tensor(X), steps(6), "int8"),
    )


def gradient(made: Any, *leaves: Any) -> list[Any]:
    seed = torch.arange(made.numel(), dtype=made.dtype).reshape(made.shape) / 7 - 1
    return list(torch.autograd.grad(made, leaves, seed))


def test_gradients_are_straight_through_where_nothing_is_clipped() -> None:
    x = tensor(X, True)
    (got,) = gradient(of("cast")(x, "fp4_e2m1"), x)
    (want,) = gradient(x.clamp(-6, 6), x)
    assert torch.equal(got, want)
    s = steps(6)
    (got,) = gradient(of("fake_quantize")(x, s, "int4"), x)
    passes = (x.detach().abs() <= 7 * s[:, None]).float()
    assert torch.equal(got, gradient(x * passes, x)[0])
    (got,) = gradient(of("fake_quantize_affine")(x, s, points(6), "int8"), x)
    (want,) = gradient(torch.fake_quantize_per_channel_affine(x, s, points(6), 0, -128, 127), x)
    assert torch.equal(got, want)
    (got,) = gradient(of("fake_quantize_blocks")(x, "mxfp8_e4m3"), x)
    assert torch.equal(got, gradient(x * 1.0, x)[0])


def test_gradients_of_products() -> None:
    x, y = tensor(X, True), tensor(Y, True)
    want = gradient(x @ y.T, x, y)
    for made in (
        of("matmul_chain")(x, y),
        of("matmul")(x, y, "hopper_fp8", "fp8_e4m3", "fp8_e4m3"),
    ):
        for got, wanted in zip(gradient(made, x, y), want, strict=True):
            assert torch.allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "shown", "added"])
def test_gradients_of_attention_are_those_of_torch(causal: bool, kind: str) -> None:
    q, k, v = (
        heads(2, 4, 6, 8, grad=True),
        heads(2, 2, 9, 8, grad=True),
        heads(2, 2, 9, 5, grad=True),
    )
    shown = torch.from_numpy(np.random.default_rng(1).random((2, 1, 6, 9)) < 0.8)
    shown[..., 0] = True
    late = torch.ones(6, 9).triu(4).bool() if causal else torch.zeros(6, 9).bool()
    added = torch.zeros(2, 1, 6, 9).masked_fill(~shown, -torch.inf) + heads(2, 1, 6, 9)
    mask = {"none": None, "shown": shown, "added": added}[kind]
    whole = torch.zeros(2, 1, 6, 9) if kind == "none" else added if kind == "added" else (
        torch.zeros(2, 1, 6, 9).masked_fill(~shown, -torch.inf))  # fmt: skip
    want = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=whole.masked_fill(late, -torch.inf), scale=0.3, enable_gqa=True
    )
    made = of("attention")(q, k, v, "whole_row", 0.3, causal, 0, 0.0, mask)
    assert torch.allclose(made, want, atol=1e-5)
    for got, wanted in zip(gradient(made, q, k, v), gradient(want, q, k, v), strict=True):
        assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_windows_and_caps_have_gradients() -> None:
    q, k, v = (heads(1, 1, 7, 4, grad=True) for _ in range(3))
    made = of("attention")(q, k, v, "whole_row", 0.3, True, 3, 2.0)
    scores = 2.0 * torch.tanh(q @ k.transpose(-1, -2) * 0.3 / 2.0)
    ones = torch.ones(7, 7)
    hidden = ones.triu(1).bool() | ones.tril(-3).bool()
    want = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v
    assert torch.allclose(made, want, atol=1e-5)
    for got, wanted in zip(gradient(made, q, k, v), gradient(want, q, k, v), strict=True):
        assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5)


class Layer(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is not followed
    """A quantized linear layer and attention over its rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(16, 32) * 0.2)

    def forward(self, x: Any) -> Any:
        scale = of("scales")(of("absmax")(self.weight.detach()), "int8", "fp32")
        weight = of("fake_quantize")(self.weight, scale, "int8")
        made = of("matmul")(x, weight, "hopper_fp8", "fp8_e4m3", "fp8_e4m3")
        rows = made.reshape(1, 1, *made.shape)
        return of("attention")(rows, rows, rows, "online_64")[0, 0]


def test_it_traces_and_exports() -> None:
    layer, x = Layer(), tensor(X)
    wanted = layer(x)
    compiled = Layer()
    compiled.compile(fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), wanted)
    compiled(x).sum().backward()
    assert compiled.weight.grad is not None
    exported = torch.export.export(layer, (x,))
    assert torch.equal(exported.module()(x), wanted)
    assert "accelsim.attention" in str(exported.graph)
    shape = Layer().to("meta")(x.to("meta")).shape
    assert shape == wanted.shape


def test_a_layer_learns() -> None:
    layer, x = Layer(), tensor(X)
    target = tensor(numbers(9, 6, 16, spread=0))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="arithmetic"):
        of("matmul")(tensor(X), tensor(Y), "abacus")
    with pytest.raises(ValueError, match="format"):
        of("cast")(tensor(X), "fp9")
    with pytest.raises(ValueError, match="scales"):
        of("fake_quantize")(tensor(X), steps(5), "int8")


def test_a_tensor_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Far:
        device = torch.device("cuda:0")

    with pytest.raises(
        ValueError, match=r"q lies on cuda:0; kernels run on the CPU: use q.cpu\(\)"
    ):
        torch_ops.on_cpu("q", Far())


def test_without_torch_the_kernels_load_and_the_operators_say_what_is_missing() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import accelsim_kernels; accelsim_kernels.matmul_int8\n"
        "try: import accelsim_kernels.torch_ops\n"
        "except ImportError as e: sys.exit(0 if 'install accelsim[torch]' in str(e) else 1)\n"
        "sys.exit(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert done.returncode == 0
    assert accelsim_kernels.__name__ == "accelsim_kernels"
