"""How pictures look: size, colours, fonts, and files that are the same bytes every time.

Nothing here touches pyplot or leaves a changed setting behind.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import ScaledTranslation

#: Colours of text and lines. In a page they are replaced by the page's own, light or dark.
INK, MUTED, GRID = "#1b1f24", "#5b6470", "#d9dde3"
PAPER = "#fefefe"
_PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
}

#: Okabe and Ito's palette, told apart with every common kind of colour blindness. The same cause
#: and part has the same colour in every picture.
COLOURS = {
    "compute": "#0072b2",
    "array": "#0072b2",
    "dram": "#e69f00",
    "dram_phy": "#e69f00",
    "sram": "#56b4e9",
    "scratchpad": "#56b4e9",
    "vector": "#009e73",
    "fill_drain": "#cc79a7",
    "leakage": "#cc79a7",
    "overhead": "#8a8f98",
    "network": "#d55e00",
}
_SPARE = ("#56b4e9", "#cc79a7", "#d55e00", "#8a8f98", "#f0e442", "#7b5ea7")
_HATCHES = ("", "///", "...", "xxx")

#: Width of a picture in inches; at 100 dots per inch it is 900 pixels.
WIDTH_IN = 9.0

_SETTINGS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12.0,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.dpi": 100.0,
    "savefig.dpi": 100.0,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "accelsim",
    "svg.fonttype": "path",
    "pdf.compression": 6,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with our settings, whatever the user's are; his are back afterwards."""
    settings: dict[Any, Any] = dict(mpl.rcParamsDefault)
    settings = {k: v for k, v in settings.items() if not k.startswith("backend")} | _SETTINGS
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the tables spell every name.
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def new_axes(height_in: float) -> Axes:
    """Return axes on a figure of their own, ``WIDTH_IN`` wide, that no window knows of."""
    return Figure(figsize=(WIDTH_IN, height_in), layout="constrained").add_subplot()


def figure_of(axes: Axes) -> Figure:
    """Return the whole figure that ``axes`` is on."""
    figure = axes.figure
    return figure.figure if isinstance(figure, SubFigure) else figure


def part_style(parts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a hatch for each part; no two parts look the same."""
    taken: set[tuple[str, str]] = set()
    found: dict[str, tuple[str, str]] = {}
    for part in sorted(parts, key=lambda p: p not in COLOURS):
        colours = [COLOURS[part]] if part in COLOURS else _SPARE
        looks = ((colour, hatch) for hatch in _HATCHES for colour in colours)
        look = next((one for one in looks if one not in taken), (_SPARE[0], _HATCHES[-1]))
        taken.add(look)
        found[part] = look
    return found


def prefixed(unit: str) -> EngFormatter:
    """Return a tick formatter with SI prefixes: ``2.5 GB/s``."""
    return EngFormatter(unit=unit, sep=" ")


def legend_below(axes: Axes, handles: Sequence[Artist] | None = None) -> None:
    """Put the legend under the axis label, where it covers nothing."""
    below = ScaledTranslation(0, -0.58, axes.figure.dpi_scale_trans)
    found = axes.get_legend_handles_labels()[0] if handles is None else list(handles)
    axes.legend(
        handles=found, loc="upper center", ncols=3 if len(found) > 4 else max(len(found), 1),
        bbox_to_anchor=(0.46, 0.0), bbox_transform=axes.transAxes + below, fontsize=8.5,
        columnspacing=2.2,
    )  # fmt: skip


def save(axes: Axes, path: Path) -> None:
    """Write the picture that ``axes`` is on as SVG, PNG or PDF, by the ending of ``path``."""
    ending = path.suffix.lower().lstrip(".")
    stamps = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    with house_style():
        figure_of(axes).savefig(path, format=ending, metadata=stamps.get(ending))


def svg_text(axes: Axes) -> str:
    """Return the picture as SVG, the same bytes every time."""
    out = io.StringIO()
    with house_style():
        figure_of(axes).savefig(out, format="svg", metadata={"Date": None})
    return re.sub(r"[ \t]+\n", "\n", out.getvalue())


def inline_svg(svg: str, name: str, label: str) -> str:
    """Return an SVG as an element of a page: ids made unique by ``name``, colours of the page.

    Args:
        svg: what ``svg_text`` returned.
        name: prefix of all ids in it.
        label: what a screen reader says; must be escaped already.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*(<metadata>.*?</metadata>|<!--.*?-->)", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{name}-", body)
    for colour, variable in _PAGE_COLOURS.items():
        body = body.replace(colour, variable)
    return body.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
