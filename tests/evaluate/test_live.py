"""A running torch model answered by kernels has the bits of the interpreted graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.graph.ir import Graph
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.recipe.load import load_recipe
from tests.tiny import chip, plain_recipes, running, tokens_of, values

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.evaluate.live import on_chip

RECIPES = plain_recipes()
#: Kinds that move values: padding and a cache make other ones than a recording without them.
COUNTED = ("matmul", "attention", "norm", "elementwise", "rotary", "kv_append", "gather")


def tiny(dtype: Any = None) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        values().folder, dtype=dtype or torch.bfloat16
    ).eval()


@pytest.mark.parametrize("recipe", RECIPES)
def test_live_and_interpreted_bits_are_equal(recipe: str) -> None:
    model, tokens = tiny(), tokens_of(2, 40)
    with on_chip(model, load_recipe(recipe), chip()):
        found = model(torch.from_numpy(tokens)).logits.float().numpy()
    assert np.array_equal(found, running(recipe).logits(tokens))


def ops_of(graph: Graph) -> Counter[tuple[str, str]]:
    return Counter((op.name, op.kind) for op in graph.ops if op.kind in COUNTED)


def executed_as_recorded(calls: Iterable[Graph], batch: int, length: int) -> None:
    """Compare the calls of a generation with graphs that were recorded at the same shapes."""
    source = load("tiny")
    for step, call in enumerate(calls):
        request = GraphRequest("prefill", batch, length)
        if step:
            request = GraphRequest("decode", batch, context_len=length + step - 1)
        wanted, found = ops_of(source.graph(request)), ops_of(call)
        # Positions come from outside, so what counts them is not executed by the model.
        counting = {key for key in wanted if key[0] in ("model.arange", "model.add")}
        assert found == Counter({k: n for k, n in wanted.items() if k not in counting})


def test_the_recorded_graph_is_what_is_executed() -> None:
    model = tiny()
    with on_chip(model, load_recipe("w8a8_int8"), chip()) as live:
        model(torch.from_numpy(tokens_of(2, 12)))
    recorded = load("tiny").graph(GraphRequest("prefill", 2, 12, logits="all"))
    assert ops_of(live.calls[0]) == ops_of(recorded)
    shapes = {n: t.shape for n, t in recorded.tensors.items() if n in live.calls[0].tensors}
    assert all(live.calls[0].tensors[name].shape == shape for name, shape in shapes.items())
    assert len(shapes) > 60


def test_generate_with_padding_gives_the_tokens_of_the_interpreter() -> None:
    model, recipe = tiny(), "w4a8_int4_g32"
    rows = [tokens_of(1, n)[0].tolist() for n in (9, 14, 11)]
    longest = max(map(len, rows))
    ids = torch.tensor([[1] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    with on_chip(model, load_recipe(recipe), chip()) as live:
        made = model.generate(
            ids, attention_mask=mask, max_new_tokens=4, min_new_tokens=4, do_sample=False,
            output_scores=True, return_dict_in_generate=True, pad_token_id=1,
        )  # fmt: skip
    assert len(live.calls) == 4
    executed_as_recorded(live.calls, 3, longest)
    reference = running(recipe)
    for row, begun in enumerate(rows):
        tokens = list(begun)
        for step in range(4):
            logits = reference.logits(np.array([tokens]))[0, -1]
            scores = made.scores[step][row].float().numpy()
            kept = np.isfinite(scores)  # generate hides the token that would end the text
            assert np.array_equal(scores[kept], logits[kept])
            tokens.append(int(made.sequences[row, longest + step]))


def test_generate_executes_the_recorded_ops_at_every_step() -> None:
    model = tiny()
    ids = torch.from_numpy(tokens_of(2, 10))
    with on_chip(model, load_recipe("w8a8_int8"), chip()) as live:
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, min_new_tokens=3,
            do_sample=False, pad_token_id=1,
        )  # fmt: skip
    assert len(live.calls) == 3
    executed_as_recorded(live.calls, 2, 10)


def test_a_model_in_another_number_type_is_refused() -> None:
    model = tiny(torch.float32)
    with (
        pytest.raises(InputError, match=r"stores bf16: load the model on the CPU with dtype"),
        on_chip(model, load_recipe("bf16"), chip()),
    ):
        pass


def test_torch_is_itself_again_afterwards() -> None:
    model, ids = tiny(), torch.from_numpy(tokens_of(1, 8))
    with torch.no_grad():
        before = model(ids).logits
        with on_chip(model, load_recipe("w4a4_int4_g32"), chip()):
            inside = model(ids).logits
        after = model(ids).logits
    assert torch.equal(before, after)
    assert not torch.equal(before, inside)


def test_weights_are_read_from_the_live_module() -> None:
    model = tiny()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(2.0)
    ids = torch.from_numpy(tokens_of(1, 8))
    with on_chip(model, load_recipe("bf16"), chip()):
        found = model(ids).logits.float().numpy()
    assert not np.array_equal(found, running("bf16").logits(tokens_of(1, 8)))
