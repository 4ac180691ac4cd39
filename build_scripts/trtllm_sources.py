"""Where each model of a GPU plan comes from: URL and hash, or Hugging Face repository and commit.

It is data, and knows nothing of how things are fetched or what is made of them. The URLs of
OpenAI's files carry their sha256 (openai/whisper, whisper/__init__.py, `_MODELS`, 20250625).
"""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.align_models import MODELS
from build_scripts.errors import PlanError
from build_scripts.plan import SpeechModel

OPENAI = "https://openaipublic.azureedge.net/main/whisper/models"
FLOATING = "main"  # resolved to a commit when it is fetched first, which holds from then on


@dataclass(frozen=True)
class Repository:
    """Of Hugging Face. `files`: names or patterns, each of which must match; `optional`: those that
    need not; `first_of`: names of which the first that there is is needed. Nothing else is fetched.
    """

    name: str
    revision: str
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whisper:
    """`sha256`: of OpenAI's `<model>.pt`; empty: the weights are in `repository` too, in Hugging
    Face's layout, and are renamed to OpenAI's before NVIDIA's converter reads them."""

    repository: Repository
    licence: str
    sha256: str = ""

    def url(self, model: str) -> str:
        return f"{OPENAI}/{self.sha256}/{model}.pt"


TOKENIZER_FILES = ("tokenizer.json", "preprocessor_config.json")
DISTIL_FILES = (*TOKENIZER_FILES, "config.json", "model.safetensors")
ALIGN_FILES = ("config.json", "vocab.json")
# The `main` of facebook/wav2vec2-base-10k-voxpopuli-ft-* has none but the second.
ALIGN_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# No consolidated.safetensors: the converter would map every *.safetensors that it finds.
LLM_FILES = ("config.json", "model*.safetensors", "tokenizer.json", "tokenizer_config.json")
LLM_OPTIONAL = (
    "generation_config.json",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def _openai(model: str, revision: str, sha256: str) -> Whisper:
    return Whisper(Repository(f"openai/whisper-{model}", revision, TOKENIZER_FILES), "MIT", sha256)


def _distil(model: str, revision: str) -> Whisper:
    return Whisper(Repository(f"distil-whisper/{model}", revision, DISTIL_FILES), "MIT")


WHISPERS: dict[SpeechModel, Whisper] = {
    "base": _openai(
        "base",
        "e37978b90ca9030d5170a5c07aadb050351a65bb",
        "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
    ),
    "small": _openai(
        "small",
        "973afd24965f72e36ca33b3055d56a652f456b4d",
        "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
    ),
    "medium": _openai(
        "medium",
        "abdf7c39ab9d0397620ccaea8974cc764cd0953e",
        "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
    ),
    "large-v2": _openai(
        "large-v2",
        "ae4642769ce2ad8fc292556ccea8e901f1530655",
        "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524",
    ),
    "large-v3": _openai(
        "large-v3",
        "06f233fe06e710322aca913c1bc4249a0d71fce1",
        "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
    ),
    "large-v3-turbo": _openai(
        "large-v3-turbo",
        "41f01f3fe87f28c78e2fbf8b568835947dd65ed9",
        "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
    ),
    "distil-large-v2": _distil("distil-large-v2", FLOATING),
    "distil-large-v3": _distil("distil-large-v3", "8031d2e6ce6631b7fc45629dddfc00271116d981"),
}
ALIGN_REVISIONS = {  # others: FLOATING
    "en": "22aad52d435eb6dbaf354bdad9b0da84ce7d6156",
    "de": "1cbaf198475e1af97cc479ca081ce4ddd2d6b5cf",
}


def align(language: str) -> Repository:
    """The wav2vec2 model of one language. Raises PlanError where there is none."""
    if language not in MODELS:
        raise PlanError(
            f"align.languages names `{language}`, there are models for: {', '.join(sorted(MODELS))}"
        )
    revision = ALIGN_REVISIONS.get(language, FLOATING)
    return Repository(MODELS[language], revision, ALIGN_FILES, first_of=ALIGN_WEIGHTS)


def llm(repository: str, revision: str) -> Repository:
    return Repository(repository, revision or FLOATING, LLM_FILES, LLM_OPTIONAL)
