"""Write the vectors that ship: ``python -m tests.kernels.make_vectors DIR``.

Operands are seeded; what they must give is computed by the readable twins, never by the kernels.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.kernels import naive, naive_float
from tests.kernels.support import codes, numbers
from tests.kernels.vector_operands import (
    ATTENTIONS,
    EDGES,
    Attention,
    b16,
    b32,
    bf16,
    categories,
    fp8_operands,
    rounded_bf16,
)

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

HOW = "operands: seeded NumPy generators; outputs: plain Python integers and fractions"
COMPARE = (
    ("sparse24_int8", "__(sums|keep|values|indices)$", "exact"),
    ("quantize", "_saturated__scales$", "input"),
    ("quantize", "__(absmax|scales|codes|y)$", "exact"),
    ("rounding", "^fp8_.*__y$", "exact"),
    ("rounding", "__y$", "nan_class"),
    ("vector", "__y$", "exact"),
    ("attention", "__out$", "exact"),
    ("int8", "__sums$", "exact"),
    ("int4", "__sums$", "exact"),
    ("bf16", "__sums$", "exact"),
    ("fp8", "__sums$", "exact"),
)  # fmt: skip


def int8() -> Arrays:
    found: Arrays = {}
    for i, (m, n, k) in enumerate(((1, 1, 1), (3, 70, 33), (7, 5, 64), (6, 64, 130))):
        a, b = codes(i, m, k), codes(i + 50, n, k)
        if i == 1:
            a[0] = 0
        if i == 2:
            a[:], b[:] = -128, -128
        found |= {f"c{i}__a": a, f"c{i}__b": b}
        found[f"c{i}__sums"] = np.array(naive.matmul_int(a.tolist(), b.tolist()), np.int32)
    return found


def int4() -> Arrays:
    found: Arrays = {}
    for i, (m, n, k, group) in enumerate(((1, 3, 32, 32), (4, 66, 70, 32), (5, 9, 128, 64))):
        a, b = codes(i, m, k), codes(i + 50, n, k, low=-8, high=7)
        steps = np.abs(numbers(i + 90, n, -(-k // group)))
        wanted = naive.matmul_int4(a.tolist(), b.tolist(), steps.tolist(), group)
        padded = np.pad(b, ((0, 0), (0, k % 2))).astype(np.uint8) & 15
        packed = padded[:, ::2] | (padded[:, 1::2] << 4)
        found |= {f"c{i}__a": a, f"c{i}__b": packed, f"c{i}__scales": b32(steps)}
        found |= {f"c{i}__group": np.array([group]), f"c{i}__sums": b32(wanted)}
    return found


def sparse24_int8() -> Arrays:
    found: Arrays = {}
    for i, (m, n, k) in enumerate(((2, 3, 8), (5, 66, 40))):
        a, w = codes(i, m, k), numbers(i + 10, n, k)
        keep = np.array([naive.prune_2to4(row) for row in w.tolist()])
        pruned = np.where(keep, codes(i + 20, n, k), 0).astype(np.int8)
        twins = [naive.compress_2to4(row) for row in pruned.tolist()]
        found |= {f"c{i}__a": a, f"c{i}__w": b32(w), f"c{i}__keep": keep, f"c{i}__codes": pruned}
        found[f"c{i}__values"] = np.array([twin[0] for twin in twins], np.int8)
        found[f"c{i}__indices"] = np.array([twin[1] for twin in twins], np.uint8)
        found[f"c{i}__sums"] = np.array(naive.matmul_int(a.tolist(), pruned.tolist()), np.int32)
    return found


def bf16_products() -> Arrays:
    found: Arrays = {}
    for name, (a, b) in categories(7, 4, 9, 39).items():
        wanted = naive.matmul_chain(a.tolist(), b.tolist())
        found |= {f"{name}__a": b16(a), f"{name}__b": b16(b), f"{name}__sums": b32(wanted)}
    return found


def fp8() -> Arrays:
    found: Arrays = {}
    for fmt, largest, bias, fraction in (("fp8_e4m3", 0x7E, 7, 3), ("fp8_e5m2", 0x7B, 15, 2)):
        for kind, operands in fp8_operands(largest, fraction).items():
            a, b = ([[_fp8(c, fraction, bias) for c in row] for row in o.tolist()]
                    for o in operands)  # fmt: skip
            case = f"{fmt}_{kind}"
            found |= {f"{case}__a": operands[0], f"{case}__b": operands[1]}
            found[f"{case}__sums"] = b32(naive.matmul_chain(a, b))
    return found


def _fp8(code: int, fraction: int, bias: int) -> float:
    exponent, rest = (code & 0x7F) >> fraction, code & ((1 << fraction) - 1)
    value = rest * 2.0 ** (1 - bias - fraction)
    if exponent:
        value = (1 + rest / 2**fraction) * 2.0 ** (exponent - bias)
    return -value if code & 0x80 else value


def attention() -> Arrays:
    found: Arrays = {}
    for i, case in enumerate(ATTENTIONS):
        q = bf16(i, 1, case.heads, case.queries, 4, spread=1)
        k = bf16(i + 9, 1, case.groups, case.keys, 4, spread=1)
        v = bf16(i + 20, 1, case.groups, case.keys, 3)
        rng = np.random.default_rng(i)
        mask: Array = rng.random((1, 1, case.queries, case.keys)) < 0.7
        mask[0, 0, 0] = case.mask != "shown"  # a query that sees nothing
        if case.mask == "added":
            mask = bf16(i + 30, 1, case.heads, case.queries, case.keys, spread=1)
        found |= {f"c{i}__q": b16(q), f"c{i}__k": b16(k), f"c{i}__v": b16(v)}
        found |= {f"c{i}__scale": b32([0.5]), f"c{i}__causal": np.array([case.causal])}
        found |= {f"c{i}__window": np.array([case.window])} if case.window else {}
        found |= {f"c{i}__softcap": b32([case.softcap])} if case.softcap else {}
        if case.mask:
            found[f"c{i}__mask"] = mask if case.mask == "shown" else b32(mask)
        found[f"c{i}__out"] = b16(_attended(case, q, k, v, mask))
    return found


def _attended(case: Attention, q: Array, k: Array, v: Array, mask: Array) -> Array:
    out = np.zeros((1, case.heads, case.queries, v.shape[3]), np.float32)
    for head, row in np.ndindex(case.heads, case.queries):
        group, seen, last = head * case.groups // case.heads, [], case.keys - case.queries + row
        for j in range(case.keys):
            near = not case.window or j > last - case.window
            shown = case.mask != "shown" or bool(mask[0, 0, row, j])
            seen.append(shown and (not case.causal or (j <= last and near)))
        added = mask[0, head, row].tolist() if case.mask == "added" else [0.0] * case.keys
        out[0, head, row] = naive.attend(
            q[0, head, row].tolist(), k[0, group].tolist(), v[0, group].tolist(), seen, added,
            (0.5, case.softcap), ("bf16", "bf16"),
        )  # fmt: skip
    return out


def _activation(x: float, fn: str) -> float:
    return naive_float.gelu(x, "bf16") if fn == "gelu" else naive.activation(x, fn, "bf16")


def vector() -> Arrays:
    found: Arrays = {}
    edges = [0, -0.0, 1e-3, 80, -80, 1e30, -1e30, 1e-39, -1e-39, 0.0009, 3, -3, 6]
    x = np.concatenate([bf16(1, 40, spread=3), rounded_bf16(edges)])
    for fn in (*naive.ACTIVATIONS, "gelu"):
        found[f"{fn}__x"] = b16(x)
        found[f"{fn}__y"] = b16([_activation(v, fn) for v in x.tolist()])
    rows, weight, bias = bf16(2, 5, 37), bf16(3, 37), bf16(4, 37)
    rows[1], rows[2], rows[3] = bf16(5, 37, spread=20), rows[2] * np.float32(2.0**-70), 0.0
    found["softmax__x"] = b16(rows)
    found["softmax__y"] = b16([naive.softmax(row, "bf16") for row in rows.tolist()])
    for fn, shift in (("rms_norm", None), ("layer_norm", bias.tolist())):
        found |= {f"{fn}__x": b16(rows), f"{fn}__weight": b16(weight), f"{fn}__bias": b16(bias)}
        found |= {f"{fn}__eps": b32([1e-5]), f"{fn}__lanes": np.array([16])}
        found[f"{fn}__y"] = b16([
            naive.norm(row, weight.tolist(), shift, 1e-5, 16, "bf16", shift is not None)
            for row in rows.tolist()
        ])  # fmt: skip
    return found


def quantize() -> Arrays:
    found: Arrays = {}
    for fmt in naive.QMAX:
        for scale in ("fp32", "fp16"):
            x = numbers(5, 4, 30, spread=12)
            x[2], x[3] = x[2] * np.float32(2.0**-125), 0.0
            largest = [max(abs(v) for v in row) for row in x.tolist()]
            steps = [naive.scale(v, fmt, scale) for v in largest]
            made = [
                [naive.quantize(v, s, fmt) for v in row]
                for row, s in zip(x.tolist(), steps, strict=True)
            ]
            case = f"{fmt}_{scale}"
            found |= {f"{case}__x": b32(x), f"{case}__absmax": b32(largest)}
            found |= {f"{case}__scales": b32(steps), f"{case}__codes": _codes(made, fmt)}
        found |= _saturated(fmt)
    sums = np.random.default_rng(6).integers(-(2**31), 2**31, (5, 9)).astype(np.int32)
    rows, columns, bias = np.abs(numbers(7, 5)), np.abs(numbers(8, 9)), numbers(9, 9)
    found |= {"rescale__sums": sums, "rescale__rows": b32(rows), "rescale__columns": b32(columns)}
    found |= {"rescale__bias": b32(bias)}
    found["rescale__y"] = b16([
        [naive.rescale(float(s), r, c, b, "bf16")
         for s, c, b in zip(line, columns.tolist(), bias.tolist(), strict=True)]
        for line, r in zip(sums.tolist(), rows.tolist(), strict=True)
    ])  # fmt: skip
    return found


def _saturated(fmt: str) -> Arrays:
    """Numbers beyond the largest code of a scale that comes from elsewhere."""
    x, case = numbers(15, 2, 30, spread=4), f"{fmt}_fp32_saturated"
    steps = [float(np.abs(row).max()) / naive.QMAX[fmt] / 8 for row in x]
    steps = [naive.f32(step) for step in steps]
    made = [
        [naive.quantize(v, step, fmt) for v in row]
        for row, step in zip(x.tolist(), steps, strict=True)
    ]
    return {f"{case}__x": b32(x), f"{case}__scales": b32(steps),
            f"{case}__codes": _codes(made, fmt)}  # fmt: skip


def _codes(made: list[list[float]], fmt: str) -> Array:
    if not fmt.startswith("fp8"):
        return np.array(made, np.int8)
    fraction, bias = (3, 7) if fmt == "fp8_e4m3" else (2, 15)
    table = {_fp8(code, fraction, bias): code for code in range(128)}
    signs = np.signbit(np.array(made)).astype(np.uint8) << 7
    codes = np.array([[0x7F if v != v else table[abs(v)] for v in row] for row in made], np.uint8)
    return np.asarray(codes | signs)


def rounding() -> Arrays:
    edges = np.array(EDGES, np.float32)
    x = np.concatenate([numbers(11, 300, spread=40), edges, -edges])
    found: Arrays = {}
    for fmt in ("bf16", "fp16"):
        found[f"{fmt}__x"] = b32(x)
        found[f"{fmt}__y"] = b32([naive.rounded(v, fmt) for v in x.tolist()])
    for fmt in ("fp8_e4m3", "fp8_e5m2"):
        made = [naive.rounded(v, fmt, saturate=True) for v in x.tolist()]
        found[f"{fmt}__x"], found[f"{fmt}__y"] = b32(x), _codes([made], fmt)[0]
    return found


SETS: Mapping[str, Callable[[], Arrays]] = {
    "int8": int8, "int4": int4, "sparse24_int8": sparse24_int8, "bf16": bf16_products, "fp8": fp8,
    "attention": attention, "vector": vector, "quantize": quantize, "rounding": rounding,
}  # fmt: skip


def npz(arrays: Arrays) -> bytes:
    """Return an npz whose bytes depend on the arrays alone."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            inner = BytesIO()
            np.lib.format.write_array(inner, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), inner.getvalue(),
                          zipfile.ZIP_DEFLATED)  # fmt: skip
    return out.getvalue()


def index() -> str:
    """Return the index of the folder."""
    data = {
        "rule": "Outputs come from the readable twins of the kernels, tests/kernels/naive.py.",
        "how": {name: HOW for name in SETS},
        "sets": {f"{name}.npz": {} for name in SETS},
        "compare": [*map(list, COMPARE), *([name, ".*", "input"] for name in SETS)],
    }
    return json.dumps(data, indent=1) + "\n"


def main(folder: Path) -> None:
    """Write every file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in SETS.items():
        (folder / f"{name}.npz").write_bytes(npz(make()))
    (folder / "index.json").write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
