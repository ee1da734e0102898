"""A running torch model answered by the chip's kernels: generate, caches and padding work.

The recorder sees every torch function with the module that called it. Here the function runs on
real tensors, and what it rounds is then overwritten by what the chip would have computed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from accelsim.errors import InputError
from accelsim.evaluate.benchmarks.coded import codes_of
from accelsim.graph.ir import Graph, Op
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.recognize import recognize
from accelsim.graph.record_call import Draft, tensors_in
from accelsim.graph.record_mode import Recorder
from accelsim.recipe.annotate import compressed
from accelsim.recipe.schema import Recipe
from accelsim.sim.bindings.linear import as_coded
from accelsim.sim.interpret import Interpreter, StoredModel
from accelsim.sim.numerics import ChipNumerics

Array = npt.NDArray[Any]

#: Op kinds that round: the chip's kernels answer them. All others move values or count, and torch
#: does that to the bit.
ANSWERED = frozenset({
    "matmul", "batched_matmul", "grouped_matmul", "conv2d", "norm", "softmax", "attention",
    "activation", "elementwise", "reduce",
})  # fmt: skip
#: The torch type of each storage format.
STORAGE: Mapping[str, torch.dtype] = {
    "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32,
}  # fmt: skip


#: Calls whose graphs are kept: an evaluation makes thousands.
KEPT_CALLS = 64


class _ModuleValues:
    """Weights of a live module, which must not change while it runs on the chip."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._tensors = dict(module.named_buffers()) | dict(module.named_parameters())
        self._codes = codes_of(module)

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """Return the values of a weight or buffer."""
        found: npt.NDArray[np.float32] = self._tensors[name].detach().float().numpy()
        if not np.isfinite(found).all():
            raise InputError(f"{name!r} holds values that are NaN or infinite")
        return found

    def coded(self, name: str) -> CodedWeight | None:
        """Return a weight's codes where the checkpoint holds them."""
        return None if self._codes is None else self._codes.coded(name)


