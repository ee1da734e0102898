"""Address mappings: which bits of an address choose channel, rank, group, bank, row and column.

A mapping is given as a name, as six two-letter fields from the highest address bits to the lowest
(``rochrababgco``, DRAMsim3's way), or as one letter per address bit (``RRRRBBGGCCCCC``).
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import InputError, nearest
from accelsim.sim._core.dram_state import (
    F_BANK,
    F_CHANNEL,
    F_COLUMN,
    F_GROUP,
    F_RANK,
    F_ROW,
)
from accelsim.sim.dram.organization import Organization

#: Ramulator's names, as fields from the highest bits to the lowest; channels interleave there by
#: request.
NAMES = {
    "RoBaRaCoCh": "robabgracoch",
    "ChRaBaRoCo": "rabgbarococh",
}
#: Four requests of a row, then the next bank; banks are exclusive-ored with the column, and so is
#: the row: Kaseridis et al., Minimalist Open-page, MICRO 2011, as Ramulator 2.1 has it.
MOP = "MOP4CLXOR"
#: Blocks of 256 bytes go to the channels and then to the bank groups in turn, the rest of a row
#: follows, then banks, ranks and rows: what a stream and a tile row both like. Channel and bank are
#: exclusive-ored with higher bits, so that a pitch of a power of two meets all of them.
INTERLEAVE = "Interleave256"
_BLOCK = 256
_FIELDS = {
    "ch": F_CHANNEL, "ra": F_RANK, "bg": F_GROUP, "ba": F_BANK, "ro": F_ROW, "co": F_COLUMN,
}  # fmt: skip
_LETTERS = {"H": "ch", "K": "ra", "G": "bg", "B": "ba", "R": "ro", "C": "co"}
#: Column bits below the bank bits of MOP.
_MOP_LOW = 2


@dataclass(frozen=True, slots=True)
class Mapping:
    """Bit fields of an address.

    Attributes:
        shift: bits inside a request.
        segments: field, its place in the address, place in the field, and mask.
        xors: field, the field it is exclusive-ored with, place in that, and mask.
    """

    shift: int
    segments: tuple[tuple[int, int, int, int], ...]
    xors: tuple[tuple[int, int, int, int], ...] = ()


def _bits(count: int) -> int:
    return count.bit_length() - 1


def widths(organization: Organization) -> dict[str, int]:
    """Return how many bits every field has."""
    return {
        "ch": _bits(organization.channels), "ra": _bits(organization.ranks),
        "bg": _bits(organization.groups), "ba": _bits(organization.banks),
        "ro": _bits(organization.rows),
        "co": _bits(organization.columns // organization.burst_length),
    }  # fmt: skip


def parse(text: str, organization: Organization) -> Mapping:
    """Return a mapping by name, by fields or by bits.

    Raises:
        InputError: it is none of these, or does not use every bit once.
    """
    if text == MOP:
        return _mop(organization)
    if text == INTERLEAVE:
        return _interleave(organization)
    text = NAMES.get(text, text)
    if len(text) == 2 * len(_FIELDS) and {text[i : i + 2] for i in range(0, 12, 2)} == set(_FIELDS):
        order = [text[i : i + 2] for i in range(0, 12, 2)]
        parts = [(field, 0, widths(organization)[field]) for field in reversed(order)]
        return Mapping(_bits(organization.request_bytes), _segments(organization, parts))
    if text and set(text) <= set(_LETTERS):
        return _by_bits(text, organization)
    known = sorted([*NAMES, MOP, INTERLEAVE])
    raise InputError(
        f"unknown address mapping {text!r}{nearest(text, known)}; or the fields "
        f"{', '.join(_FIELDS)} in any order, or a letter per bit: {', '.join(_LETTERS)}"
    )


def _segments(
    organization: Organization, parts: list[tuple[str, int, int]]
) -> tuple[tuple[int, int, int, int], ...]:
    """Return segments of (field, place in the field, bits) from the lowest bits on."""
    place, found = _bits(organization.request_bytes), []
    for field, at, bits in parts:
        if bits > 0:
            found.append((_FIELDS[field], place, at, (1 << bits) - 1))
            place += bits
    return tuple(found)


def _by_bits(text: str, organization: Organization) -> Mapping:
    wanted = widths(organization)
    parts: list[tuple[str, int, int]] = []
    used = dict.fromkeys(_FIELDS, 0)
    for letter in reversed(text):
        field = _LETTERS[letter]
        if parts and parts[-1][0] == field:
            parts[-1] = (field, parts[-1][1], parts[-1][2] + 1)
        else:
            parts.append((field, used[field], 1))
        used[field] += 1
    letters = {field: letter for letter, field in _LETTERS.items()}
    wrong = [
        f"{letters[field]} {used[field]} times, {bits} are needed"
        for field, bits in wanted.items()
        if used[field] != bits
    ]
    if wrong:
        raise InputError(f"address mapping {text!r}: it has {'; '.join(wrong)}")
    return Mapping(_bits(organization.request_bytes), _segments(organization, parts))


def _mop(organization: Organization) -> Mapping:
    bits = widths(organization)
    if bits["co"] < _MOP_LOW:
        raise InputError(
            f"address mapping {MOP}: a row holds {1 << bits['co']} requests; 4 are needed"
        )
    inner = [("ra", 0, bits["ra"]), ("bg", 0, bits["bg"]), ("ba", 0, bits["ba"])]
    parts = [
        ("ch", 0, bits["ch"]), ("co", 0, _MOP_LOW), *inner,
        ("co", _MOP_LOW, bits["co"] - _MOP_LOW), ("ro", 0, bits["ro"]),
    ]  # fmt: skip
    xors, at = [], 0
    for field, _, count in [*inner, ("ro", 0, bits["ro"])]:
        if count > 0:
            xors.append((_FIELDS[field], F_COLUMN, at, (1 << count) - 1))
            at += count
    return Mapping(_bits(organization.request_bytes), _segments(organization, parts), tuple(xors))


def _interleave(organization: Organization) -> Mapping:
    bits = widths(organization)
    low = min(bits["co"], max(0, _bits(_BLOCK) - _bits(organization.request_bytes)))
    parts = [
        ("co", 0, low), ("ch", 0, bits["ch"]), ("bg", 0, bits["bg"]),
        ("co", low, bits["co"] - low), ("ba", 0, bits["ba"]), ("ra", 0, bits["ra"]),
        ("ro", 0, bits["ro"]),
    ]  # fmt: skip
    xors = [
        (F_CHANNEL, F_COLUMN, low, organization.channels - 1),
        (F_CHANNEL, F_ROW, 0, organization.channels - 1),
        (F_BANK, F_ROW, 0, organization.banks - 1),
    ]
    return Mapping(_bits(organization.request_bytes), _segments(organization, parts), tuple(xors))
