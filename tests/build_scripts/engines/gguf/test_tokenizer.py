"""The tokenizer that is made of a GGUF file gives the ids that others give."""

from __future__ import annotations

import inspect
import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import mistral_common
import pytest
import xgrammar
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from build_scripts import paths
from build_scripts.engines.gguf import tokenizer as gguf_tokenizer
from build_scripts.engines.gguf.file import Checkpoint
from build_scripts.errors import CheckpointError
from tests.build_scripts import gguf_files

TOKENIZER = paths.ENGINES / "llm" / "tokenizer" / "tokenizer.json"
HARD = [
    "Hello, world!",
    "1234567890 and 3.14159, 2025-11-21, ½ ² Ⅷ ٣",
    "漢字かな交じり文、한국어 텍스트 和中文。",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 e\u0301 é",
    "def f(x):\n\treturn {'a': x ** 2}  # comment\n\n\n    y",
    "   leading and trailing   ",
    "a  b   c    d\t\te\n\n\nf \n g",
    "I'm you're he'll WE'VE it's 'S don't O'Neil",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "<|im_start|> <|im_end|>x<repo_name>y",
    "<|im_en d|> <|im_end",
    "https://example.com/a?b=c&d=%20#x",
    "ÄÖÜß naïve façade Ελληνικά Русский עברית العربية हिन्दी",
    "\u200b\u00a0\u3000\ufeff\x00\x01",
    "ALLCAPS CamelCase snake_case kebab-case x86_64 C++17",
    "$1,000.00 €5 £3 50% #1 @you",
    "\r\n\r\nwindows\r\nlines",
    "🄷🅘 ﷽ \U0010ffff ①②③ ⅓ 1/2 10⁶",
    "   \n   \n\t",
    "'''\"\"\"```py\n```",
]


def checkpoint(stated: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        Path("x.gguf"), {"general.architecture": "llama", **stated}, Counter(), 0, False
    )


needs_engine = pytest.mark.skipif(not TOKENIZER.is_file(), reason="no LLM here: `make engines`")


@needs_engine
@pytest.mark.parametrize("pre", ["smollm", "qwen2"])
def test_ids_equal_openvino_s(tmp_path: Path, pre: str) -> None:
    """Of the pre-tokenizers, OpenVINO knows these; its Qwen2 leaves the normal form out."""
    import openvino_genai

    stated = gguf_files.of_tokenizer(TOKENIZER, pre)
    theirs = openvino_genai.Tokenizer(str(gguf_files.write(tmp_path / "x.gguf", stated)))
    ours = gguf_tokenizer.build(checkpoint(stated))
    for text in HARD:
        composed = unicodedata.normalize("NFC", text) if pre == "qwen2" else text
        wanted = theirs.encode(composed, add_special_tokens=False).input_ids.data[0].tolist()
        assert ours.encode(text, add_special_tokens=False).ids == wanted, text


@needs_engine
def test_the_engine_s_tokenizer_splits_digits_and_decodes_what_it_encodes() -> None:
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    assert tokenizer.encode("2025").tokens == ["2", "0", "2", "5"]
    for text in HARD:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_text_is_cut_by_the_models_own_patterns() -> None:
    path = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    of_mistral = json.loads(path.read_text(encoding="utf-8"))["config"]["pattern"]
    of_llama = inspect.signature(TikTokenConverter.__init__).parameters["pattern"].default
    found = {name: one.pattern for name, one in gguf_tokenizer.SPLITTINGS.items() if one.pattern}
    assert found == {"qwen2": PRETOKENIZE_REGEX, "llama-bpe": of_llama, "tekken": of_mistral}


def test_gpt_2_keeps_numbers_together_and_smollm_does_not() -> None:
    stated = gguf_files.metadata(**{"tokenizer.ggml.pre": "gpt-2"})
    cut = gguf_tokenizer.build(checkpoint(stated)).pre_tokenizer
    assert [piece for piece, _ in cut.pre_tokenize_str("in 2025")] == ["in", "Ġ2025"]


