"""One-operator models for LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: The module whose absence skips a test.
LITERT = "ai_edge_litert.schema_py_generated"
_TYPES = {"int8": 9, "uint8": 3, "int16": 7, "int32": 2, "int64": 4}


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape and type or its data, its scales and zero point."""

    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero: int = 0
    data: Array | None = None


def run(
    code: int, version: int, options: int, fields: dict[str, Any], tensors: list[Tensor], x: Array
) -> Array:
    """Run one builtin operator on ``x``; the last tensor is the output, the first the input."""
    flatbuffers, interpreter, schema = (
        import_module(name) for name in ("flatbuffers", "ai_edge_litert.interpreter", LITERT)
    )
    model, graph, op, operator = (
        schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    )  # fmt: skip
    operator.builtinCode, operator.version = code, version
    operator.deprecatedBuiltinCode = min(code, 127)
    model.version, model.operatorCodes = 3, [operator]
    model.buffers, graph.tensors = [schema.BufferT()], []
    for tensor in tensors:
        made, quantization = schema.TensorT(), schema.QuantizationParametersT()
        quantization.scale = list(tensor.scales)
        quantization.zeroPoint = [tensor.zero] * len(tensor.scales)
        made.shape, made.type = list(tensor.shape), _TYPES[tensor.type]
        made.quantization, made.buffer = quantization, 0
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
    op.opcodeIndex, op.inputs = 0, list(range(len(tensors) - 1))
    op.outputs = [len(tensors) - 1]
    op.builtinOptionsType = options
    names = {value: name for name, value in vars(schema.BuiltinOptions).items()}
    if options:
        op.builtinOptions = getattr(schema, f"{names[options]}T")()
    for name, value in fields.items():
        setattr(op.builtinOptions, name, value)
    graph.inputs, graph.outputs, graph.operators = [0], op.outputs, [op]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    kind = interpreter.OpResolverType.BUILTIN_REF
    engine = interpreter.Interpreter(
        model_content=bytes(builder.Output()), experimental_op_resolver_type=kind
    )
    engine.allocate_tensors()
    engine.set_tensor(engine.get_input_details()[0]["index"], x)
    engine.invoke()
    found: Array = engine.get_tensor(engine.get_output_details()[0]["index"])
    return found
