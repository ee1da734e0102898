"""From a torch model to a graph: run it once under the recorder.

The model runs on whatever device its arguments are on; on ``meta`` nothing is computed and no
weights exist. Only the ``record`` files of this package import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from accelsim.errors import AccelsimError, CaptureError
from accelsim.graph.ir import Graph
from accelsim.graph.ops import verify
from accelsim.graph.recognize import recognize
from accelsim.graph.record_call import tensors_in
from accelsim.graph.record_mode import Recorder


def record_module(
    module: torch.nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str = "module",
) -> Graph:
    """Return the graph of one call of a live module.

    Raises:
        CaptureError: an op without a model, or a call that fails; one line with what to try.
    """
    recorder = Recorder(module)
    out = run(recorder, module, args, kwargs or {})
    return finish(recorder, out, name)


def run(
    recorder: Recorder, module: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call the module under the recorder, in evaluation mode, and return what it returns.

    Raises:
        CaptureError: the call fails.
    """
    given = [(f"input_{i}", tensor) for i, tensor in enumerate(tensors_in(list(args)))]
    given += [(key, tensor) for key, value in kwargs.items() for tensor in tensors_in(value)]
    for i, (key, tensor) in enumerate(given):
        if not any(tensor is other for _, other in given[:i]):  # given twice: one tensor
            recorder.declare(tensor, key, "input")
    training = module.training
    module.eval()
    try:
        with recorder.running():
            return module(*args, **kwargs)
    except AccelsimError:
        raise
    except Exception as error:  # whatever a model's own code raises is a reason, not our defect
        reason = str(error).strip().splitlines() or [""]
        raise CaptureError(
            f"module {recorder.path!r} failed while it was recorded: {type(error).__name__}: "
            f"{reason[0]}; {_advice(error)}"
        ) from error
    finally:
        module.train(training)


def finish(
    recorder: Recorder,
    out: Any,
    name: str,
    phase: str = "prefill",
    sizes: Mapping[str, int] | None = None,
    tokens: int = 0,
) -> Graph:
    """Return the verified graph of what was recorded; caches outlive the step like outputs."""
    outputs = [recorder.value(tensor) for tensor in tensors_in(out)]
    outputs += [name for op in recorder.ops if op.kind == "kv_append" for name in op.outputs]
    graph = Graph(
        name, recorder.tensors, tuple(recorder.ops), tuple(dict.fromkeys(outputs)), phase,
        dict(sizes or {}), tokens,
    )  # fmt: skip
    return verify(recognize(graph))


def _advice(error: Exception) -> str:
    if "meta" in str(error) or "item()" in str(error):
        return "it reads values while there are none: record the part after it, or a live module"
    return "check that the model runs with these arguments outside accelsim"
