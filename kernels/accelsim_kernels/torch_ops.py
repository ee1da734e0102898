"""The kernels as operators of torch: the same bits, traceable, with straight-through gradients.

``accelsim_kernels.torch_ops.cast(x, "fp8_e4m3")`` is ``torch.ops.accelsim.cast``. Every operator
runs the kernel of the same name on the memory of its tensors, has a fake kernel, so that
``torch.export`` and ``torch.compile(fullgraph=True)`` trace it, and, where numbers come out that
numbers went into, a gradient that takes rounding for the identity: casts and quantizers pass it
where they do not clip (clipped straight-through estimator), products have that of products,
attention that of softmax. Scales, codes and masks get none.

Tensors lie on the CPU. float8, bfloat16 and float16 operands of ``matmul`` are taken as codes
without a copy; elsewhere numbers narrower than float32 are widened, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels import affine as _affines
from accelsim_kernels import blocks as _scaled
from accelsim_kernels import codec as _codec
from accelsim_kernels import integer as _integer
from accelsim_kernels import matmul as _chains
from accelsim_kernels import product as _product
from accelsim_kernels import quantize as _rows_of
from accelsim_kernels import sparse as _sparse
from accelsim_kernels.attention import attention as attend
from accelsim_kernels.formats import format_of
from accelsim_kernels.presets import PRESETS
from accelsim_kernels.torch_gradients import (
    Gradients,
    affine_backward,
    attention_backward,
    cast_backward,
    fake_quantize_backward,
    identity,
    product_backward,
    rows,
)

try:
    import torch
    from torch import Tensor
except ImportError as error:  # pragma: no cover
    raise ImportError("accelsim_kernels.torch_ops needs torch: install accelsim[torch]") from error

Array = npt.NDArray[Any]

#: Formats of torch's types; of those that NumPy lacks, the type whose bits are taken.
_FORMATS = {
    torch.float8_e4m3fn: "fp8_e4m3", torch.float8_e5m2: "fp8_e5m2",
    torch.float8_e4m3fnuz: "fp8_e4m3fnuz", torch.float8_e5m2fnuz: "fp8_e5m2fnuz",
    torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64",
}  # fmt: skip
_RAW = {
    torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8,
    torch.float8_e4m3fnuz: torch.uint8, torch.float8_e5m2fnuz: torch.uint8,
    torch.bfloat16: torch.uint16,
}  # fmt: skip
_TYPES = {name: dtype for dtype, name in _FORMATS.items()} | {
    "int32": torch.int32, "int64": torch.int64,
}  # fmt: skip


def on_cpu(name: str, x: Any) -> None:
    """Check where a tensor lies.

    Raises:
        ValueError: not on the CPU.
    """
    if x.device.type != "cpu":
        raise ValueError(f"{name} lies on {x.device}; kernels run on the CPU: use {name}.cpu()")


def _bits(name: str, x: Tensor) -> Array:
    """Return the memory of a tensor; types that NumPy lacks as unsigned integers."""
    on_cpu(name, x)
    plain = x.detach().contiguous()
    return np.asarray(plain.view(_RAW[x.dtype]).numpy() if x.dtype in _RAW else plain.numpy())


def _numbers(name: str, x: Tensor) -> Array:
    """Return float32 numbers, or float64 as they are."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    return _bits(name, wide)


def _tensor(made: Array, *given: Array) -> Tensor:
    """Return an array as a tensor with memory of its own."""
    owned = made.copy() if any(np.shares_memory(made, x) for x in given) else made
    return torch.from_numpy(np.ascontiguousarray(owned))


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


# Casts and quantizers -----------------------------------------------------------------------------


def _encode(
    x: Tensor, format: str, rounding: str = "nearest_even", overflow: str = "saturate"
) -> Tensor:
    return _tensor(_codec.encode(_numbers("x", x), format, rounding, overflow))


def _encode_fake(x: Tensor, format: str, *_: Any) -> Tensor:
    bits = format_of(format).bits
    word = next(w for n, w in _WORDS.items() if bits <= n)
    return x.new_empty(x.shape, dtype=word)


_WORDS = {8: torch.uint8, 16: torch.uint16, 32: torch.uint32, 64: torch.uint64}


def _cast(
    x: Tensor, format: str, rounding: str = "nearest_even", overflow: str = "saturate"
) -> Tensor:
    given = _numbers("x", x)
    codes = _codec.encode(given, format, rounding, overflow)
    return _tensor(_codec.decode(codes, format, given.dtype))


def _fake_quantize(x: Tensor, scales: Tensor, format: str) -> Tensor:
    flat, steps = _numbers("x", rows(x)), _bits("scales", scales)
    codes = _rows_of.quantize(flat, steps, format)
    return _tensor(_rows_of.dequantize(codes, steps, format)).reshape(x.shape)


