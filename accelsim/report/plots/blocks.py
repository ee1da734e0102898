"""Blocks of a model: runs of layers whose names begin alike up to a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Functions that say no more than their module's name does.
_FUNCTIONS = ("linear", "rms_norm", "layer_norm", "embedding", "conv2d", "batch_norm")


@dataclass(frozen=True, slots=True)
class Block:
    """Layers ``first`` to ``last`` of a run: ``name`` is a number in ``parent``."""

    name: str
    parent: str
    first: int
    last: int


def blocks_of(names: Sequence[str]) -> list[Block]:
    """Return the blocks among layers, in order: ``model.layers.3.mlp`` is in 3 of model.layers.

    A block that is interrupted by another counts again. Layers outside of blocks are in none.
    """
    found: list[Block] = []
    for index, name in enumerate(names):
        parent, number = _place(name)
        if not number:
            continue
        last = found[-1] if found else None
        if last and (last.parent, last.name) == (parent, number) and last.last == index - 1:
            found[-1] = Block(number, parent, last.first, index)
        else:
            found.append(Block(number, parent, index, index))
    return found


def _place(name: str) -> tuple[str, str]:
    """Return what stands before the first number of a dotted name, and the number, if any."""
    parts = name.split(".")
    for index, part in enumerate(parts[:-1]):
        if part.isdecimal():
            return ".".join(parts[:index]), part
    return "", ""


def labels(names: Sequence[str]) -> list[str]:
    """Return what tells each layer in its block: ``layers.3.mlp.up_proj.linear`` is ``up_proj``.

    The last part of the name, and as much of what stands before as makes it the only one.
    """
    found = [""] * len(names)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(_place(name), []).append(index)
    for place, members in groups.items():
        parts = {index: _within(names[index], place[1]) for index in members}
        for index, mine in parts.items():
            others = [p for other, p in parts.items() if other != index and p != mine]
            least = 2 if mine[-1].isdecimal() else 1
            count = next(
                (n for n in range(least, len(mine)) if all(p[-n:] != mine[-n:] for p in others)),
                len(mine),
            )
            found[index] = ".".join(mine[-count:])
    return found


def plain(name: str) -> str:
    """Return the name of a module rather than that of its only function."""
    head, _, tail = name.rpartition(".")
    return head if head and tail in _FUNCTIONS else name


def _within(name: str, number: str) -> list[str]:
    parts = plain(name).split(".")
    return parts[parts.index(number) + 1 :] or parts if number in parts else parts
