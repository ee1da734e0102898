"""2:4 sparsity as torch and torchao make it."""

from __future__ import annotations

import numpy as np

from accelsim.validate.catalog.bits import Array
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.sparse import prune_2to4
from accelsim_kernels.sparse_torch import prune_tiles, to_semi_structured


def _compressed(case: Case) -> tuple[Array, Array]:
    """Bfloat16 stands as bits, in int16."""
    dense = case["dense"]
    values, meta = to_semi_structured(dense.view(np.uint16) if dense.dtype == np.int16 else dense)
    return values.view(dense.dtype), meta


def _pruned(case: Case) -> Array:
    """Torchao multiplies by the mask: a negative value that is pruned becomes -0."""
    return case["w"] * prune_2to4(case["w"]).astype(np.float32)


_DENSE = {"dense": "{case}_dense"}
_CASES = {"case": r"(?:int8|f16|bf16)_\d+x\d+"}

OUTPUTS: tuple[Output, ...] = (
    Output("sparse24", "{case}_values", _CASES, _DENSE, "bits", lambda c: _compressed(c)[0]),
    Output(
        "sparse24", "{case}_meta_cutlass_reordered", _CASES, _DENSE, "int",
        lambda c: _compressed(c)[1],
    ),
    Output(
        "sparse24", "torchao_prune_out", {}, {"w": "torchao_prune_in"}, "number", _pruned, key=""
    ),
    Output(
        # The input of these vectors was pruned in place: what is left stays in the order of
        # magnitudes, not in torch's, which puts zeros before negative values.
        "sparse24", "tile4x4_greedy_out", {}, {"w": "tile4x4_greedy_in"}, "number",
        lambda c: prune_tiles(c["w"]), key="",
    ),
)  # fmt: skip
