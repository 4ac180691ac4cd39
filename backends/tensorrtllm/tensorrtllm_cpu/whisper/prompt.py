"""Whisper's special tokens and what a prompt says with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tensorrtllm_cpu.contract.refusal import INVALID_ARG, Refusal, unsupported

# <|startoftranscript|> language task: fewer, and the model would have to generate the rest itself,
# where CTranslate2 lets it generate timestamps and text only.
NUM_TASK_TOKENS = 3


@dataclass(frozen=True)
class Vocabulary:
    """Ids of the tokens that steer decoding; `languages` maps e.g. "<|en|>" to its id."""

    size: int
    end_of_text: int
    start_of_transcript: int
    no_timestamps: int
    no_speech: int
    is_multilingual: bool
    languages: dict[str, int]

    @classmethod
    def load(cls, directory: Path) -> Vocabulary:
        """From a CTranslate2 model's vocabulary.json (a list) or vocabulary.txt (a line each)."""
        path = directory / "vocabulary.json"
        if path.is_file():
            tokens = json.loads(path.read_text(encoding="utf-8"))
        else:
            tokens = (directory / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
        ids = {token: index for index, token in enumerate(tokens) if token.startswith("<|")}
        return cls(
            size=len(tokens),
            end_of_text=ids["<|endoftext|>"],
            start_of_transcript=ids["<|startoftranscript|>"],
            no_timestamps=ids["<|notimestamps|>"],
            no_speech=ids["<|nospeech|>"] if "<|nospeech|>" in ids else ids["<|nocaptions|>"],
            languages={
                token: index
                for token, index in ids.items()
                if ids["<|startoftranscript|>"] < index < ids["<|translate|>"]
            },
            is_multilingual=ids["<|endoftext|>"] > 50256,  # English-only models have one id less
        )


@dataclass(frozen=True)
class Prompt:
    """A prompt's parts: previous text, then the task tokens, then text to go on from.

    `start`: index of <|startoftranscript|>; `task_end`: index after the last task token.
    """

    ids: tuple[int, ...]
    start: int
    task_end: int
    asks_language: bool

    @property
    def num_forced(self) -> int:
        """Tokens behind the task tokens, which generation starts with."""
        return len(self.ids) - self.task_end


def parse(ids: tuple[int, ...], vocabulary: Vocabulary) -> Prompt:
    """Find the parts of a prompt.

    Raises:
        Refusal: an id outside the vocabulary, no <|startoftranscript|>, or a task cut short.
    """
    for token in ids:
        if not 0 <= token < vocabulary.size:
            raise Refusal(
                f"`decoder_input_ids` holds `{token}`, must lie in [0, {vocabulary.size}); "
                "encode the prompt with this model's tokenizer",
                INVALID_ARG,
            )
    if vocabulary.start_of_transcript not in ids:
        raise Refusal(
            f"`decoder_input_ids` is `{list(ids)}`, must hold <|startoftranscript|> "
            f"({vocabulary.start_of_transcript}); start the prompt with it",
            INVALID_ARG,
        )
    start = task_end = ids.index(vocabulary.start_of_transcript)
    task = range(vocabulary.start_of_transcript, vocabulary.no_timestamps + 1)
    while task_end < len(ids) and ids[task_end] in task:
        task_end += 1
    asks_language = vocabulary.is_multilingual and len(ids) == 1
    is_whole = task_end - start >= NUM_TASK_TOKENS or not vocabulary.is_multilingual
    if not is_whole and not asks_language:
        raise unsupported(
            "decoder_input_ids",
            list(ids),
            "name language and task after <|startoftranscript|>, or send it alone with a "
            "`request_output_len` of 1 to detect the language",
        )
    return Prompt(ids, start, task_end, asks_language)
