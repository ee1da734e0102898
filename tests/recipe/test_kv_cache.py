from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import RecipeError
from accelsim.evaluate.model import RunningModel
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.recipe.annotate import annotate
from accelsim.recipe.schema import CacheFormat, Recipe
from accelsim.sim.interpret import Interpreter, StoredModel
from accelsim.sim.simulate import Simulator
from accelsim.spec.load import load_arch
from tests.tiny import chip, tokens_of, values

INT8 = CacheFormat(format="int8")


def recipe(cache: CacheFormat | None) -> Recipe:
    return Recipe(schema_version=1, name="test", kv_cache=cache)


def running(cache: CacheFormat | None) -> RunningModel:
    return RunningModel(load("tiny"), StoredModel(values()), recipe(cache), chip())


def test_the_cache_holds_codes_and_a_scale_per_token_and_head() -> None:
    asked = GraphRequest("decode", 2, context_len=30)
    graph = annotate(load("tiny").graph(asked), recipe(INT8))
    caches = [t for t in graph.tensors.values() if t.role == "cache"]
    assert len(caches) == 16
    for cache in caches:
        assert cache.bits == cache.numel * 8 + cache.numel // 32 * 16
    kinds = [op.kind for op in graph.ops]
    assert kinds.count("quantize") == kinds.count("absmax") == 8


def test_a_smaller_cache_moves_fewer_bytes_when_it_is_long() -> None:
    asked = GraphRequest("decode", 1, context_len=900)
    source, simulator = load("tiny"), Simulator(load_arch("edge_npu"), "analytical")
    found = []
    for cache in (None, INT8, CacheFormat(format="int4")):
        run = simulator.run(annotate(source.graph(asked), recipe(cache)), "test")
        found.append(sum(row.dram_bytes for row in run.layers if row.op == "attention"))
    assert found[0] > 1.7 * found[1] > 1.7 * 1.5 * found[2]


@pytest.mark.parametrize(("fmt", "most"), [("int8", 0.05), ("fp8_e4m3", 0.15), ("int4", 1.0)])
def test_prefill_and_decode_read_the_same_codes(fmt: str, most: float) -> None:
    tokens = tokens_of(1, 24)
    model, plain = running(CacheFormat.model_validate({"format": fmt})), running(None)
    whole = model.logits(tokens)
    assert 0 < np.abs(whole - plain.logits(tokens)).mean() < most
    asked = GraphRequest("decode", 1, context_len=23)
    inputs = {"input_ids": tokens[:, -1:], **model.caches(tokens[:, :-1])}
    _, graph = model.graphs(asked)
    step = Interpreter(graph, model.stored, model.chip).run(inputs)[graph.outputs[0]]
    np.testing.assert_array_equal(step[:, -1], whole[:, -1])


def test_a_model_without_a_cache_has_no_format_of_it() -> None:
    with pytest.raises(RecipeError, match="kv_cache: bert-base keeps no cache"):
        annotate(load("bert-base").graph(GraphRequest(seq_len=16)), recipe(INT8))


def test_a_live_model_keeps_the_same_codes() -> None:
    pytest.importorskip("transformers", reason="a live model needs transformers")
    import torch
    from transformers import LlamaForCausalLM

    from accelsim.evaluate.live import on_chip

    tokens = tokens_of(1, 24)
    module = LlamaForCausalLM.from_pretrained(values().folder, dtype=torch.bfloat16).eval()
    with torch.no_grad(), on_chip(module, recipe(INT8), chip()):
        first = module(torch.from_numpy(tokens[:, :-1]), use_cache=True)
        second = module(
            torch.from_numpy(tokens[:, -1:]), past_key_values=first.past_key_values, use_cache=True
        )
    wanted = running(INT8).logits(tokens)
    np.testing.assert_array_equal(first.logits.float().numpy(), wanted[:, :-1])
    np.testing.assert_array_equal(second.logits.float().numpy(), wanted[:, -1:])
