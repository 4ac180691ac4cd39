"""What a rewritten GGUF file says, and that its weights are those of the first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, LlamaFileType
from gguf.quants import dequantize

from build_scripts import paths
from build_scripts.engines.gguf import precision
from tests.build_scripts import gguf_files


def rewritten(source: Path) -> GGUFReader:
    into = source.with_name("rewritten.gguf")
    precision.rewrite(source, into, print)
    return GGUFReader(into)


@pytest.mark.parametrize("weights", ["F32", "BF16", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("chunk", [1 << 22, 1000])
def test_the_weights_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, chunk: int
) -> None:
    monkeypatch.setattr(precision, "_CHUNK", chunk)
    source = gguf_files.write(tmp_path / "x.gguf", weights=weights)
    before, after = GGUFReader(source).tensors, rewritten(source).tensors
    assert [one.name for one in after] == [one.name for one in before]
    for old, new in zip(before, after, strict=True):
        assert list(new.shape) == list(old.shape)
        wanted = dequantize(old.data, old.tensor_type)
        found = dequantize(new.data, new.tensor_type)
        if len(old.shape) == 1:
            assert new.tensor_type == old.tensor_type
            assert np.array_equal(found, wanted)
        else:
            assert new.tensor_type.name == "Q8_0"
            # Half a step of a block's 127, and the scale's own rounding to 16 bits.
            assert np.abs(found - wanted).max() <= np.abs(wanted).max() / 127 * 0.6


def test_the_metadata_is_copied(tmp_path: Path) -> None:
    odd = {"general.alignment": 64, "llama.odd": -0.5, "llama.tags": [3]}
    source = gguf_files.write(tmp_path / "x.gguf", gguf_files.metadata(**odd), weights="Q8_0")
    wanted, found = stated(GGUFReader(source)), stated(rewritten(source))
    del wanted["general.alignment"]  # the writer's own
    assert wanted.pop("general.file_type")[0] == LlamaFileType.MOSTLY_F16
    assert found.pop("general.file_type")[0] == LlamaFileType.MOSTLY_Q8_0
    assert found == wanted


def stated(reader: GGUFReader) -> dict[str, Any]:
    """Value and types by key."""
    return {
        key: (field.contents(), field.types)
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.")
    }


@pytest.mark.parametrize(
    ("kind", "width", "wanted"),
    [
        ("Q4_0", 64, "Q4_0"),
        ("Q6_K", 256, "Q8_0"),
        ("Q4_K", 256, "Q8_0"),
        ("IQ4_XS", 256, "Q8_0"),
        ("BF16", 64, "Q8_0"),
        ("BF16", 48, "F16"),
    ],
)
def test_what_is_kept_and_what_is_rewritten(kind: str, width: int, wanted: str) -> None:
    assert precision.target(kind, width) == wanted


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q5_K", "IQ1_S", "IQ3_XXS", "TQ1_0", "MXFP4"])
def test_types_that_can_be_rewritten(kind: str) -> None:
    assert precision.is_readable(kind)


@pytest.mark.parametrize("kind", ["Q8_1", "Q8_K", "I32", "F64"])
def test_types_that_cannot(kind: str) -> None:
    assert not precision.is_readable(kind)


def test_the_block_is_the_package_s() -> None:
    assert GGML_QUANT_SIZES[GGMLQuantizationType[precision.REPLACEMENT]][0] == precision.BLOCK


def test_verbs_that_read_no_file_do_not_wait_for_the_package() -> None:
    code = "import build_scripts.server.lifecycle, sys; assert 'gguf' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, check=True)