def _blocks(
    x: Tensor, format: str, scale_rule: str = "", rounding: str = "nearest_even", block: int = 0,
    tensor_scale: float = 1.0,
) -> Tensor:  # fmt: skip
    flat = _numbers("x", rows(x))
    made = _scaled.quantize_blocks(
        flat, format, scale_rule, rounding, block=block, tensor_scale=tensor_scale
    )
    found = _scaled.dequantize_blocks(*made, format, block=block, tensor_scale=tensor_scale)
    return _tensor(found).reshape(x.shape)


def _affine(x: Tensor, scales: Tensor, zero_points: Tensor, format: str, group: int = 0) -> Tensor:
    flat = _numbers("x", rows(x))
    steps, points = _bits("scales", scales), _bits("zero_points", zero_points)
    codes = _affines.quantize_affine(flat, steps, points, format, group=group)
    return _tensor(_affines.dequantize_affine(codes, steps, points, group=group)).reshape(x.shape)


# Products -----------------------------------------------------------------------------------------


def _operand(name: str, x: Tensor, fmt: str) -> tuple[Array, str | None]:
    """Return codes and their format; numbers are rounded to a format that is named."""
    own = _FORMATS.get(x.dtype)
    if own is None or not fmt or fmt == own or (own, fmt) == ("fp32", "tf32"):
        named = fmt or (own if own not in ("fp32", None) else None)
        return _bits(name, x), named or None
    return _codec.encode(_numbers(name, x), fmt), fmt


def _matmul(
    a: Tensor, b: Tensor, arithmetic: str, a_format: str = "", b_format: str = "",
    a_scales: Tensor | None = None, b_scales: Tensor | None = None,
) -> Tensor:  # fmt: skip
    (left, left_format), (right, right_format) = (
        _operand("a", a, a_format), _operand("b", b, b_format),
    )  # fmt: skip
    made = _product.matmul(
        left, right, arithmetic, a_format=left_format, b_format=right_format,
        a_scales=None if a_scales is None else _bits("a_scales", a_scales),
        b_scales=None if b_scales is None else _bits("b_scales", b_scales),
    )  # fmt: skip
    found = _tensor(made, left, right)
    wanted = _TYPES[PRESETS[arithmetic].spill]
    return found if found.dtype == wanted else found.view(wanted)


def _matmul_fake(a: Tensor, b: Tensor, arithmetic: str, *_: Any) -> Tensor:
    if arithmetic not in PRESETS:
        raise ValueError(f"arithmetic is {arithmetic!r}; {', '.join(PRESETS)} are allowed")
    return a.new_empty((a.shape[0], b.shape[0]), dtype=_TYPES[PRESETS[arithmetic].spill])


def _attention(
    q: Tensor, k: Tensor, v: Tensor, arithmetic: str = "whole_row",
    scale: float | None = None, causal: bool = False, window: int = 0, softcap: float = 0.0,
    mask: Tensor | None = None, probabilities: str = "",
) -> Tensor:  # fmt: skip
    made = attend(
        _numbers("q", q), _numbers("k", k), _numbers("v", v), arithmetic, scale=scale,
        causal=causal, window=window, softcap=softcap,
        mask=None if mask is None else _bits("mask", mask),
        probabilities=probabilities or _FORMATS.get(v.dtype, "fp32"),
        format=_FORMATS.get(q.dtype, "fp32"),
    )  # fmt: skip
    return _tensor(made).to(q.dtype)


# The table ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Op:
    """One operator: schema, kernel, fake kernel, and the gradients of its leading arguments."""

    schema: str
    run: Callable[..., Any]
    fake: Callable[..., Any]
    backward: Callable[[Any, Tensor], Gradients] | None = None


