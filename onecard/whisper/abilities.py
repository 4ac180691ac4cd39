"""The abilities of a Whisper model and its engine, known without loading either."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from onecard.contract import trtllm
from onecard.errors import InvalidRequest, named, shown
from onecard.options import languages
from onecard.options.transcribe import TranscribeOptions
from onecard.whisper import models
from onecard.whisper.models import Models

_FIRST, _LAST = "<|startoftranscript|>", ("<|translate|>", "<|transcribe|>")
ENGLISH_ONLY_END = 50_256  # GPT-2's end of text; the other models have one more token before it

# Options that NVIDIA's backend has no tensor for (onecard.contract.trtllm, `INPUTS`), and why.
_SEARCH = {
    "patience": "ends a beam search by its own rule",
    "no_repeat_ngram_size": "takes no such limit from a request; `repetition_penalty` is nearest",
    "without_timestamps": "does not hold Whisper to its rules of timestamps",
}
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TranscribeOptions)}


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt."""

    engine_dir: str  # with tokenizer.json
    max_beam_size: int
    engine_backend: str  # of the manifest that the plan counts on


@dataclass(frozen=True)
class Abilities:
    """The abilities of one model and its engine.

    Attributes:
        languages: codes that the model was trained on; none for a model of English only.
        num_tokens: of its vocabulary.
        max_beam_size: for which the engine was built.
        backend: what runs it, as manifests call it.
    """

    languages: Collection[str]
    num_tokens: int
    max_beam_size: int
    backend: str = ""

    def verify(self, options: TranscribeOptions) -> None:
        """Raises InvalidRequest for an option that this model or this engine cannot serve."""
        if options.beam_size is not None and options.beam_size > self.max_beam_size:
            raise InvalidRequest(
                f"option `beam_size` is {options.beam_size}, the engine was built for at most "
                f"{self.max_beam_size}; lower it, or change the plan"
            )
        self._verify_decoding(options)
        if options.task == "translate" and not self.languages:
            raise InvalidRequest(
                "option `task` is `translate`, the model knows English only; use `transcribe`"
            )
        if options.language is not None:
            language_of(options.language, self.languages)
        listed_tokens(options.suppress_tokens, self.num_tokens)

    def _verify_decoding(self, options: TranscribeOptions) -> None:
        if options.multilingual and not self.languages:
            raise InvalidRequest(
                "option `multilingual` is true, the model knows English only; leave it out"
            )
        asked = [name for name in _SEARCH if getattr(options, name) != _DEFAULTS[name]]
        if self.backend == trtllm.BACKEND and asked:
            name = asked[0]
            raise InvalidRequest(
                f"option `{name}` is {shown(getattr(options, name))}, and this server's engine, "
                f"TensorRT-LLM, {_SEARCH[name]}; leave it out"
            )


def load_all(config: Config, names: models.Config) -> Models[Abilities]:
    """The abilities of every Whisper that there is."""

    def make(_name: str, suffix: str) -> Abilities:
        return load(dataclasses.replace(config, engine_dir=config.engine_dir + suffix))

    return models.load(names, make)


def load(config: Config) -> Abilities:
    """The abilities of the engine in `config.engine_dir`, read from its tokenizer's tokens."""
    path = Path(config.engine_dir) / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    special = {token["content"]: token["id"] for token in document["added_tokens"]}
    num_tokens = 1 + max(*special.values(), *document["model"]["vocab"].values())
    if special["<|endoftext|>"] == ENGLISH_ONLY_END:
        return Abilities((), num_tokens, config.max_beam_size, config.engine_backend)
    first, last = special[_FIRST], min(special[name] for name in _LAST)
    codes = tuple(name[2:-2] for name, token in special.items() if first < token < last)
    return Abilities(codes, num_tokens, config.max_beam_size, config.engine_backend)


def language_of(code: str, known: Collection[str]) -> str:
    """The code, in lower case, of a language that a model knows; without any it knows English.

    Raises InvalidRequest where it does not; the nearest that it knows is named.
    """
    codes = sorted(known) or ["en"]
    if code.lower() in codes:
        return code.lower()
    near = languages.nearest(code, codes)
    raise InvalidRequest(
        f"option `language` is {named(code)}, the model knows {', '.join(codes)}; "
        + (f"did you mean `{near}`? Else " if near else "")
        + "choose one of them, or leave `language` out to have it detected"
    )


def listed_tokens(text: str, num_tokens: int) -> set[int]:
    """The numbers of `suppress_tokens`, -1 among them where it is listed.

    Raises InvalidRequest where it is no list of numbers of tokens.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not re.fullmatch(r"-1|\d{1,9}", part) or int(part) >= num_tokens:
            raise InvalidRequest(
                f"option `suppress_tokens` holds {named(part)}, must be token numbers below "
                f"{num_tokens}, separated by commas; `-1` stands for the non-speech tokens"
            )
    return {int(part) for part in parts}
