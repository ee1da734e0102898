"""Polynomials, fitting, and the file format, on recordings that need no torch."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import CaptureError, GraphError, InputError
from accelsim.graph.family import difference, fit_family
from accelsim.graph.family_file import FamilyModel, changed_lines, dumps, fit_model, load, loads
from accelsim.graph.ir import Graph
from accelsim.graph.polynomial import Polynomial, fit, parse
from accelsim.graph.request import GraphRequest
from tests.graph.graph_builder import Builder

MONOMIALS = ((), ("batch",), ("seq_len",), ("batch", "seq_len"))
POINTS = [{"batch": b, "seq_len": n} for b in (2, 3) for n in (6, 11)]
WIDTH, HEADS = 8, 2


def recorded(request: GraphRequest) -> Graph:
    """One layer of a made-up language model, as a recorder would give it."""
    b = Builder()
    decode = request.phase == "decode"
    batch, tokens = request.batch, 1 if decode else request.seq_len
    kept = 1 if request.logits == "last" else tokens
    keys = (request.context_len + 1) if decode else tokens
    head = (batch, HEADS, tokens, WIDTH // HEADS)
    b.given("ids", batch, tokens, format="int64")
    b.given("table", 32, WIDTH, role="weight")
    x = b.op("gather", ("table", "ids"), (batch, tokens, WIDTH), fn="rows")
    new = b.op("view", (x,), head, fn="reshape")
    past: tuple[str, ...] = ()
    if decode:
        past = (b.given("past", batch, HEADS, keys - 1, WIDTH // HEADS, role="cache"),)
    cache = b.op("kv_append", (new, *past), (*head[:2], keys, head[3]), name="cache")
    b.tensors[cache] = replace(b.tensors[cache], role="cache")
    mixed = b.op("attention", (new, cache, cache), head, causal=not decode, scale=0.5)
    flat = b.op("view", (mixed,), (batch * tokens, WIDTH), fn="reshape")
    rows = b.op("view", (flat,), (batch, tokens, WIDTH), fn="reshape")
    last = b.op(
        "view", (rows,), (batch, kept, WIDTH), fn="slice", start_1=tokens - kept, size_1=kept
    )
    out = b.op("matmul", (last, "table"), (batch, kept, 32))
    graph = b.graph(out, cache)
    sizes, count = request.sizes("language"), request.tokens("language")
    return replace(graph, name="made-up", phase=request.phase, sizes=sizes, tokens=count)


def model() -> FamilyModel:
    return fit_model(recorded, "made-up", "language", 256, "this test")


@given(
    coefficients=st.lists(st.integers(-50, 50), min_size=4, max_size=4),
    batch=st.integers(1, 99), seq_len=st.integers(1, 9999),
)  # fmt: skip
def test_a_fit_goes_through_every_point(coefficients: list[int], batch: int, seq_len: int) -> None:
    def at(p: dict[str, int]) -> int:
        c, n = p["batch"], p["seq_len"]
        return coefficients[0] + coefficients[1] * c + coefficients[2] * n + coefficients[3] * c * n

    fitted = fit(POINTS, [at(p) for p in POINTS], MONOMIALS)
    where = {"batch": batch, "seq_len": seq_len}
    assert (fitted if isinstance(fitted, int) else fitted.at(where)) == at(where)


@given(
    terms=st.lists(
        st.tuples(
            st.fractions(max_denominator=9).filter(bool), st.sampled_from(list(MONOMIALS))
        ),
        min_size=1, max_size=4, unique_by=lambda term: term[1],
    )
)  # fmt: skip
def test_text_of_a_polynomial_reads_back(terms: list[tuple[Fraction, tuple[str, ...]]]) -> None:
    polynomial = Polynomial(tuple(terms))
    assert parse(str(polynomial)) == polynomial


def test_text_is_what_one_would_write() -> None:
    values = [2 * p["batch"] * p["seq_len"] - 1 for p in POINTS]
    assert str(fit(POINTS, values, MONOMIALS)) == "-1 + 2*batch*seq_len"
    assert fit(POINTS, [7] * 4, MONOMIALS) == 7


def test_what_is_no_polynomial_is_refused() -> None:
    points = [{"batch": 2, "seq_len": n} for n in (1, 2, 3, 9)]
    with pytest.raises(CaptureError, match="not a product"):
        fit(points, [1, 2, 3, 4], MONOMIALS)
    with pytest.raises(GraphError, match="not a whole number"):
        Polynomial(((Fraction(1, 2), ("batch",)),)).at({"batch": 3})
    with pytest.raises(GraphError, match="not a polynomial"):
        parse("2*batch**3")


@given(
    phase=st.sampled_from(["prefill", "decode"]), batch=st.integers(1, 40),
    seq_len=st.integers(1, 5000), context_len=st.integers(1, 5000),
    logits=st.sampled_from(["last", "all"]),
)  # fmt: skip
def test_a_family_is_the_recording_at_any_size(
    phase: str, batch: int, seq_len: int, context_len: int, logits: str
) -> None:
    request = GraphRequest(phase, batch, seq_len, context_len, logits)  # type: ignore[arg-type]  # drawn as texts
    assert FAMILIES.graph(request) == recorded(request)


FAMILIES = model()


def test_the_file_gives_back_the_same_families(tmp_path: Path) -> None:
    text = dumps(FAMILIES)
    path = tmp_path / "made-up.json"
    path.write_text(text, encoding="utf-8")
    read = load(path)
    assert dumps(read) == text
    for phase in ("prefill", "decode"):
        request = GraphRequest(phase, 7, 13, 17)
        assert read.graph(request) == FAMILIES.graph(request)
    assert (read.kind, read.parameters, read.source) == ("language", 256, "this test")


def test_each_op_is_a_line_of_the_file() -> None:
    changed = dumps(replace(FAMILIES, source="somewhere else"))
    assert len(changed_lines(dumps(FAMILIES), changed)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema_version": 1', '"schema_version": 2'),
        ('"families"', '"family"'),
        ("{", "["),
        ('"seq_len"', '"seq_len ++"'),
        ('"made-up"', "7, 8"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(old: str, new: str) -> None:
    with pytest.raises(InputError, match=r"here\.json") as error:
        loads(dumps(FAMILIES).replace(old, new, 1), "here.json")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "nothing.json")


def test_a_window_shows_at_the_longest_held_out_size() -> None:
    def windowed(request: GraphRequest) -> Graph:
        keys = min(request.seq_len, 100)
        b = Builder()
        b.given("x", request.batch, request.seq_len)
        out = b.op(
            "view", ("x",), (request.batch, keys), name="layer.slice", fn="slice", size_1=keys
        )
        return replace(b.graph(out), sizes=request.sizes("encoder"))

    with pytest.raises(CaptureError, match=r"layer\.slice at .*4099"):
        fit_family(windowed, "encoder")


def test_ops_that_come_and_go_with_the_size_are_refused() -> None:
    def branching(request: GraphRequest) -> Graph:
        b = Builder()
        b.given("x", request.batch)
        fn = "neg" if request.batch % 2 else "abs"
        out = b.op("elementwise", ("x",), (request.batch,), name=f"layer.{fn}", fn=fn)
        return replace(b.graph(out), sizes=request.sizes("vision"))

    with pytest.raises(CaptureError, match=r"op layer\.abs depends on sizes"):
        fit_family(branching, "vision")


def test_difference_names_the_first_op() -> None:
    request = GraphRequest(batch=2, seq_len=3)
    one, other = recorded(request), recorded(replace(request, seq_len=4))
    assert difference(one, one) == ""
    assert difference(one, other, shapes=False) == ""
    assert difference(one, other).startswith(("op ", "tensor "))
    shorter = replace(one, ops=one.ops[:-1])
    assert difference(one, shorter) == f"op {one.ops[-1].name}"


def test_phases_and_positions_are_checked() -> None:
    with pytest.raises(InputError, match="has no decode phase"):
        FamilyModel("v", "vision", 1, "", {"prefill": FAMILIES.families["prefill"]}).graph(
            GraphRequest("decode")
        )
    with pytest.raises(InputError, match="not decode"):
        FAMILIES.families["prefill"].build(GraphRequest("decode"))
    short = replace(FAMILIES, longest=16)
    short.graph(GraphRequest(seq_len=16))
    with pytest.raises(InputError, match="17 tokens; it has 16 positions"):
        short.graph(GraphRequest(seq_len=17))
    with pytest.raises(InputError, match="17 tokens"):
        short.graph(GraphRequest("decode", context_len=16))


@pytest.mark.parametrize(
    "fields",
    [{"batch": 0}, {"seq_len": -1}, {"context_len": True}, {"phase": "train"}, {"logits": "some"}],
)
def test_a_request_that_cannot_be_meant(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(fields))):
        GraphRequest(**fields)  # type: ignore[arg-type]  # wrong on purpose
