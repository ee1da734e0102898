"""Small hierarchies whose whole map spaces can be counted."""

from __future__ import annotations

from typing import Any

from accelsim.mapping.loopnest.layer import Layer
from accelsim.spec.hierarchy import HierarchySpec

BITS = {"I": 8, "W": 8, "O": 8}


def ports(width: int = 8) -> list[dict[str, Any]]:
    return [{"kind": "read_write", "bits": width, "min_bits": 1}]


def level(
    name: str, holds: str, size_bits: int | None, per: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "name": name, "holds": list(holds), "size_bits": size_bits, "per": per,
        "read_pj": 1.0 + len(name), "write_pj": 2.0 + len(name), "ports": ports(),
    }  # fmt: skip


def hierarchy(*levels: dict[str, Any], hold: bool = True, **more: Any) -> HierarchySpec:
    outer = {**level("dram", "IWO", None), "read_pj": 200.0, "write_pj": 220.0}
    axes = [{"name": "D1", "size": 4, "dims": ["K"]}, {"name": "D2", "size": 2, "dims": ["C"]}]
    return HierarchySpec.model_validate(
        {
            "name": "small", "mac_pj": 0.5, "axes": axes, "hold_operands": hold,
            "memories": [*levels, outer], **more,
        }
    )  # fmt: skip


def registers(sram_bits: int = 400, hold: bool = True) -> HierarchySpec:
    """Weights and outputs in the units, inputs and outputs in a shared level."""
    return hierarchy(
        level("rw", "W", 32, ("D1", "D2")),
        level("ro", "O", 16, ("D1", "D2")),
        level("sram", "IO", sram_bits),
        hold=hold,
    )


def all_shared(bits: int = 600) -> HierarchySpec:
    """One level for all operands, and outputs summed along an axis before their register."""
    return hierarchy(level("ro", "O", 16, ("D1",)), level("l1", "IWO", bits))


def uneven(bits: int = 320) -> HierarchySpec:
    """Different numbers of levels for each operand."""
    return hierarchy(
        level("ri", "I", 32, ("D2",)), level("sw", "W", 128), level("so", "O", 64),
        level("big", "IO", bits),
    )  # fmt: skip


def gemm(b: int, k: int, c: int, **more: Any) -> Layer:
    return Layer("gemm", {"B": b, "K": k, "C": c}, BITS, 8, **more)  # type: ignore[arg-type]


def conv(stride: int = 1, **sizes: int) -> Layer:
    return Layer("conv", sizes, BITS, 8, (stride, stride))  # type: ignore[arg-type]
