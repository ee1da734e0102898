"""The op table: one file per op family, one entry per kind, and the verifier over all of it."""

from accelsim.graph.ir import Graph, check_structure
from accelsim.graph.ops import (  # noqa: F401  (importing a family fills the table)
    attention,
    conv,
    linear,
    movement,
    normalize,
    pointwise,
    quantization,
)
from accelsim.graph.ops.table import (
    OPS,
    Access,
    Gemm,
    OpKind,
    access,
    check_op,
    executed_macs,
    kind_of,
    macs,
    vector_work,
)

__all__ = [
    "OPS", "Access", "Gemm", "OpKind", "access", "check_op", "executed_macs", "kind_of", "macs",
    "vector_work", "verify",
]  # fmt: skip


def verify(graph: Graph) -> Graph:
    """Check names, order, shapes and attributes of every op, and return the graph.

    Raises:
        GraphError: the first op that does not fit, by name.
    """
    check_structure(graph)
    for op in graph.ops:
        check_op(graph, op)
    return graph
