"""A key-value cache whose update is one op per tensor, and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from accelsim.errors import CaptureError
from accelsim.graph.record_call import Draft
from accelsim.graph.record_mode import Recorder


class RecordingLayer(DynamicLayer):
    """The cache of one layer, which holds ``past`` tokens before the step.

    It is never filled: the past becomes a graph input when the first keys show its shape.
    """

    def __init__(self, recorder: Recorder, past: int, window: int = 0) -> None:
        super().__init__()
        self.recorder, self.past, self.window = recorder, past, window
        self.seen = 0

    @property
    def kept(self) -> int:
        """Tokens that the cache holds: a sliding window keeps one token less than it spans."""
        return min(self.past, self.window - 1) if self.window else self.past

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, and return all of them."""
        if self.seen:
            raise CaptureError(
                f"module {self.recorder.path!r} appends to its cache twice in one step: no model"
            )
        self.seen = key_states.shape[-2]
        self.is_initialized = True
        self.keys = self._append(key_states, "key")
        self.values = self._append(value_states, "value")
        return self.keys, self.values

    def _append(self, new: torch.Tensor, what: str) -> torch.Tensor:
        recorder, past = self.recorder, self.kept
        with recorder.paused():
            shape = (*new.shape[:-2], past + new.shape[-2], new.shape[-1])
            whole = new.new_zeros(shape)
            old = new.new_zeros((*new.shape[:-2], past, new.shape[-1]))
        if past:
            recorder.declare(old, f"{recorder.path}.past_{what}", "cache")
        inputs = (new, old) if past else (new,)
        recorder.add(Draft("kv_append", inputs, {}, f"kv_append_{what}", (whole,)))
        return whole

    def get_seq_length(self) -> int:
        """Tokens seen so far, which positions count from."""
        return self.past + self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask covers."""
        return self.kept + query_length, self.past - self.kept


class RecordingSlidingLayer(RecordingLayer):
    """The cache of a layer with a sliding window."""

    is_sliding = True


def recording_cache(config: Any, recorder: Recorder, past: int) -> DynamicCache:
    """Return a cache with one recording layer per layer of the model.

    Raises:
        CaptureError: a kind of layer that keeps something other than keys and values.
    """
    cache = DynamicCache(config=config)
    layers: list[RecordingLayer] = []
    for layer in cache.layers:
        if type(layer) is DynamicLayer:
            layers.append(RecordingLayer(recorder, past))
        elif type(layer) is DynamicSlidingWindowLayer:
            layers.append(RecordingSlidingLayer(recorder, past, int(layer.sliding_window)))
        else:
            raise CaptureError(
                f"no model for the cache of {type(layer).__name__} layers (keys and values are "
                "modelled, also in a sliding window); record the model as a module without cache"
            )
    cache.layers = layers
    return cache
