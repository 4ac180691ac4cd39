"""Where each model of a GPU plan comes from: URL and hash, or Hugging Face repository and commit.

The URLs of OpenAI's files carry their sha256 (openai/whisper, whisper/__init__.py, `_MODELS`,
20250625). plans/languages.py has the repositories of the alignment models.
"""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.errors import PlanError
from build_scripts.plans.languages import MODELS
from build_scripts.plans.schema import SpeechModel

OPENAI = "https://openaipublic.azureedge.net/main/whisper/models"
# Resolved to a commit when it is fetched first; that one and its hashes hold from then on
# (fetch/hub_lock.py).
FLOATING = "main"


@dataclass(frozen=True)
class Repository:
    """The files of a Hugging Face repository that are fetched."""

    name: str
    revision: str
    files: tuple[str, ...]  # names or patterns, each of which must match
    optional: tuple[str, ...] = ()  # names or patterns that may match
    first_of: tuple[str, ...] = ()  # names, of which the first that exists is needed
    sha256: tuple[tuple[str, str], ...] = ()  # by name, where somebody but the hub states them


@dataclass(frozen=True)
class Whisper:
    """A Whisper model: its tokenizer's repository, and OpenAI's file or none."""

    repository: Repository
    licence: str
    # The sha256 of OpenAI's `<model>.pt`. Empty: the weights are in `repository` too, in Hugging
    # Face's layout, and are renamed to OpenAI's before NVIDIA's converter reads them.
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
    "tiny.en": _openai(
        "tiny.en",
        FLOATING,
        "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
    ),
}
# Gated: fetched with a token of somebody who accepted its terms. The hashes are of that commit, as
# several public projects state them independently of each other.
DIARIZATION_FILES = (
    ("config.yaml", "5ce2bfa9a938dc132cec1172592d65173cbb8f444ea1e4133f10f9391de155be"),
    (
        "segmentation/pytorch_model.bin",
        "7ad24338d844fb95985486eb1a464e32d229f6d7a03c9abe60f978bacf3f816e",
    ),
    (
        "embedding/pytorch_model.bin",
        "6f10ff60898a1d185fa22e1d11e0bfa8a92efec811f11bca48cb8cafebefd929",
    ),
    ("plda/plda.npz", "9b77bcd840692710dd3496f62ecfeed8d8e5f002fd991b785079b244eab7d255"),
    (
        "plda/xvec_transform.npz",
        "325f1ce8e48f7e55e9c8aa47e05d2766b7c48c4b25b8de8dd751e7a4cc5fbe8f",
    ),
)
DIARIZATION = Repository(
    "pyannote/speaker-diarization-community-1",
    "3533c8cf8e369892e6b79ff1bf80f7b0286a54ee",
    tuple(name for name, _sha256 in DIARIZATION_FILES),
    sha256=DIARIZATION_FILES,
)


def align(language: str) -> Repository:
    """The wav2vec2 model of one language. Raises PlanError where there is none."""
    if language not in MODELS:
        raise PlanError(
            f"align.languages names `{language}`, there are models for: {', '.join(sorted(MODELS))}"
        )
    model = MODELS[language]
    revision = model.revision or FLOATING
    return Repository(model.repository, revision, ALIGN_FILES, first_of=ALIGN_WEIGHTS)


def llm(repository: str, revision: str) -> Repository:
    return Repository(repository, revision or FLOATING, LLM_FILES, LLM_OPTIONAL)
