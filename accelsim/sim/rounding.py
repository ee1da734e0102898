"""Whole cycles out of picoseconds, so that parts still sum to their whole."""

from __future__ import annotations

from collections.abc import Mapping


def share_cycles(parts: Mapping[str, int], total: int) -> dict[str, int]:
    """Share ``total`` whole cycles in proportion to ``parts``; the largest remainders round up."""
    weight = sum(parts.values())
    if weight == 0 or total <= 0:
        found = dict.fromkeys(parts, 0)
        if total > 0:
            found[next(iter(found))] = total
        return found
    shares = {name: divmod(part * total, weight) for name, part in parts.items()}
    found = {name: whole for name, (whole, _) in shares.items()}
    left = total - sum(found.values())
    for name in sorted(shares, key=lambda name: (-shares[name][1], name))[:left]:
        found[name] += 1
    return found
