"""The recording mode: sees every torch function with the module that called it, and names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from accelsim.errors import CaptureError
from accelsim.graph.ir import Op, Role, Tensor
from accelsim.graph.record_call import DTYPES, Call, Draft, Refusal, shares_storage, tensors_in
from accelsim.graph.record_composite import COMPOSITES
from accelsim.graph.record_functions import FUNCTIONS, QUERIES
from accelsim.graph.record_modules import Boundary, at_boundary, boundary
from accelsim.graph.rewrite import output_names

#: Functions that bring values from Python: a constant of the graph, not an op.
LITERALS = frozenset({"tensor", "as_tensor", "asarray", "from_numpy"})
#: What to try when a function has no model.
ADVICE = (
    "replace it with a function of the table (docs/graphs.md), or add a row to "
    "accelsim/graph/record_functions.py"
)


#: Functions that bring values to Python, where they can steer what runs next.
READS = frozenset({
    "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero",
    "unique", "bincount", "masked_select", "__array__", "equal", "allclose", "__contains__",
})  # fmt: skip


class Recorder(TorchFunctionMode):
    """Records the ops of one run.

    Attributes:
        tensors: the graph's tensors by name.
        ops: the graph's ops in order.
        stack: path of every module that is running, the innermost last.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.stack: list[str] = []
        self._values: Any = WeakIdKeyDictionary()
        self._known: Any = WeakIdKeyDictionary()
        self._labels: Counter[str] = Counter()
        self._paused = 0
        self._open: list[Boundary | None] = []
        self._paths = {id(m): path for path, m in module.named_modules()}
        for name, buffer in module.named_buffers(remove_duplicate=False):
            self._known.setdefault(buffer, (name, "constant"))
        for name, weight in module.named_parameters(remove_duplicate=False):
            self._known.setdefault(weight, (name, "weight"))

    @property
    def path(self) -> str:
        """Path of the module that is running."""
        return self.stack[-1] if self.stack else ""

    @contextmanager
    def running(self) -> Iterator[Recorder]:
        """Record what runs inside."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, with_kwargs=True)
        with ExitStack() as stack:
            stack.callback(before.remove)
            stack.callback(after.remove)
            stack.enter_context(torch.no_grad())
            stack.enter_context(self)
            yield self

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let torch run without being recorded."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def declare(self, tensor: torch.Tensor, name: str, role: Role) -> str:
        """Give a tensor of the graph's boundary its name and role."""
        unique = name
        while unique in self.tensors:
            self._labels[name] += 1
            unique = f"{name}_{self._labels[name]}"
        self.tensors[unique] = self._described(tensor, unique, role)
        self._values[tensor] = unique
        return unique

    def value(self, tensor: torch.Tensor) -> str:
        """Return the name of a tensor; one that nobody made is a constant of the module."""
        found: str | None = self._values.get(tensor)
        if found is not None:
            return found
        name, role = self._known.get(tensor, (self._join("constant"), "constant"))
        return self.declare(tensor, name, role)

    def add(self, draft: Draft) -> None:
        """Append the op of a draft and name what it makes."""
        inputs = tuple(self.value(tensor) for tensor in draft.inputs)
        made = draft.outputs or ()
        stem = self._join(draft.label or draft.kind)
        name = f"{stem}_{self._labels[stem]}" if self._labels[stem] else stem
        self._labels[stem] += 1
        outputs = output_names(name, len(made))
        self.ops.append(Op(name, draft.kind, inputs, outputs, dict(draft.attrs), self.path))
        for tensor, output in zip(made, outputs, strict=True):
            role: Role = "cache" if draft.kind == "kv_append" else "activation"
            self.tensors[output] = self._described(tensor, output, role)
            if tensor in self._values:
                self._overwrite(tensor, output)
            self._values[tensor] = output

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a torch function and record it."""
        kwargs = kwargs or {}
        name = function_name(func)
        if self._paused or name in QUERIES:
            return func(*args, **kwargs)
        if name in COMPOSITES:
            with self:
                return COMPOSITES[name](*args, **kwargs)
        out = func(*args, **kwargs)
        self._record(Call(name, args, kwargs, out))
        return out

    def _record(self, call: Call) -> None:
        if call.name in LITERALS:
            self.declare(call.out, self._join("constant"), "constant")
            return
        base = call.name
        if base.endswith("_") and not base.endswith("__"):
            base = base.rstrip("_")
        rule = FUNCTIONS.get(base)
        if rule is None:
            if base in READS:
                raise CaptureError(
                    f"{call.name} in module {self.path!r} reads values, so what follows depends on "
                    "them: record the part before or after it as a module"
                )
            raise CaptureError(f"no model for {call.name} in module {self.path!r}: {ADVICE}")
        if call.kwargs.get("out") is not None:
            raise CaptureError(f"{call.name} with out= in module {self.path!r} has no model")
        try:
            drafted = rule(Call(base, call.args, call.kwargs, call.out))
        except Refusal as error:
            raise CaptureError(f"{call.name} in module {self.path!r}: {error}") from None
        for draft in drafted if isinstance(drafted, list) else [drafted]:
            if draft is not None:
                made = draft.outputs or tuple(tensors_in(call.out))
                label = draft.label or base.strip("_")
                self.add(Draft(draft.kind, draft.inputs, draft.attrs, label, made))

    def _overwrite(self, tensor: torch.Tensor, output: str) -> None:
        """After an op in place, other names of the same bytes hold the new values too."""
        for other, name in list(self._values.items()):
            if other is not tensor and shares_storage(other, tensor):
                alias = f"{output}.alias_{self._labels[output]}"
                self._labels[output] += 1
                self.tensors[alias] = self._described(other, alias, "activation")
                self.ops.append(
                    Op(alias, "view", (name, output), (alias,), {"fn": "alias"}, self.path)
                )
                self._values[other] = alias

    def _described(self, tensor: torch.Tensor, name: str, role: Role) -> Tensor:
        if tensor.dtype not in DTYPES:
            raise CaptureError(
                f"{name}: no number format for {tensor.dtype}; cast the model to one of "
                f"{', '.join(sorted(DTYPES.values()))}"
            )
        return Tensor(name, tuple(tensor.shape), role, DTYPES[tensor.dtype])

    def _join(self, label: str) -> str:
        return f"{self.path}.{label}" if self.path else label

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        known = self._paths.get(id(module))
        self.stack.append(self._join(type(module).__name__) if known is None else known)
        rule = None if self._paused else boundary(module)
        self._open.append(rule)
        self._paused += rule is not None

    def _leave(self, module: torch.nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        rule = self._open.pop()
        if rule is not None:
            self._paused -= 1
            try:
                self.add(at_boundary(rule, module, Call("", args, kwargs, out)))
            except Refusal as error:
                raise CaptureError(f"module {self.path!r}: {error}") from None
        self.stack.pop()


def function_name(func: Callable[..., Any]) -> str:
    """Return the name under which the tables know a torch function; properties by their own."""
    name = getattr(func, "__name__", str(func))
    if name in ("__get__", "__set__"):
        return str(getattr(getattr(func, "__self__", None), "__name__", name))
    return str(name)
