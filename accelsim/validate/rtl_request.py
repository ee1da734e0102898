"""What is asked of ``accelsim vectors``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        preset: name of an arithmetic.
        m, n: rows and columns of the result.
        k: length of the sums; 0: four steps of the unit, two promotions and spills, at least 64.
        seed: of everything that is drawn.
        categories: which; empty: all.
        a_format, b_format: of the operands; empty: the first that the arithmetic takes.
    """

    preset: str
    m: int = 4
    n: int = 4
    k: int = 0
    seed: int = 0
    categories: tuple[str, ...] = ()
    a_format: str = ""
    b_format: str = ""
