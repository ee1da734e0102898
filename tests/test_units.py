"""Reading and printing quantities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.units import Range, binary_size, parse, si, unit_of_key

SMALL = {"m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
LARGE = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

numbers = st.floats(min_value=1e-12, max_value=9e17)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("32 KiB", "B", 32 * 1024),
        ("32K", "B", None),
        ("1.2 TB/s", "B/s", 1.2e12),
        ("1e9", "Hz", 1e9),
        (" 2.5e-1 GHz ", "Hz", 2.5e8),
        ("100ns", "s", 1e-7),
        ("3.4 pJ", "pJ", 3.4),
        (".5 kB", "B", 500),
        ("-1 s", "s", -1),
        (7, "B", 7),
        (0.5, "s", 0.5),
    ],
)
def test_parse(text: str | float, unit: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(ValueError, match="is needed"):
            parse(text, unit)
    else:
        assert parse(text, unit) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("fast", "Hz", "found 'fast', a number with a unit such as '4 Hz' is needed"),
        ("", "Hz", "found '', a number with a unit"),
        ("5 GB", "B/s", "found unit 'GB' in '5 GB', B/s"),
        ("5 KiHz", "Hz", "found unit 'KiHz'"),
        ("5 mB", "B", "found unit 'mB'"),
        ("1e999", "s", "a finite number is needed"),
        (math.inf, "s", "a finite number is needed"),
        (math.nan, "s", "a finite number is needed"),
        (True, "s", "found True, a number in s is needed"),
    ],
)
def test_what_cannot_be_read_says_what_is_needed(
    text: str | float, unit: str, message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text, unit)
    assert message in str(caught.value)


@given(numbers, st.sampled_from(["Hz", "s", "W", "pJ"]))
def test_every_prefix_multiplies(number: float, unit: str) -> None:
    for prefix, factor in {**LARGE, **SMALL}.items():
        assert parse(f"{number!r} {prefix}{unit}", unit) == pytest.approx(
            number * factor, rel=1e-14
        )


@given(numbers, st.sampled_from(["B", "B/s"]))
def test_bytes_take_binary_prefixes_and_no_small_ones(number: float, unit: str) -> None:
    for prefix, factor in {**LARGE, **BINARY}.items():
        assert parse(f"{number!r}{prefix}{unit}", unit) == pytest.approx(number * factor, rel=1e-14)
    with pytest.raises(ValueError, match="found unit"):
        parse(f"{number!r} n{unit}", unit)


@given(numbers, st.sampled_from(["Hz", "s", "W"]), st.integers(min_value=3, max_value=15))
def test_what_is_printed_reads_back_to_its_digits(value: float, unit: str, digits: int) -> None:
    text = si(value, unit, digits)
    assert parse(text, unit) == pytest.approx(value, rel=10.0 ** (1 - digits))
    shown = float(text.split(" ")[0])
    assert shown < 1000 or value >= 9.9e17
    assert shown >= 1 or value < 1.1e-12


@given(st.floats(min_value=1, max_value=9e14))
def test_binary_sizes_read_back(value: float) -> None:
    assert parse(binary_size(value), "B") == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("prefix", BINARY)
@given(st.integers(min_value=1, max_value=1023))
def test_round_binary_sizes_read_back_exactly(prefix: str, count: int) -> None:
    assert parse(binary_size(count * BINARY[prefix]), "B") == count * BINARY[prefix]


def test_si_at_its_edges() -> None:
    assert si(0, "s") == "0 s"
    assert si(999.7, "B") == "1 kB"
    assert si(2.5e9, "B/s") == "2.5 GB/s"
    assert si(1.5e-9, "s") == "1.5 ns"
    assert si(-2e3, "W") == "-2 kW"
    assert si(math.inf, "s") == "inf s"
    assert si(1500) == "1.5 k"


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("size_bytes", "B"),
        ("bandwidth_bytes_per_s", "B/s"),
        ("clock_hz", "Hz"),
        ("latency_s", "s"),
        ("node_nm", "nm"),
        ("energy_pj", "pJ"),
        ("lanes", None),
        ("macs_per_pe_per_cycle", None),
        ("hz", "Hz"),
    ],
)
def test_a_key_ends_in_its_unit(key: str, unit: str | None) -> None:
    assert unit_of_key(key) == unit


corners = st.floats(min_value=0, max_value=1e12)
ranges = st.builds(Range, corners, corners, corners)


@given(st.lists(ranges, max_size=5), st.randoms())
def test_the_total_of_ranges_does_not_depend_on_their_order(
    parts: list[Range], random: object
) -> None:
    assert Range.total(parts) == Range.total(reversed(parts))
    assert Range.total(parts).typical == math.fsum(part.typical for part in parts)


@given(ranges, ranges, corners)
def test_ranges_combine_corner_by_corner(a: Range, b: Range, factor: float) -> None:
    assert (a + b).to_dict() == {
        "low": a.low + b.low,
        "typical": a.typical + b.typical,
        "high": a.high + b.high,
    }
    assert (a * factor).high == a.high * factor
    assert a.times(b).low == a.low * b.low


def test_a_quantity_is_the_number_that_it_says() -> None:
    assert parse("100 ns", "s") == 1e-7
    assert parse("0.1 us", "s") == 1e-7
    assert parse("51.2 GB/s", "B/s") == 51.2e9
    assert parse("1.05 GHz", "Hz") == 1.05e9