def test_a_piece_that_is_a_token_is_taken_whole_by_llama_3() -> None:
    letters = gguf_files.metadata()["tokenizer.ggml.tokens"]
    changes = {
        "tokenizer.ggml.tokens": [*letters, "Ġworld"],  # no merges lead to it
        "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(letters) - 2),
    }
    for pre, is_whole in (("llama-bpe", True), ("tekken", True), ("qwen2", False)):
        stated = gguf_files.metadata(**{"tokenizer.ggml.pre": pre, **changes})
        tokens = gguf_tokenizer.build(checkpoint(stated)).encode(" world").tokens
        assert (tokens == ["Ġworld"]) == is_whole, pre


def test_special_tokens_are_marked_and_user_defined_ones_are_not() -> None:
    kinds = gguf_files.metadata()["tokenizer.ggml.token_type"]
    stated = gguf_files.metadata(**{"tokenizer.ggml.token_type": [4, *kinds[1:]]})
    tokenizer = gguf_tokenizer.build(checkpoint(stated))
    added = {
        token.content: token.special for token in tokenizer.get_added_tokens_decoder().values()
    }
    assert added == {"<|endoftext|>": False, "<|im_start|>": True, "<|im_end|>": True}


def test_every_token_that_ends_a_reply_is_stated_the_file_s_own_first() -> None:
    assert gguf_tokenizer.special_ids(checkpoint(gguf_files.metadata())) == {
        "bos_token_id": 1,
        "eos_token_id": [2, 0],
        "pad_token_id": 2,
    }
    named = gguf_files.metadata(
        **{"tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.eot_token_id": 9}
    )
    assert gguf_tokenizer.special_ids(checkpoint(named))["eos_token_id"] == [0, 9, 2]
    kinds = named["tokenizer.ggml.token_type"]
    alone = gguf_files.metadata(**{"tokenizer.ggml.token_type": [1] * len(kinds)})
    assert gguf_tokenizer.special_ids(checkpoint(alone))["eos_token_id"] == 2


def test_the_directory_is_laid_out_as_hugging_face_does(tmp_path: Path) -> None:
    gguf_tokenizer.write(checkpoint(gguf_files.metadata()), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.model_max_length == gguf_files.CONTEXT
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hey"}], tokenize=False)
    assert text == "<|im_start|>hey<|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == "hey"
    generation = json.loads((tmp_path / "tokenizer" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [2, 0]


def test_guided_decoding_reads_the_facts(tmp_path: Path) -> None:
    gguf_tokenizer.write(checkpoint(gguf_files.metadata()), tmp_path)
    facts = json.loads((tmp_path / "xgrammar_tokenizer_info.json").read_text(encoding="utf-8"))
    # NVIDIA's backend reads these three, each of them unconditionally
    assert facts.keys() == {"encoded_vocab", "tokenizer_str", "stop_token_ids"}
    found = xgrammar.TokenizerInfo._detect_metadata_from_hf(facts["tokenizer_str"])
    assert found == {"vocab_type": xgrammar.VocabType.BYTE_LEVEL, "add_prefix_space": False}
    assert facts["encoded_vocab"][2] == "<|im_end|>"
    assert facts["stop_token_ids"] == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tokenizer.ggml.pre": "deepseek-llm"},
            "pre-tokenizer `deepseek-llm`, wanted `gpt2`.*tekken",
        ),
        ({"tokenizer.ggml.pre": None}, "pre-tokenizer `not stated`"),
        ({"tokenizer.ggml.model": "llama"}, "of the kind `llama`"),
        ({"tokenizer.chat_template": None}, "no chat template.*instruction-tuned"),
        ({"tokenizer.ggml.eos_token_id": None}, "`None` for `tokenizer.ggml.eos_token_id`"),
    ],
)
def test_what_no_tokenizer_can_be_made_of(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        gguf_tokenizer.verify(checkpoint(gguf_files.metadata(**changes)))
