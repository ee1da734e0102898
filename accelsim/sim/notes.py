"""What a reader of a result must know: assumptions of the model, estimates of the chip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accelsim.spec.arch import ArchSpec

#: What the model assumes, for every chip.
ASSUMPTIONS = (
    "Ops run one after another; outputs that fit stay on chip until they are read, all other "
    "tensors between fused ops go through DRAM.",
    "By closed form DRAM is a latency and a sustained bandwidth, whose efficiency covers banks, "
    "rows and refresh; tile and cycle know its commands, unless the chip has timing: sustained.",
    "A link moves one piece of a transfer at a time, in either direction; loads and stores "
    "share it.",
    "The vector unit keeps all lanes busy; its work overlaps the array's.",
    "Energy counts MACs and their registers, memory accesses, DRAM, vector work and leakage; long "
    "wires, clock trees, control and host are not counted. Low and high are corners.",
    "Area counts arrays, vector lanes, memories and DRAM interfaces; no control, no pads.",
)


def notes(arch: ArchSpec) -> tuple[str, ...]:
    """Return the assumptions and one line that names what is estimated in the chip's file."""
    guessed = sorted(set(_estimated(arch.model_dump(mode="json"), "")))
    if not guessed:
        return ASSUMPTIONS
    return (*ASSUMPTIONS, f"Estimated in the file of {arch.name}: {', '.join(guessed)}.")


def _estimated(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _estimated(item, path)
    if not isinstance(value, dict):
        return
    mark = value.get("estimated")
    if mark is True:
        yield path or "all"
    elif mark:
        yield from (f"{path}.{key}".lstrip(".") for key in mark)
    for key, item in value.items():
        yield from _estimated(item, f"{path}.{key}".lstrip("."))
