"""Plans printed as loop nests."""

from __future__ import annotations

from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping.machine import DATAFLOWS, Machine
from accelsim.mapping.workload import AttentionWorkload, GemmWorkload

_DIM_NAMES = "bmnk"


def gemm_nest(workload: GemmWorkload, machine: Machine, choice: Ints) -> str:
    """Print tile loops per level, what each level holds, and the array's dataflow."""
    outer = [workload.batch, workload.m, workload.n, workload.k]
    lines = [f"{machine.arch.dram.standard}: A, W, O"]
    indent = 1
    for level in reversed(range(machine.levels_used)):
        base = at.S_LEVEL0 + at.S_STRIDE * level
        tile = [int(size) for size in choice[base : base + 4]]
        for dim in (at.B, *at.ORDERS[int(choice[base + 4])]):
            trips = -(-outer[dim] // tile[dim])
            if trips > 1:
                lines.append(f"{'  ' * indent}for {_DIM_NAMES[dim]} in {trips} x {tile[dim]}:")
                indent += 1
        held = _held(tile)
        lines.append(f"{'  ' * indent}{machine.arch.memories[level].name}: {held}")
        outer = tile
    lines.append("  " * indent + _on_array(machine, choice))
    return "\n".join(lines)


def _held(tile: list[int]) -> str:
    b, m, n, k = tile
    batch = f"{b}x" if b > 1 else ""
    return f"A[{batch}{m}x{k}] W[{batch}{k}x{n}] O[{batch}{m}x{n}]"


def _on_array(machine: Machine, choice: Ints) -> str:
    array = machine.array
    if array is None:
        return "vector unit"
    flow = DATAFLOWS[int(choice[at.S_DATAFLOW])]
    text = f"{array.name} {array.rows}x{array.columns}, {flow}"
    if array.count > 1:
        b, m, n = (int(choice[i]) for i in (at.S_SPLIT_B, at.S_SPLIT_M, at.S_SPLIT_N))
        text += f", {array.count} arrays split b={b} m={m} n={n}"
    return text


def attention_nest(workload: AttentionWorkload, machine: Machine, choice: Ints) -> str:
    """Print the loops of fused attention."""
    dataflow, heads, rows, queries, keys, resident = (int(value) for value in choice)
    array = machine.array
    flow = DATAFLOWS[dataflow]
    name = f"{array.name} {array.rows}x{array.columns}, {flow}" if array else "array"
    kept = machine.arch.memories[-1].name if resident else machine.arch.memories[0].name
    return "\n".join(
        (
            f"{machine.arch.dram.standard}: Q, K, V, O",
            f"  for heads in {-(-workload.units // heads)} x {heads}:  # K, V in {kept}",
            f"    for queries in {-(-workload.queries // queries)} x {queries}:",
            f"      for keys in {-(-workload.keys // keys)} x {keys}"
            f"{' (causal: blocks above the diagonal are skipped)' if workload.causal else ''}:",
            f"        S = Q K^T; online softmax; O += P V on {name}, rows split {rows}",
        )
    )
