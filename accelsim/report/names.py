"""Short texts for tables and pictures: names of layer groups, shapes, percentages, ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.units import Range, si

#: How many different endings a group's name lists before it counts the rest.
_LISTED = 3
_INITIALS = {"dram": "DRAM", "sram": "SRAM", "phy": "PHY"}
_SMALLEST_SHARE = 1e-4


def shape_text(shape: Mapping[str, int]) -> str:
    """Return named sizes as text: ``{"m": 512, "n": 4096}`` → ``m=512 n=4096``."""
    return " ".join(f"{name}={size}" for name, size in shape.items())


def percent(share: float) -> str:
    """Return a share as a percentage with three significant digits, none below 0.01 %."""
    if 0 < share < _SMALLEST_SHARE:
        return f"<{100 * _SMALLEST_SHARE:g} %"
    return f"{100 * share:.3g} %"


def joules(energy_pj: float) -> str:
    """Return an energy given in pJ with the prefix that suits it."""
    return si(energy_pj * 1e-12, "J")


def range_of(value: Mapping[str, float]) -> Range:
    """Return the JSON form of a triple as a ``Range``."""
    return Range(value["low"], value["typical"], value["high"])


def pattern(name: str) -> str:
    """Return the name with numbers between dots as ``*``: ``layers.0.mlp`` → ``layers.*.mlp``."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


def part_words(part: str) -> str:
    """Return how a text names a part of the chip: ``fill_drain`` → ``fill drain``."""
    return " ".join(_INITIALS.get(word, word) for word in part.split("_"))


def group_name(names: Sequence[str]) -> str:
    """Return one name for several: ``layers.*.attn.{q_proj,o_proj}``; one name stays as it is."""
    if len(set(names)) == 1:
        return names[0]
    patterns = list(dict.fromkeys(pattern(name) for name in names))
    if len(patterns) == 1:
        return patterns[0]
    parts = [text.split(".") for text in patterns]
    head = common_head(parts)
    tail = common_head([list(reversed(p[head:])) for p in parts])
    middles = [".".join(p[head : len(p) - tail]) for p in parts]
    rest = f",+{len(middles) - _LISTED}" if len(middles) > _LISTED else ""
    middle = "{" + ",".join(middles[:_LISTED]) + rest + "}"
    return ".".join([*parts[0][:head], middle, *parts[0][len(parts[0]) - tail :]])


def common_head(parts: Sequence[Sequence[str]]) -> int:
    """Return how many leading entries all sequences share."""
    count = 0
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Return labels of at most ``width`` characters: what many names begin with is left out."""
    parts = [name.split(".") for name in names]
    dotted = [p for p in parts if len(p) > 1]
    head = common_head(dotted) if len(dotted) > 1 else 0
    head = min([head, *(len(p) - 1 for p in dotted)])
    texts = [".".join(p[head:] if len(p) > 1 else p) for p in parts]
    bare = [text.partition("*.")[2] if "*." in text else text for text in texts]
    # ``layers.*.mlp`` is ``mlp``, unless that would give two layers one name.
    unique = [b if bare.count(b) == 1 else t for b, t in zip(bare, texts, strict=True)]
    return [ellipsis(text, width) for text in unique]


def ellipsis(text: str, width: int) -> str:
    """Return the text on one line, its middle cut out where it is longer than ``width``."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if len(line) <= width:
        return line
    front = (width - 1) // 3
    return f"{line[:front]}…{line[len(line) - (width - 1 - front) :]}"


def formats_text(row: Mapping[str, Any]) -> str:
    """Return the number formats of a row: ``int8 × int4 → bf16``."""
    operands = " × ".join(f for f in (row["activation"], row["weight"]) if f)
    return f"{operands} → {row['output']}" if row["output"] else operands
