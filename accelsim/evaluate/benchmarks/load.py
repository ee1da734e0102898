"""The model that is evaluated: a shipped one or a local Hugging Face folder, never a download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import CheckpointError, InputError, UnknownNameError
from accelsim.graph import zoo
from accelsim.graph.checkpoint import BUFFERS, read_checkpoint
from accelsim.graph.quantized.view import quantization_of

#: Any of these is a tokenizer that transformers reads.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
#: Types of numbers that a model can be run in; ``auto`` is that of its checkpoint.
DTYPES = ("auto", "float32", "bfloat16", "float16")
_SHOWN = 3


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a configuration, safetensors and a tokenizer.

    Attributes:
        name: of the model.
        path: of the folder.
        fingerprint: of everything in it that answers depend on.
    """

    name: str
    path: Path
    fingerprint: str


def find(model: str) -> ModelFolder:
    """Return the folder that a MODEL argument means, its files looked through.

    Raises:
        InputError: no such model, no weights or no tokenizer.
        CheckpointError: weights that are pickled or truncated.
    """
    if model in zoo.names():
        values = zoo.load(model).values
        if values is None:
            raise InputError(
                f"{model}: ships without weights, so it answers nothing: give tiny, or a Hugging "
                "Face folder"
            )
        return _checked(model, values.folder)
    path = Path(model).expanduser()
    if path.is_dir():
        return _checked(path.resolve().name, path)
    if path.exists():
        raise InputError(f"{model}: is a file; the folder of a Hugging Face model is needed")
    if "/" in model or model.startswith((".", "~")):
        raise InputError(f"{model}: no such folder")
    raise UnknownNameError("model", model, zoo.names())


def _checked(name: str, folder: Path) -> ModelFolder:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json there; a Hugging Face folder has one")
    weights = read_checkpoint(folder)
    if weights is None:
        raise InputError(f"{folder}: no safetensors there, so no weights to run")
    found = [folder / one for one in _TOKENIZERS if (folder / one).is_file()]
    if not found:
        raise InputError(
            f"{folder}: no tokenizer: none of {', '.join(_TOKENIZERS)} is there; the model cannot "
            "be given text"
        )
    texts = [*found, *sorted(folder.glob("*.json")), *sorted(folder.glob("*.jinja"))]
    files = sorted({*texts, *(entry.file for entry in weights.values())})
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return ModelFolder(name, folder, digest.hexdigest()[:16])


def load(folder: ModelFolder, dtype: str) -> tuple[Any, Any]:
    """Return the torch model and its tokenizer.

    Args:
        folder: what ``find`` returned.
        dtype: one of ``DTYPES``.

    Raises:
        InputError: a tokenizer or an architecture that transformers does not read.
        CheckpointError: weights that are missing, left over, misshapen or not finite.
    """
    import torch
    import transformers

    from accelsim.evaluate.benchmarks.coded import load_coded

    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path, **options)
    except Exception as error:  # every family of tokenizers raises something else
        raise InputError(f"{folder.path}: its tokenizer cannot be read: {_line(error)}") from None
    kind = dtype if dtype == "auto" else getattr(torch, dtype)
    coded = quantization_of(folder.path / "config.json") is not None
    model = load_coded(folder.path, kind) if coded else None
    if model is not None:
        return model.eval(), tokenizer
    try:
        model, said = transformers.AutoModelForCausalLM.from_pretrained(
            folder.path, dtype=kind, use_safetensors=True, output_loading_info=True, **options
        )
    except Exception as error:  # as above: configurations, quantizers and shapes each have theirs
        raise CheckpointError(f"{folder.path}: cannot be loaded: {_line(error)}") from None
    _complete(folder, said)
    _finite(folder, model)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise InputError(
            f"{folder.path}: the tokenizer has {len(tokenizer)} tokens, the model's table "
            f"{model.get_input_embeddings().weight.shape[0]}"
        )
    return model.eval(), tokenizer


def _complete(folder: ModelFolder, said: Any) -> None:
    """Refuse what transformers only warns of: missing weights would be drawn at random."""
    for key, what in (
        ("missing_keys", "weights are missing"),
        ("mismatched_keys", "weights have another shape than the configuration says"),
        ("unexpected_keys", "tensors belong to no part of the model"),
    ):
        names = sorted(str(one) for one in said.get(key, ()) if not str(one).endswith(BUFFERS))
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            shown = ", ".join(names[:_SHOWN])
            raise CheckpointError(f"{folder.path}: {len(names)} {what}: {shown}{more}")


def _finite(folder: ModelFolder, model: Any) -> None:
    import torch

    for name, weight in model.named_parameters():
        wide = weight.is_floating_point() and weight.element_size() > 1
        if wide and not bool(torch.isfinite(weight).all()):
            wrong = int((~torch.isfinite(weight)).sum())
            raise CheckpointError(
                f"{folder.path}: {name!r} holds {wrong:,} values that are NaN or infinite (of "
                f"{weight.numel():,}); weights must be finite"
            )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
