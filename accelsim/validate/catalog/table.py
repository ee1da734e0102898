"""All families of vectors in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from accelsim.validate.catalog import blocks, formats, mma, requant, rtl, shipped, sparse
from accelsim.validate.catalog.output import Job, Output

OUTPUTS: tuple[Output, ...] = (
    *shipped.OUTPUTS, *formats.OUTPUTS, *blocks.OUTPUTS, *mma.OUTPUTS, *requant.OUTPUTS,
    *rtl.OUTPUTS, *sparse.OUTPUTS,
)  # fmt: skip

Entries = Mapping[str, Mapping[str, Any]]


def find(set_name: str, array: str, entries: Entries) -> Job | None:
    """Return what computes an array; None: nothing does.

    Args:
        set_name: its set.
        array: its name.
        entries: what the index says about the cases of the set, by key.
    """
    for output in OUTPUTS:
        match = output.pattern.fullmatch(array) if output.set == set_name else None
        if match is not None:
            fields = match.groupdict()
            key = output.key.format(**fields) if output.key else ""
            return Job(output, fields, entries.get(key, {}))
    return None


def derivable(set_name: str, operands: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs that follow from operands or from each other, in the order of the table.

    The table lists an output behind those that it is computed from.
    """
    known, found = set(operands), []
    for output in OUTPUTS:
        if output.set != set_name:
            continue
        for name in output.named(known):
            if name not in known:
                known.add(name)
                found.append(name)
    return tuple(found)
