"""What is written is what compressed-tensors and transformers read, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("compressed_tensors", reason="the compress extra is not installed")
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")

from accelsim.compress.export.contents import CodedTensor, Content
from accelsim.compress.export.write import write_checkpoint
from accelsim_kernels.rounding import round_to
from tests.compress.export_support import CASES, LLAMA, model


def load(folder: Path) -> Any:
    found, said = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, local_files_only=True, dtype=torch.float32
    )
    assert not said["missing_keys"] and not said["unexpected_keys"], said
    return found


def expected(content: Content) -> Any:
    """Numbers that the codes stand for; of NVFP4 the library keeps BF16, whatever the model has."""
    if not isinstance(content, CodedTensor):
        return content.values  # type: ignore[union-attr]  # the model has no entries
    found = content.weight.numbers()
    return round_to(found, "bf16") if content.weight.scale_format == "ue4m3" else found


@pytest.mark.parametrize("case", CASES)
def test_transformers_dequantizes_to_the_same_bits(case: str, tmp_path: Path) -> None:
    tensors = model(case)
    write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    module = load(tmp_path / "m")
    module.hf_quantizer.compressor.decompress_model(module)
    for name, content in tensors.items():
        found = module.get_parameter(name).detach().float().numpy()
        assert np.array_equal(found.view(np.uint32), expected(content).view(np.uint32)), name
