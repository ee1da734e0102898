"""Hyperparameters of the shipped models; transformers is imported only to record them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ZooEntry:
    """One shipped model.

    Attributes:
        config: name of the transformers class of its configuration.
        architecture: name of the transformers class of the model.
        values: hyperparameters.
        source: where they are published.
        longest: tokens for which it has learned positions; None when nothing limits them.
    """

    config: str
    architecture: str
    values: Mapping[str, Any]
    source: str
    longest: int | None = None


#: Token of the tokenizer of ``tiny`` that ends a line, and with it an answer.
NEWLINE = 200

ENTRIES: Mapping[str, ZooEntry] = {
    "llama-3-8b": ZooEntry(
        "LlamaConfig",
        "LlamaForCausalLM",
        {
            "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "hidden_act": "silu", "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
            "tie_word_embeddings": False, "attention_bias": False,
        },
        "Llama 3 model card and arXiv:2407.21783, table 3",
    ),
    "tiny": ZooEntry(
        "LlamaConfig",
        "LlamaForCausalLM",
        {
            "vocab_size": 384, "hidden_size": 128, "intermediate_size": 384,
            "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 32, "hidden_act": "silu", "max_position_embeddings": 1024,
            "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False,
            "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": NEWLINE,
        },
        "trained by accelsim.compress.train_tiny on problems that accelsim generates",
    ),
    "tiny-qwen2": ZooEntry(
        "Qwen2Config",
        "Qwen2ForCausalLM",
        {
            "vocab_size": 512, "hidden_size": 128, "intermediate_size": 384,
            "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 1,
        },
        "trained by accelsim.compress.train_tiny on the plays of Shakespeare",
    ),
    "bert-base": ZooEntry(
        "BertConfig",
        "BertModel",
        {
            "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072,
            "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "gelu",
            "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        },
        "BERT base uncased: arXiv:1810.04805, section 3, and its model card; encoder and pooler",
        512,
    ),
    "resnet-50": ZooEntry(
        "ResNetConfig",
        "ResNetForImageClassification",
        {
            "embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3],
            "layer_type": "bottleneck", "hidden_act": "relu", "downsample_in_first_stage": False,
            "downsample_in_bottleneck": False, "num_labels": 1000,
        },
        "arXiv:1512.03385, table 1, with the stride in the 3x3 convolution (v1.5); 224x224 images",
    ),
    "vit-b-16": ZooEntry(
        "ViTConfig",
        "ViTForImageClassification",
        {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": 12, "hidden_act": "gelu", "image_size": 224, "patch_size": 16,
            "num_channels": 3, "qkv_bias": True, "layer_norm_eps": 1e-12, "num_labels": 1000,
        },
        "ViT-Base/16: arXiv:2010.11929, table 1; 224x224 images, 1000 classes",
    ),
}  # fmt: skip


def config_of(name: str) -> Any:
    """Return the transformers configuration of a shipped model."""
    import transformers

    entry = ENTRIES[name]
    values = dict(entry.values)
    config = getattr(transformers, entry.config)(**values)
    config.architectures = [entry.architecture]
    return config