class LiveModel(Recorder):
    """Answers a torch model's functions by a chip's kernels while it is running.

    Attributes:
        calls: the graphs of the last calls of the model, as they were executed.
    """

    def __init__(self, module: torch.nn.Module, recipe: Recipe, chip: ChipNumerics) -> None:
        super().__init__(module)
        wanted = STORAGE[recipe.storage]
        for name, weight in module.named_parameters():
            if weight.dtype != wanted or weight.device.type != "cpu":
                raise InputError(
                    f"{name} is {weight.dtype} on {weight.device}; recipe {recipe.name} stores "
                    f"{recipe.storage}: load the model on the CPU with dtype={wanted}"
                )
        self.recipe, self.chip = recipe, chip
        self.calls: deque[Graph] = deque(maxlen=KEPT_CALLS)
        self._stored = StoredModel(_ModuleValues(module))
        self._before: dict[int, torch.Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a torch function, and overwrite what it rounds."""
        if not self.stack:  # outside the model: sampling, bookkeeping of generate
            return func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        with self.paused():
            if name.endswith("_") and (not name.endswith("__") or name.startswith("__i")):
                self._before = {id(t): t.clone() for t in tensors_in([args, kwargs or {}])}
        try:
            return super().__torch_function__(func, types, args, kwargs)
        finally:
            self._before = {}

    def value(self, tensor: torch.Tensor) -> str:
        """Return the name of a tensor; one that nobody made comes from outside the model."""
        if tensor not in self._values and tensor not in self._known:
            return self.declare(tensor, "input", "input")
        return super().value(tensor)

    def add(self, draft: Draft) -> None:
        """Record an op and answer it."""
        super().add(draft)
        made = draft.outputs or ()
        rounds = any(t.is_floating_point() for t in made) and draft.kind in ANSWERED
        if rounds:
            with self.paused():
                self._answer(self.ops[-1], draft, made)

    def _answer(self, op: Op, draft: Draft, made: tuple[torch.Tensor, ...]) -> None:
        tensors = {name: self.tensors[name] for name in (*op.inputs, *op.outputs)}
        part = compressed(Graph(self.recipe.name, tensors, (op,), op.outputs), self.recipe)
        given = {
            name: _array(self._before.get(id(tensor), tensor))
            for name, tensor in zip(op.inputs, draft.inputs, strict=True)
            if tensors[name].role not in ("weight", "constant")
        }
        answers = Interpreter(part, self._stored, self.chip).run_part(given)
        for tensor, name in zip(made, op.outputs, strict=True):
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(answers[name])))

    def kept(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return new keys or values as the cache keeps them."""
        wanted = self.recipe.kv_cache
        if wanted is None:
            return tensor
        numbers = as_coded(_array(tensor), wanted.format, wanted.scale_format)
        return torch.from_numpy(numbers).to(tensor.dtype)

    def begin(self) -> None:
        """Forget the ops of the call before: names count from the beginning of a call."""
        self.ops, self.tensors = [], {}
        self._values.clear()
        self._labels.clear()

    def end(self) -> None:
        """Keep the graph of the call that has ended."""
        outputs = tuple(name for op in self.ops[-1:] for name in op.outputs)
        outputs += tuple(n for op in self.ops if op.kind == "kv_append" for n in op.outputs)
        self.calls.append(recognize(Graph("live", dict(self.tensors), tuple(self.ops), outputs)))

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        if not self.stack:
            self.begin()
        super()._enter(module, args)

    def _leave(self, module: torch.nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        super()._leave(module, args, kwargs, out)
        if not self.stack:
            self.end()


def _array(tensor: torch.Tensor) -> Array:
    plain = tensor.detach()
    return (plain.float() if plain.is_floating_point() else plain).numpy()  # type: ignore[no-any-return]  # torch is not followed


@contextmanager
def on_chip(
    module: torch.nn.Module,
    recipe: Recipe,
    chip: ChipNumerics,
    kind: type[LiveModel] = LiveModel,
) -> Iterator[LiveModel]:
    """Let a torch model compute as a chip does, for as long as the context is open.

    Args:
        module: a model on the CPU in the recipe's storage format; its weights must not change.
        recipe: how it is compressed.
        chip: the arithmetic.
        kind: what answers.

    Raises:
        InputError: another number type or device, or an op that has no kernel.
    """
    live = kind(module, recipe, chip)
    with _caches(live), _masks(live), live.running():
        yield live


@contextmanager
def _caches(live: LiveModel) -> Iterator[None]:
    """Appending to a cache is one op, as when a model is recorded."""
    original = DynamicLayer.update

    def update(
        layer: Any, keys: torch.Tensor, values: torch.Tensor, *rest: Any, **more: Any
    ) -> Any:
        old = (layer.keys, layer.values) if layer.is_initialized else (None, None)
        with live.paused():
            kept = [live.kept(tensor) for tensor in (keys, values)]
            whole = original(layer, *kept, *rest, **more)
        named = zip(("key", "value"), (keys, values), old, whole, strict=True)
        for what, new, before, after in named:
            past = () if before is None or not before.numel() else (before,)
            live.add(Draft("kv_append", (new, *past), {}, f"kv_append_{what}", (after,)))
        return whole

    DynamicLayer.update = update
    try:
        yield
    finally:
        DynamicLayer.update = original


@contextmanager
def _masks(live: LiveModel) -> Iterator[None]:
    """What a mask is made of is no part of the model: its bits are an input."""
    originals = {name: ALL_MASK_ATTENTION_FUNCTIONS[name] for name in ("sdpa", "eager")}

    def quiet(original: Callable[..., Any]) -> Callable[..., Any]:
        def make(**options: Any) -> Any:
            with live.paused():
                mask = original(**options)
            if isinstance(mask, torch.Tensor):
                live.declare(mask, "mask", "input")
            return mask

        return make

    for name, original in originals.items():
        ALL_MASK_ATTENTION_FUNCTIONS[name] = quiet(original)
    try:
        yield
    finally:
        for name, original in originals.items():
            ALL_MASK_ATTENTION_FUNCTIONS[name] = original
