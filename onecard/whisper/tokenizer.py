"""Whisper's vocabulary: special tokens, prompts, what is never to be said, and text again.

The rules are OpenAI's (openai/whisper, whisper/tokenizer.py and decoding.py), the file Hugging
Face's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import tokenizers

from onecard.contract.whisper import NUM_TEXT_POSITIONS
from onecard.llm import tokenizing
from onecard.options.transcribe import TranscribeOptions
from onecard.whisper.abilities import ENGLISH_ONLY_END, language_of, listed_tokens

# Half of the decoder's context less one: what OpenAI leaves for previous text.
MAX_PREVIOUS_TOKENS = NUM_TEXT_POSITIONS // 2 - 1
MAX_PREFIX_TOKENS = NUM_TEXT_POSITIONS // 4 - 1  # leaves as many for what is said
TIMESTAMP_S = 0.02  # from one timestamp token to the next
TimedTokens = tuple[float, float, tuple[int, ...]]  # start_s, end_s, tokens of text
MAX_LETTERS_PER_TOKEN = 128  # of text; what is longer is not even encoded
_MAX_TOKENS_PER_CHARACTER = 4  # a token has a byte at least
_INCOMPLETE = "\ufffd"

# Annotations rather than speech: openai/whisper, whisper/tokenizer.py, `non_speech_tokens`.
_SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))",
    "[[", "]]", "{{", "}}", "♪♪", "♪♪♪",
)  # fmt: skip
# Of these the first token alone is suppressed where they take several: they share its two bytes.
_NOTES = tuple("♩♪♫♬♭♮♯")
# WhisperX's `suppress_numerals` (whisperx/asr.py).
_NUMERALS = frozenset("0123456789%$£")


class Tokenizer:
    """The vocabulary of one Whisper model.

    Args:
        path: of a `tokenizer.json`.
    """

    def __init__(self, path: Path | str) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.end = self._special("<|endoftext|>")
        self.start = self._special("<|startoftranscript|>")
        self.start_of_previous = self._special("<|startofprev|>")
        self.start_of_lm = self._special("<|startoflm|>")
        self.transcribe = self._special("<|transcribe|>")
        self.translate = self._special("<|translate|>")
        self.no_timestamps = self._special("<|notimestamps|>")
        self.no_speech = self._special("<|nospeech|>", "<|nocaptions|>")
        self.is_multilingual = self.end != ENGLISH_ONLY_END
        self.num_tokens: int = self._tokenizer.get_vocab_size(with_added_tokens=True)

    def _special(self, *names: str) -> int:
        for name in names:
            token = self._tokenizer.token_to_id(name)
            if token is not None:
                return int(token)
        raise ValueError(f"tokenizer.json has no `{names[0]}`; it is not that of a Whisper model")

    @cached_property
    def languages(self) -> dict[int, str]:
        """Token -> code of each language the model was trained on; they follow the start token."""
        if not self.is_multilingual:
            return {}
        tokens = range(self.start + 1, min(self.translate, self.transcribe))
        names = {token: self._tokenizer.id_to_token(token) for token in tokens}
        return {token: name[2:-2] for token, name in names.items() if name is not None}

    def language(self, code: str) -> str:
        """The code of a language that the model knows.

        Raises:
            InvalidRequest: it does not.
        """
        return language_of(code, self.languages.values())

    def encode(self, text: str) -> list[int]:
        return tokenizing.ids(self._tokenizer, text)

    def decode(self, tokens: list[int]) -> str:
        """The text of `tokens`; special tokens say nothing."""
        return str(self._tokenizer.decode(list(self.of_text(tokens))))

    def of_text(self, tokens: Iterable[int]) -> tuple[int, ...]:
        """Those of `tokens` that are no special ones."""
        return tuple(token for token in tokens if token < self.end)

    def num_letters(self, tokens: Sequence[int]) -> list[int]:
        """How many characters end in each token, white space not counted.

        A character may take up to four tokens, which say nothing by themselves.
        """
        found, begun = [], []
        for token in tokens:
            begun.append(token)
            text = str(self._tokenizer.decode(begun))
            if text.endswith(_INCOMPLETE) and len(begun) < _MAX_TOKENS_PER_CHARACTER:
                found.append(0)
            else:
                found.append(len("".join(text.split())))
                begun = []
        return found

    def prompt(
        self, language: str, options: TranscribeOptions, previous: Sequence[int] = ()
    ) -> list[int]:
        """The tokens for the decoder before it begins: previous text, language, task.

        Hotwords come before the initial prompt, and that before the text of earlier chunks;
        together they take at most `MAX_PREVIOUS_TOKENS`, of which the hotwords keep their beginning
        and the rest its end.

        Args:
            previous: tokens of the text of earlier chunks.
        """
        letters = MAX_PREVIOUS_TOKENS * MAX_LETTERS_PER_TOKEN
        hotwords = self._previous((options.hotwords or "")[:letters])[:MAX_PREVIOUS_TOKENS]
        initial = self._previous((options.initial_prompt or "")[-letters:])
        before = [*initial, *previous]
        room = MAX_PREVIOUS_TOKENS - len(hotwords)
        context = hotwords + before[max(0, len(before) - room) :]
        prompt = [self.start_of_previous, *context] if context else []
        prompt.append(self.start)
        if self.is_multilingual:
            prompt.append(self._special(f"<|{language}|>"))
            prompt.append(self.translate if options.task == "translate" else self.transcribe)
        return [*prompt, self.no_timestamps] if options.without_timestamps else prompt

    def prefix(self, text: str | None) -> tuple[list[int], bool]:
        """Tokens with which a chunk's text begins, and whether they are all of `text`."""
        tokens = self._previous((text or "")[: MAX_PREFIX_TOKENS * MAX_LETTERS_PER_TOKEN])
        return tokens[:MAX_PREFIX_TOKENS], len(tokens) <= MAX_PREFIX_TOKENS

    def timed(self, tokens: Sequence[int], duration_s: float) -> list[TimedTokens]:
        """Whisper's own segments of a chunk: text between timestamps, within `duration_s`."""
        found: list[TimedTokens] = []
        start_s, text = 0.0, []
        for token in tokens:
            if token < self.end:
                text.append(token)
            if token <= self.no_timestamps:
                continue
            time_s = min((token - self.no_timestamps - 1) * TIMESTAMP_S, duration_s)
            if text:
                found.append((start_s, max(start_s, time_s), tuple(text)))
            start_s, text = max(start_s, time_s), []
        if text:
            found.append((start_s, duration_s, tuple(text)))
        return found

    def _previous(self, text: str) -> list[int]:
        """Tokens of text given by the caller; it cannot smuggle in special ones."""
        tokens = self.encode(" " + text.strip()) if text.strip() else []
        return [token for token in tokens if token < self.end]

    def suppressed(self, options: TranscribeOptions) -> list[int]:
        """Tokens that the decoder may not choose, in order.

        Raises:
            InvalidRequest: `suppress_tokens` is no list of token numbers.
        """
        tokens = listed_tokens(options.suppress_tokens, self.num_tokens)
        if -1 in tokens:
            tokens = (tokens - {-1}) | self.non_speech
        if options.suppress_numerals:
            tokens = tokens | self.numerals
        never = {
            self.transcribe, self.translate, self.start, self.start_of_previous, self.start_of_lm,
            self.no_speech,
        }  # fmt: skip
        return sorted(tokens | never)

    @cached_property
    def non_speech(self) -> set[int]:
        """Tokens of annotations such as ♪♪♪ or [DAVID]; punctuation of sentences is kept."""
        # Hyphens and quotes are fine within a word, not before one.
        found = {self.encode(" -")[0], self.encode(" '")[0]}
        for symbol in (*_SYMBOLS, *_NOTES):
            for tokens in (self.encode(symbol), self.encode(" " + symbol)):
                if len(tokens) == 1 or symbol in _NOTES:
                    found.add(tokens[0])
        return found

    @cached_property
    def numerals(self) -> set[int]:
        """Tokens with a digit, a percent or a currency sign, so that numbers are spelt out."""
        texts = self._tokenizer.decode_batch([[token] for token in range(self.end)])
        return {token for token, text in enumerate(texts) if _NUMERALS & set(text)}
