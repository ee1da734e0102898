"""Labels beside dots that cover neither each other nor a dot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from accelsim.report.style import MUTED

#: Where a label may stand: distance from its dot's rim in points, angle in degrees, best first.
_RINGS = (5.0, 14.0, 26.0, 40.0, 56.0, 74.0, 94.0)
_STEP_PIXELS = 4
_ANGLES = (0, 180, 90, 270, *(a for a in range(15, 360, 15) if a % 90))


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot in data coordinates, its diameter in points, and what its label says (or nothing)."""

    x: float
    y: float
    diameter: float
    text: str = ""


def place(axes: Axes, dots: Sequence[Dot], taken: Iterable[Bbox] = ()) -> list[str]:
    """Label dots, the first first, each at the first free place; return what found no place.

    Args:
        axes: where the dots are; its layout and limits must be final.
        dots: all dots, the most important first.
        taken: what else must stay free, in pixels.
    """
    fixed = [*(_cover(axes, dot) for dot in dots), *taken]
    written: list[Bbox] = []
    left_out = []
    for dot in dots:
        if not dot.text:
            continue
        boxes = _place_one(axes, dot, fixed, written)
        written += boxes
        if not boxes:
            left_out.append(dot.text)
    return left_out


def _pixels(axes: Axes, points: float) -> float:
    return points * float(axes.figure.dpi) / 72


def _cover(axes: Axes, dot: Dot) -> Bbox:
    x, y = axes.transData.transform((dot.x, dot.y))
    half = _pixels(axes, dot.diameter) / 2
    return Bbox([[x - half, y - half], [x + half, y + half]])


def _place_one(axes: Axes, dot: Dot, fixed: Sequence[Bbox], written: Sequence[Bbox]) -> list[Bbox]:
    """Try every place around the dot; return what the label and its leader cover, or nothing.

    Offsets are in points, so the label stays in place at any resolution.
    """
    label = axes.annotate(
        dot.text, (dot.x, dot.y), (0, 0), textcoords="offset points", fontsize=8.5, zorder=5,
        ha="left", va="bottom",
    )  # fmt: skip
    label.set_in_layout(False)
    size, frame, cover = label.get_window_extent(), axes.get_window_extent(), _cover(axes, dot)
    centre = ((cover.x0 + cover.x1) / 2, (cover.y0 + cover.y1) / 2)
    for gap, angle in ((g, a) for g in _RINGS for a in _ANGLES):
        reach = cover.width / 2 + _pixels(axes, gap)
        box = _box_at(centre, reach, math.radians(angle), size)
        if not _inside(box, frame) or any(_overlap(box, b) for bs in (written, fixed) for b in bs):
            continue
        leader = _leader_boxes(cover, box) if gap > _RINGS[0] else []
        if not any(_overlap(part, other, 0.0) for part in leader for other in written):
            scale = _pixels(axes, 1.0)
            label.xyann = ((box.x0 - centre[0]) / scale, (box.y0 - centre[1]) / scale)
            if leader:
                _leader(axes, dot, centre, box)
            return [box, *leader]
    label.remove()
    return []


def _box_at(centre: tuple[float, float], reach: float, angle: float, size: Bbox) -> Bbox:
    """Return the label's box when its near edge is ``reach`` pixels from the dot's centre."""
    x = centre[0] + math.cos(angle) * (reach + size.width / 2) - size.width / 2
    y = centre[1] + math.sin(angle) * (reach + size.height / 2) - size.height / 2
    return Bbox([[x, y], [x + size.width, y + size.height]])


def _near(centre: tuple[float, float], box: Bbox) -> tuple[float, float]:
    """Return the point of the label that is nearest to the dot's centre."""
    return (min(max(centre[0], box.x0), box.x1), min(max(centre[1], box.y0), box.y1))


def _leader_boxes(dot: Bbox, box: Bbox) -> list[Bbox]:
    """Return small boxes along the line from the dot's rim to its label, in pixels."""
    centre = ((dot.x0 + dot.x1) / 2, (dot.y0 + dot.y1) / 2)
    near = _near(centre, box)
    length = math.dist(centre, near)
    rim = min(dot.width / 2 + 2, length)
    found = []
    for step in range(int((length - rim) / _STEP_PIXELS) + 1):
        part = (rim + step * _STEP_PIXELS) / length
        x = centre[0] + (near[0] - centre[0]) * part
        y = centre[1] + (near[1] - centre[1]) * part
        found.append(Bbox([[x - 1, y - 1], [x + 1, y + 1]]))
    return found


def _leader(axes: Axes, dot: Dot, centre: tuple[float, float], box: Bbox) -> None:
    """Draw a thin line from the nearest point of the label to the dot's rim."""
    scale = _pixels(axes, 1.0)
    near = _near(centre, box)
    offset = ((near[0] - centre[0]) / scale, (near[1] - centre[1]) / scale)
    arrow = {
        "arrowstyle": "-", "lw": 0.6, "color": MUTED, "shrinkA": 0, "shrinkB": dot.diameter / 2,
    }  # fmt: skip
    line = axes.annotate(
        "", (dot.x, dot.y), offset, textcoords="offset points", arrowprops=arrow, zorder=4
    )
    line.set_in_layout(False)


def _inside(box: Bbox, frame: Bbox) -> bool:
    across = box.x0 >= frame.x0 and box.x1 <= frame.x1
    return bool(across and box.y0 >= frame.y0 and box.y1 <= frame.y1)


def _overlap(a: Bbox, b: Bbox, margin: float = 2.0) -> bool:
    across = a.x0 < b.x1 + margin and b.x0 < a.x1 + margin
    return bool(across and a.y0 < b.y1 + margin and b.y0 < a.y1 + margin)
