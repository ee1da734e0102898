"""zigzag's strings: what is read, what is refused, and that its energies come out."""

from __future__ import annotations

import pytest

from accelsim.errors import InputError, MappingError
from accelsim.mapping.loopnest import zigzag
from accelsim.mapping.loopnest.layer import Layer
from accelsim.spec.hierarchy import load_hierarchy


def test_strings_are_read() -> None:
    place = load_hierarchy("meta_prototype")
    nest = zigzag.parse(
        "[(OX, 4.0), (OY, 3.5), (K, 32.0), (C, 1.5)]",
        "{O: [[(C, 2), (FY, 7)], [(OY, 28)], []], W: [[], [(C, 2)], [], [(FY, 7), (OY, 28)]], "
        "I: [[(C, 2), (FY, 7), (OY, 28)], [], []]}",
        place,
    )
    assert nest.spatial == ((("K", 32.0),), (("C", 1.5),), (("OX", 4.0),), (("OY", 3.5),))
    assert nest.temporal["O"] == ((("C", 2.0), ("FY", 7.0)), (("OY", 28.0),), ())
    assert [len(nest.temporal[o]) for o in ("I", "W", "O")] == [3, 4, 3]


def test_its_names_of_gemm_loops_are_known() -> None:
    assert zigzag.parse_loops("[(D0, 8.0), (D2, 4), (D1, 2)]") == (("B", 8), ("C", 4), ("K", 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[(K, 32), (C 2)]", "loops such as"),
        ("[(Z, 32)]", "unknown loop 'Z'"),
        ("[(K, 0)]", "loop K of 0"),
    ],
)
def test_loops_that_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        zigzag.parse_loops(text)


def test_an_operand_that_is_missing() -> None:
    with pytest.raises(InputError, match="no loops for I"):
        zigzag.parse_temporal("{O: [[(C, 2)]], W: [[(C, 2)]]}")


def test_a_loop_that_finds_no_axis() -> None:
    with pytest.raises(MappingError, match=r"no axis of tpu_like is left for \(C, 64\)"):
        zigzag.place((("C", 64.0),), load_hierarchy("tpu_like"))


def test_an_energy_counted_by_hand() -> None:
    """64 x 32 x 32 on tpu_like, everything in one pass: each number below is countable."""
    place = load_hierarchy("tpu_like")
    layer = Layer("gemm", {"B": 64, "K": 32, "C": 32})
    nest = zigzag.parse(
        "[(K, 32.0), (C, 32.0)]",
        "{O: [[], [(B, 64)], []], W: [[(B, 64)], []], I: [[(B, 64)], []]}",
        place,
    )  # fmt: skip
    found = {(c.operand, c.level): c.energy_pj for c in zigzag.charges(nest, layer, place)}
    # A weight is held for all steps: 1,024 reads of 1,024 registers, each filled once.
    assert found["W", "rf_128B"] == pytest.approx(1024 * (0.095 + 0.095))
    assert found["W", "dram"] == pytest.approx(1024 * 8 / 64 * 700)
    # Inputs: 32 bytes in every step, of accesses of 2,048 bits that are charged by 64.
    assert found["I", "sram_2MB"] == pytest.approx(64 * (256 / 2048) * 416.16 + 8 * 378.4)
    # Every register is read and written in each step, and sends each sum on, in a whole
    # access although it is finished.
    assert found["O", "rf_2B"] == pytest.approx(64 * 1024 * 3 * 0.021)
    assert found["O", "dram"] == pytest.approx(64 * 32 * 8 / 64 * 750)


def test_other_levels_than_the_hierarchy_has() -> None:
    from accelsim.mapping.loopnest.cost import cost

    nest = zigzag.parse("[]", "{O: [[]], W: [[], []], I: [[], []]}", load_hierarchy("tpu_like"))
    words = "O has loops for 1 levels, tpu_like holds it in 3: rf_2B, sram_2MB, dram"
    with pytest.raises(MappingError, match=words):
        cost(nest, Layer("gemm", {"B": 1}), load_hierarchy("tpu_like"))