def _plain(kernel: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """Return a kernel over tensors: ``names`` are those of its leading arguments."""

    def run(*arguments: Any) -> Any:
        count = len(names)
        given = [_bits(name, x) for name, x in zip(names, arguments[:count], strict=True)]
        made = kernel(*given, *arguments[count:])
        if isinstance(made, tuple):
            return tuple(_tensor(part, *given) for part in made)
        return _tensor(made, *given)

    return run


def _like(dtype: torch.dtype | None = None) -> Callable[..., Tensor]:
    return lambda x, *_: x.new_empty(x.shape, dtype=dtype or _wide(x))


def _sums(dtype: torch.dtype) -> Callable[..., Tensor]:
    return lambda a, b, *_: a.new_empty((a.shape[0], b.shape[0]), dtype=dtype)


def _compressed(codes: Tensor) -> tuple[Tensor, Tensor]:
    rows, k = codes.shape
    return codes.new_empty((rows, k // 2)), codes.new_empty((rows, k // 8), dtype=torch.uint8)


def _code_type(fmt: str) -> torch.dtype:
    return torch.uint8 if fmt.startswith(("fp8", "uint")) else torch.int8


_ROUNDED = 'str format, str rounding="nearest_even", str overflow="saturate"'
_AFFINE = "Tensor x, Tensor scales, Tensor zero_points, str format, int group=0"

_OPS = {
    "encode": _Op(f"(Tensor x, {_ROUNDED}) -> Tensor", _encode, _encode_fake),
    "decode": _Op(
        "(Tensor codes, str format) -> Tensor", _plain(_codec.decode, "codes"), _like(torch.float32)
    ),
    "cast": _Op(f"(Tensor x, {_ROUNDED}) -> Tensor", _cast, _like(), cast_backward),
    "absmax": _Op(
        "(Tensor x) -> Tensor", _plain(_rows_of.absmax, "x"), lambda x: x.new_empty(x.shape[:1])
    ),
    "scales": _Op(
        "(Tensor absmax, str format, str scale_format) -> Tensor",
        _plain(_rows_of.scales, "absmax"), _like(torch.float32),
    ),
    "quantize": _Op(
        "(Tensor x, Tensor scales, str format) -> Tensor",
        _plain(_rows_of.quantize, "x", "scales"),
        lambda x, scales, format: x.new_empty(x.shape, dtype=_code_type(format)),
    ),
    "dequantize": _Op(
        "(Tensor codes, Tensor scales, str format) -> Tensor",
        _plain(_rows_of.dequantize, "codes", "scales"), _like(torch.float32),
    ),
    "fake_quantize": _Op(
        "(Tensor x, Tensor scales, str format) -> Tensor",
        _fake_quantize, _like(torch.float32), fake_quantize_backward,
    ),
    "fake_quantize_affine": _Op(
        f"({_AFFINE}) -> Tensor", _affine, _like(torch.float32), affine_backward
    ),
    "fake_quantize_blocks": _Op(
        '(Tensor x, str format, str scale_rule="", str rounding="nearest_even", int block=0, '
        "float tensor_scale=1.0) -> Tensor",
        _blocks, _like(torch.float32), identity,
    ),
    "matmul": _Op(
        '(Tensor a, Tensor b, str arithmetic, str a_format="", str b_format="", '
        "Tensor? a_scales=None, Tensor? b_scales=None) -> Tensor",
        _matmul, _matmul_fake, product_backward,
    ),
    "matmul_chain": _Op(
        "(Tensor a, Tensor b) -> Tensor",
        _plain(_chains.matmul_chain, "a", "b"), _sums(torch.float32), product_backward,
    ),
    "matmul_int8": _Op(
        "(Tensor a, Tensor b) -> Tensor",
        _plain(_integer.matmul_int8, "a", "b"), _sums(torch.int32),
    ),
    "matmul_int4": _Op(
        "(Tensor a, Tensor b, Tensor scales, int group) -> Tensor",
        _plain(_integer.matmul_int4, "a", "b", "scales"), _sums(torch.float32),
    ),
    "prune_2to4": _Op(
        "(Tensor w) -> Tensor", _plain(_sparse.prune_2to4, "w"), _like(torch.bool)
    ),
    "compress_2to4": _Op(
        "(Tensor codes) -> (Tensor, Tensor)", _plain(_sparse.compress_2to4, "codes"), _compressed
    ),
    "decompress_2to4": _Op(
        "(Tensor values, Tensor indices) -> Tensor",
        _plain(_sparse.decompress_2to4, "values", "indices"),
        lambda values, indices: values.new_empty((values.shape[0], 2 * values.shape[1])),
    ),
    "matmul_2to4": _Op(
        "(Tensor a, Tensor values, Tensor indices) -> Tensor",
        _plain(_sparse.matmul_2to4, "a", "values", "indices"), _sums(torch.int32),
    ),
    "attention": _Op(
        '(Tensor q, Tensor k, Tensor v, str arithmetic="whole_row", float? scale=None, '
        "bool causal=False, int window=0, float softcap=0.0, Tensor? mask=None, "
        'str probabilities="") -> Tensor',
        _attention, lambda q, k, v, *_: q.new_empty((*q.shape[:3], v.shape[3])),
        attention_backward,
    ),
}  # fmt: skip


def _context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.arguments = [None if isinstance(x, Tensor) else x for x in inputs]
    ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)))


def _registered(name: str, op: _Op) -> Any:
    made = torch.library.custom_op(f"accelsim::{name}", op.run, mutates_args=(), schema=op.schema)
    made.register_fake(op.fake)
    gradients = op.backward
    if gradients is not None:

        def backward(ctx: Any, grad: Tensor) -> Gradients:
            found = gradients(ctx, grad)
            return (*found, *(None,) * (len(ctx.arguments) - len(found)))

        made.register_autograd(backward, setup_context=_context)
    return made


_MADE = {name: _registered(name, op) for name, op in _OPS.items()}

__all__ = sorted(_OPS)


def __getattr__(name: str) -> Any:
    if name in _MADE:
        return _MADE[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {sorted(_MADE)}")
