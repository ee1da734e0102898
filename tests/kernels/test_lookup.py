"""Tables of functions, against a reading code by code and against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim_kernels.lookup import look_up, table_int8, table_int16
from tests.kernels.litert import LITERT, Tensor, run


def _read(code: int, table: list[int], wide: bool) -> int:
    if not wide:
        return table[code + 128]
    index, rest = divmod(code + 2**15, 128)
    return table[index] + ((table[index + 1] - table[index]) * rest + 64) // 128


@pytest.mark.parametrize(("make", "kind"), [(table_int8, np.int8), (table_int16, np.int16)])
def test_every_code_is_read(make: Any, kind: Any) -> None:
    span = np.iinfo(kind)
    table = make(np.tanh, 4 / span.max, 0, 1 / span.max, 0)
    x = np.arange(span.min, span.max + 1).astype(kind)
    twin = [_read(code, table.tolist(), kind == np.int16) for code in x.tolist()]
    assert look_up(x, table).tolist() == twin


def test_a_table_rounds_half_away_and_clamps() -> None:
    table = table_int8(lambda x: x, 0.5, 0, 1.0, 0)
    assert [table[128 + i] for i in (1, -1, 3, -3)] == [1, -1, 2, -2]
    assert table_int8(np.exp, 1.0, 0, 0.1, 0)[[128, 255]].tolist() == [10, 127]


@pytest.mark.parametrize(("kind", "make"), [("int8", table_int8), ("int16", table_int16)])
def test_exp_of_litert(kind: str, make: Any) -> None:
    schema = pytest.importorskip(LITERT, reason="LiteRT is not installed")
    span = np.iinfo(kind)
    x = np.arange(span.min, span.max + 1).astype(kind)[None]
    step, zero, out, out_zero = (0.05, 3, 0.05, -20) if kind == "int8" else (2**-12, 0, 1e-3, 0)
    tensors = [Tensor(x.shape, kind, (step,), zero), Tensor(x.shape, kind, (out,), out_zero)]
    code, options = schema.BuiltinOperator.EXP, schema.BuiltinOptions.ExpOptions
    found = run(code, 1, options, {}, tensors, x)
    assert np.array_equal(found, look_up(x, make(np.exp, step, zero, out, out_zero)))
