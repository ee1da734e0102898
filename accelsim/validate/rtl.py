"""Test vectors for the RTL of a matrix unit: operands, the accumulator after each step, results.

The same folder is read by Verilog (``$readmemh``), by NumPy (one npz) and by
``accelsim validate kernels --data``, which computes all of it again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError, OutputError, UnknownNameError
from accelsim.validate.rtl_operands import CATEGORIES, Draw, scales
from accelsim.validate.rtl_request import Request
from accelsim.validate.rtl_sums import accumulators
from accelsim.validate.rtl_text import Words, hex_words, parameters, readme
from accelsim.version import __version__
from accelsim_kernels.arithmetic import Arithmetic
from accelsim_kernels.formats import NumberFormat, format_of
from accelsim_kernels.presets import PRESETS

Array = npt.NDArray[Any]

#: The set of the npz file, and what an index of ours says of itself.
SET, WRITER = "rtl", "accelsim vectors"
INDEX, README, PARAMETERS, ARRAYS = "index.json", "README.txt", "parameters.vh", f"{SET}.npz"
#: Arrays of a category, in the order of the files.
ROLES = ("a", "b", "c", "a_scales", "b_scales", "acc", "result")
#: Every file that may lie in such a folder.
NAMES = frozenset(
    (INDEX, README, PARAMETERS, ARRAYS, *(f"{c}_{r}.hex" for c in CATEGORIES for r in ROLES))
)
#: Least K: what its rows show must not be one step alone.
_LEAST_K = 64
#: Most words of one category.
_LARGEST = 1 << 24


def _step(rule: Arithmetic) -> int:
    """Return the products that a unit adds at once; exact sums are looked at product by product."""
    return max(1, rule.chunk)


def _resolved(request: Request) -> tuple[Request, Arithmetic]:
    """Return a request without anything left open.

    Raises:
        UnknownNameError: a preset, category or format that is not known.
        InputError: sizes that are no sizes, or that make too much.
    """
    if request.preset not in PRESETS:
        raise UnknownNameError("arithmetic", request.preset, PRESETS)
    rule = PRESETS[request.preset]
    for category in request.categories:
        if category not in CATEGORIES:
            raise UnknownNameError("category", category, CATEGORIES)
    allowed = rule.takes
    formats = (request.a_format or allowed[0], request.b_format or allowed[0])
    for name in formats:
        if name not in allowed:
            raise UnknownNameError(f"operand format of {rule.name}", name, allowed)
    k = request.k or max(_LEAST_K, 4 * _step(rule), 2 * rule.promotion, 2 * rule.depth)
    for what, size in (("m", request.m), ("n", request.n), ("k", k)):
        if size < 1:
            raise InputError(f"{what} is {size}; it must be at least 1")
    if request.seed < 0:
        raise InputError(f"seed is {request.seed}; it must be at least 0")
    words = max(request.m * request.n * -(-k // _step(rule)), (request.m + request.n) * k)
    if words > _LARGEST:
        raise InputError(
            f"m, n and k make {words} words a category; at most {_LARGEST} are written"
        )
    chosen = tuple(c for c in CATEGORIES if c in request.categories or not request.categories)
    return (
        Request(rule.name, request.m, request.n, k, request.seed, chosen, *formats),
        rule,
    )


def _word(fmt: NumberFormat) -> np.dtype[Any]:
    bits = next(bits for bits in (8, 16, 32, 64) if bits >= fmt.bits)
    return np.dtype(f"{'uint' if fmt.is_float else 'int'}{bits}")


def operands(request: Request, rule: Arithmetic, category: str) -> dict[str, Array]:
    """Return the operands of a category; they depend on nothing but the request and its name."""
    random = np.random.default_rng([request.seed, list(CATEGORIES).index(category)])
    formats = tuple(map(format_of, (request.a_format, request.b_format, rule.spill)))
    draws = (Draw(random, formats[0]), Draw(random, formats[1]), Draw(random, formats[2]))
    shapes = ((request.m, request.k), (request.n, request.k), (request.m, request.n))
    made = CATEGORIES[category](draws, shapes)
    found = {
        role: getattr(made, role).astype(_word(fmt))
        for role, fmt in zip("abc", formats, strict=True)
    }
    if rule.scale:
        draw, blocks = Draw(random, format_of(rule.scale)), -(-request.k // rule.block)
        for role, rows in (("a_scales", request.m), ("b_scales", request.n)):
            found[role] = scales(category, draw, (rows, blocks)).astype(np.uint8)
    return found


def _format(request: Request, rule: Arithmetic, role: str) -> NumberFormat:
    """Return the format of an array's words."""
    own = {"a": request.a_format, "b": request.b_format}
    scaled = role.endswith("_scales")
    return format_of(rule.scale if scaled else own.get(role, rule.spill))


def build(request: Request) -> dict[str, str | bytes]:
    """Return the files of a folder by name; the same bytes for the same request.

    Raises:
        UnknownNameError: a preset, category or format that is not known.
        InputError: sizes that are no sizes, or that make too much.
    """
    full, rule = _resolved(request)
    arrays: dict[str, Array] = {}
    entries, found = [], {}
    for category in full.categories:
        entry = {"key": category, **asdict(full), "step": _step(rule)}
        del entry["categories"]
        found = operands(full, rule, category)
        acc = accumulators(found, entry)
        found |= {"acc": acc, "result": acc[-1]}
        arrays |= {f"{category}__{role}": found[role] for role in ROLES if role in found}
        entries.append(entry)
    words = [
        Words(role, _format(full, rule, role).name, _format(full, rule, role).bits,
              found[role].shape)
        for role in ROLES if role in found
    ]  # fmt: skip
    data = io.BytesIO()
    np.savez(data, **arrays)  # type: ignore[arg-type]  # names of arrays, not of options
    return {
        INDEX: _index(entries),
        README: readme(full, rule, _step(rule), words),
        PARAMETERS: parameters(full, _step(rule), words),
        ARRAYS: data.getvalue(),
        **{
            f"{category}_{word.role}.hex": hex_words(arrays[f"{category}__{word.role}"], word.bits)
            for category in full.categories
            for word in words
        },
    }


def _index(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what ``accelsim validate kernels`` reads of the folder."""
    index = {
        "written_by": WRITER,
        "version": __version__,
        "sets": {ARRAYS: {"entries": list(entries)}},
        "compare": [[SET, "__(acc|result)$", "exact"], [SET, ".*", "input"]],
    }
    return json.dumps(index, indent=1) + "\n"


def check_ours(folder: Path) -> None:
    """Refuse a folder of somebody else's vectors, whose files could have the same names.

    Raises:
        OutputError: it holds files, but no index that says that it was written here.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        index = None
    if not isinstance(index, dict) or index.get("written_by") != WRITER:
        raise OutputError(f"{folder}: is not empty and was not written by {WRITER}")
