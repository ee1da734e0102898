"""Whole-number polynomials of a few named sizes: how a dimension depends on batch and tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from accelsim.errors import CaptureError, GraphError

#: Names of the sizes that are multiplied; ``()`` is the constant.
Monomial = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of coefficients times products of sizes, exact."""

    terms: tuple[tuple[Fraction, Monomial], ...]

    def at(self, sizes: Mapping[str, int]) -> int:
        """Return the value.

        Raises:
            GraphError: the value is not whole, so the polynomial does not describe a size.
        """
        total = sum(c * math.prod(sizes[name] for name in names) for c, names in self.terms)
        value = Fraction(total)
        if value.denominator != 1:
            raise GraphError(f"{self} is {value} at {dict(sizes)}, which is not a whole number")
        return value.numerator

    def __str__(self) -> str:
        """Return text such as ``batch*seq_len + -1*logits``, which ``parse`` reads."""
        parts = []
        for coefficient, names in self.terms:
            factors = [] if coefficient == 1 and names else [str(coefficient)]
            parts.append("*".join([*factors, *names]))
        return " + ".join(parts) or "0"


def parse(text: str) -> Polynomial:
    """Read what ``str`` of a polynomial writes.

    Raises:
        GraphError: the text is not such a sum.
    """
    terms = []
    for part in text.split(" + "):
        coefficient, names = Fraction(1), []
        for factor in part.split("*"):
            if factor.isidentifier():
                names.append(factor)
                continue
            try:
                coefficient *= Fraction(factor)
            except ValueError:
                raise GraphError(f"{text!r} is not a polynomial: {factor!r}") from None
        terms.append((coefficient, tuple(names)))
    return Polynomial(tuple(terms))


def fit(
    points: Sequence[Mapping[str, int]], values: Sequence[int], monomials: Sequence[Monomial]
) -> int | Polynomial:
    """Return the polynomial through all points; a plain integer when it is constant.

    Raises:
        CaptureError: no such polynomial, e.g. a size that stops growing at a window.
    """
    if len(set(values)) == 1:
        return values[0]
    rows = [
        [Fraction(math.prod(p[n] for n in names)) for names in monomials] + [Fraction(v)]
        for p, v in zip(points, values, strict=True)
    ]
    solution = _solve(rows, len(monomials))
    terms = tuple((c, names) for c, names in zip(solution, monomials, strict=True) if c)
    return Polynomial(terms)


def _solve(rows: list[list[Fraction]], unknowns: int) -> list[Fraction]:
    """Gauss-Jordan elimination over exact fractions; columns without a pivot are zero."""
    pivots: list[int] = []
    for column in range(unknowns):
        at = len(pivots)
        found = next((i for i in range(at, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[at], rows[found] = rows[found], rows[at]
        lead = rows[at][column]
        rows[at] = [entry / lead for entry in rows[at]]
        for i, row in enumerate(rows):
            if i != at and row[column]:
                factor = row[column]
                rows[i] = [a - factor * b for a, b in zip(row, rows[at], strict=True)]
        pivots.append(column)
    if any(row[unknowns] for row in rows[len(pivots) :]):
        raise CaptureError("it is not a product of batch, sequence and context sizes")
    solution = [Fraction(0)] * unknowns
    for i, column in enumerate(pivots):
        solution[column] = rows[i][unknowns]
    return solution
