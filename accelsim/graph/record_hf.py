"""From a transformers configuration to a graph: the model is built on meta, without weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from accelsim.errors import CaptureError
from accelsim.graph.ir import Attr, Graph
from accelsim.graph.record import finish, run
from accelsim.graph.record_cache import recording_cache
from accelsim.graph.record_call import Draft, tensors_in
from accelsim.graph.record_mode import Recorder
from accelsim.graph.request import GraphRequest, Kind

#: Sizes of an image when the configuration does not say: ImageNet's.
IMAGE_SIZE, IMAGE_CHANNELS = 224, 3
#: Query rows at which a mask function is looked at: the first, the last and some between.
MASK_PROBES = 7


@dataclass(frozen=True)
class HfModel:
    """A transformers model, on the meta device unless it is somebody's live model."""

    module: Any
    kind: Kind
    name: str

    @property
    def longest(self) -> int | None:
        """Tokens that its positions were made for."""
        config = self.module.config.get_text_config()
        found = getattr(config, "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    @property
    def parameters(self) -> int:
        """Parameters, tied ones once."""
        return sum(weight.numel() for weight in self.module.parameters())


def build_hf(config: Any, name: str | None = None) -> HfModel:
    """Build the model of a configuration without weights, in bf16 unless it names a type.

    Raises:
        CaptureError: no class for it, or a kind of model that is not recorded.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise CaptureError(
            f"{type(config).__name__}: encoder-decoder models are not recorded whole; record the "
            "encoder or decoder with package.module:function"
        )
    dtype = getattr(config, "dtype", None) or torch.bfloat16
    build = _builder(config)
    try:
        with torch.device("meta"):
            module = build(config, dtype=dtype)
    except Exception as error:  # transformers raises what it likes for a config it cannot build
        reason = (str(error).strip().splitlines() or [""])[0]
        raise CaptureError(
            f"{type(config).__name__}: transformers cannot build the model: {reason}; check the "
            "config against its class"
        ) from error
    return HfModel(module.eval(), _kind(module), name or str(config.model_type))


def constants_of(model: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Return the values of a transformers model's float buffers that no checkpoint holds.

    On the meta device they have none; transformers computes them from the configuration when it
    loads weights, and the same is asked of it here, module by module.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    for path, module in model.named_modules():
        buffers = dict(module.named_buffers(recurse=False))
        if not any(buffer.is_floating_point() for buffer in buffers.values()):
            continue
        if any(buffer.is_meta for buffer in buffers.values()):
            if any(True for _ in module.parameters(recurse=False)):
                continue  # statistics beside weights: the checkpoint has them
            module = copy.deepcopy(module).to_empty(device="cpu", recurse=False)
            model._init_weights(module)
            buffers = dict(module.named_buffers(recurse=False))
        for name, buffer in buffers.items():
            if buffer.is_floating_point():
                found[f"{path}.{name}" if path else name] = buffer.float().numpy().copy()
    return found


def live_hf(module: Any, name: str) -> HfModel:
    """Take a model as it is, with its weights and whatever was changed in it."""
    return HfModel(module, _kind(module), name)


def record_hf(config: Any, request: GraphRequest, name: str | None = None) -> Graph:
    """Return the graph of a transformers configuration.

    Raises:
        CaptureError: an op without a model, or a model that cannot be recorded.
    """
    return record_built(build_hf(config, name), request)


def record_built(model: HfModel, request: GraphRequest) -> Graph:
    """Return the graph of a model that was built before."""
    if request.phase == "decode" and model.kind != "language":
        raise CaptureError(f"{model.name}: a {model.kind} model has no decode phase; use prefill")
    recorder = Recorder(model.module)
    with _masks(recorder):
        out = run(recorder, model.module, (), _arguments(model, recorder, request))
    named = isinstance(out, Mapping)
    kept = [v for k, v in out.items() if k != "past_key_values"] if named else out
    sizes, tokens = request.sizes(model.kind), request.tokens(model.kind)
    return finish(recorder, tensors_in(kept), model.name, request.phase, sizes, tokens)


def _builder(config: Any) -> Callable[..., Any]:
    """Return what builds the class that the configuration names, or the best automatic one."""
    for architecture in getattr(config, "architectures", None) or ():
        found = getattr(transformers, architecture, None)
        if found is not None:
            build: Callable[..., Any] = found._from_config
            return build
    autos: tuple[str, ...] = (
        "AutoModelForCausalLM", "AutoModelForImageClassification", "AutoModel",
    )  # fmt: skip
    for auto in autos[-1:] if _is_encoder(config) else autos:
        factory = getattr(transformers, auto)
        if type(config) in factory._model_mapping:
            chosen: Callable[..., Any] = factory.from_config
            return chosen
    raise CaptureError(
        f"transformers knows no model for {type(config).__name__}; name one in 'architectures'"
    )


def _is_encoder(config: Any) -> bool:
    """Tell whether a model fills masks rather than continuing text; BERT can be built as both."""
    masked = type(config) in transformers.AutoModelForMaskedLM._model_mapping
    return masked and not getattr(config, "is_decoder", False)


def _kind(module: Any) -> Kind:
    if module.main_input_name == "pixel_values":
        return "vision"
    if type(module).__name__.endswith(("ForCausalLM", "LMHeadModel")) and module.can_generate():
        return "language"
    if module.main_input_name == "input_ids":
        return "encoder"
    raise CaptureError(
        f"{type(module).__name__} wants {module.main_input_name!r}: record it with its own "
        "example input as package.module:function"
    )


def _arguments(model: HfModel, recorder: Recorder, request: GraphRequest) -> dict[str, Any]:
    config, device = model.module.config, model.module.device
    if model.kind == "vision":
        side = getattr(config, "image_size", None) or IMAGE_SIZE
        height, width = side if isinstance(side, (tuple, list)) else (side, side)
        channels = getattr(config, "num_channels", None) or IMAGE_CHANNELS
        shape = (request.batch, channels, height, width)
        return {"pixel_values": torch.zeros(shape, dtype=model.module.dtype, device=device)}
    decode = request.phase == "decode"
    tokens = 1 if decode else request.seq_len
    ids = torch.zeros((request.batch, tokens), dtype=torch.int64, device=device)
    arguments: dict[str, Any] = {"input_ids": ids}
    if model.kind == "language":
        past = request.context_len if decode else 0
        arguments |= {"past_key_values": recording_cache(config, recorder, past), "use_cache": True}
        arguments["logits_to_keep"] = 1 if request.logits == "last" else tokens
    return arguments


@contextmanager
def _masks(recorder: Recorder) -> Iterator[None]:
    """Record attention masks by their pattern: which keys a query sees, not how that is computed.

    transformers builds a mask tensor only where the attention kernel's own flag does not do, e.g.
    for a sliding window. Its values are known from the mask function alone, and on meta there are
    none to look at; so the function is asked at a few query rows.
    """
    originals = {name: ALL_MASK_ATTENTION_FUNCTIONS[name] for name in ("sdpa", "eager")}

    def watched(original: Callable[..., Any], kernel: str) -> Callable[..., Any]:
        def make(**options: Any) -> Any:
            with recorder.paused():
                pattern = mask_pattern(options)
                mask = None if pattern is None else original(**options)
            if pattern is None:
                return original(**options)
            one_query = kernel == "sdpa" and options["q_length"] == 1
            if mask is None or (one_query and pattern == (False, 0)):
                return None
            attrs: dict[str, Attr] = {"fn": "mask", "causal": pattern[0], "window": pattern[1]}
            recorder.add(Draft("fill", (), attrs, "mask", (mask,)))
            return mask

        return make

    for name, original in originals.items():
        ALL_MASK_ATTENTION_FUNCTIONS[name] = watched(original, name)
    try:
        yield
    finally:
        for name, original in originals.items():
            ALL_MASK_ATTENTION_FUNCTIONS[name] = original


def mask_pattern(options: dict[str, Any]) -> tuple[bool, int] | None:
    """Return (causal, window) of a mask function, window 0 for none; None when it is neither."""
    if options.get("attention_mask") is not None or options.get("use_vmap"):
        return None
    function, queries, keys = options["mask_function"], options["q_length"], options["kv_length"]
    if not isinstance(options.get("q_offset", 0), int):
        return None
    rows = sorted({(queries - 1) * i // (MASK_PROBES - 1) for i in range(MASK_PROBES)})
    q = torch.tensor(rows).reshape(1, 1, -1, 1) + options.get("q_offset", 0)
    k = torch.arange(keys).reshape(1, 1, 1, -1) + options.get("kv_offset", 0)
    zero = torch.zeros(1, 1, 1, 1, dtype=torch.int64)
    seen = function(zero, zero, q, k).expand(1, 1, len(rows), keys)
    if bool(seen.all()):
        return (False, 0)
    if torch.equal(seen, (k <= q).expand_as(seen)):
        return (True, 0)
    window = int(seen[..., -1, :].sum())
    if torch.equal(seen, ((k <= q) & (k > q - window)).expand_as(seen)):
        return (True, window)
    return None
