"""What a GGUF file states, and every file that is refused, by name and with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from build_scripts.engines.gguf import file
from build_scripts.errors import CheckpointError
from tests.build_scripts import gguf_files


def test_the_sizes_have_hugging_face_s_names(tmp_path: Path) -> None:
    checkpoint = file.read(gguf_files.write(tmp_path / "good.gguf"))
    assert checkpoint.config() == {
        "vocab_size": 260,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 512,
    }
    assert (checkpoint.name, checkpoint.licence) == ("good", "not stated")


def test_name_licence_and_head_size_are_taken_from_the_file(tmp_path: Path) -> None:
    stated = gguf_files.metadata(
        **{
            "general.name": "Small One",
            "general.license": "apache-2.0",
            "llama.attention.key_length": 48,  # Mistral's is not embedding_length / head_count
        }
    )
    checkpoint = file.read(gguf_files.write(tmp_path / "x.gguf", stated, weights="Q8_0"))
    assert (checkpoint.name, checkpoint.licence) == ("Small One", "apache-2.0")
    assert checkpoint.config()["head_dim"] == 48


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.gguf` cannot be read \(No such file"):
        file.read(tmp_path / "nothing.gguf")


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\3\4 a zip file")
    with pytest.raises(CheckpointError, match="it is not a GGUF file"):
        file.read(tmp_path / "model.gguf")


@pytest.mark.parametrize("num_bytes", [4, 100, 9000, -1000])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, num_bytes: int) -> None:
    path = gguf_files.write(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(CheckpointError, match=r"cut\.gguf` is damaged, cut short"):
        file.read(path)


def test_a_file_without_a_size_is_named(tmp_path: Path) -> None:
    stated = gguf_files.metadata(**{"llama.context_length": None})
    with pytest.raises(CheckpointError, match=r"`None` for `llama\.context_length`"):
        file.read(gguf_files.write(tmp_path / "x.gguf", stated))


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        ("F16", "F16"),
        ("Q8_0", "Q8_0"),
        ("Q4_0", "Q4_0"),
        ("Q4_1", "Q4_1 as Q8_0"),
        ("Q5_0", "Q5_0 as Q8_0"),
        ("BF16", "BF16 as Q8_0"),
        ("F32", "F32 as Q8_0"),
    ],
)
def test_the_precision_says_what_becomes_of_the_weights(
    tmp_path: Path, weights: str, precision: str
) -> None:
    checkpoint = file.read(gguf_files.write(tmp_path / "x.gguf", weights=weights))
    file.verify(checkpoint, "openvino")
    assert checkpoint.precision("openvino") == precision
    assert checkpoint.precision("llama.cpp") == weights
    assert checkpoint.is_kept == (weights == precision)


def test_a_type_that_nothing_here_can_read(tmp_path: Path) -> None:
    checkpoint = file.read(gguf_files.write(tmp_path / "x.gguf"))
    checkpoint.matrices["Q8_1", 32] = 1
    with pytest.raises(CheckpointError, match=r'`Q8_1`.*engine = "llama\.cpp"'):
        file.verify(checkpoint, "openvino")
    file.verify(checkpoint, "llama.cpp")


def test_an_architecture_that_openvino_cannot_read(tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "x.gguf", architecture="gemma2")
    with pytest.raises(CheckpointError, match=r'`gemma2`.*llama, qwen2, qwen3.*"llama\.cpp"'):
        file.verify(file.read(path), "openvino")
    file.verify(file.read(path), "llama.cpp")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llama.rope.scaling.type": "yarn"}, "scaled rotary embedding"),
        ({"split.count": 3}, "one of 3 parts"),
    ],
)
def test_what_would_be_left_out_in_silence(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = gguf_files.write(tmp_path / "x.gguf", gguf_files.metadata(**changes))
    with pytest.raises(CheckpointError, match=message):
        file.verify(file.read(path), "openvino")
