"""A conversation to an answer, told as events: its text, what it cost, and why it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onecard import manifest
from onecard.chat import call_parts, tool_answer, tool_prompt
from onecard.chat import messages as chat_messages
from onecard.chat.options import ChatOptions
from onecard.chat.tool_answer import ToolAnswer
from onecard.errors import Cancelled, InvalidRequest
from onecard.guides import vocabulary
from onecard.llm import tokenizer as llm_tokenizer
from onecard.llm import tokenizing
from onecard.llm.config import LlmConfig
from onecard.llm.generation import Generation, Llm, Piece
from onecard.llm.message import Message
from onecard.llm.stop_strings import StopStrings
from onecard.llm.tokenizer import Tokenizer

Event = dict[str, Any]

# After the first delta the text of this time is sent at once: a message costs as much as a token.
DELTA_PERIOD_S = 0.04
# Triton's Python backend has 32 threads that wait for the first response to a model's calls; when
# all are taken, a call that would stop one of the others waits too.
MAX_STREAMS = 24
# Of MESSAGES: a letter takes up to 6 as JSON has it (`\u0041`), and a message some 30 more.
MAX_JSON_LETTERS_PER_TOKEN = 8 * tokenizing.MAX_LETTERS_PER_TOKEN


@dataclass(frozen=True)
class Config(LlmConfig):
    """Parameters of config.pbtxt for chats."""

    max_tokens: int  # of an answer, where a request names none
    max_waiting: int  # requests, beside the `max_streams` that are answered

    def __post_init__(self) -> None:
        if self.max_streams > MAX_STREAMS:
            raise ValueError(
                f"config.pbtxt's parameter `max_streams` is `{self.max_streams}`, must be at most "
                f"{MAX_STREAMS}; lower it in the plan, and raise `max_waiting`"
            )


def load(config: Config) -> Chat:
    """A chat over the engine that `config.engine_dir` holds.

    Raises:
        ManifestError: a file of it is missing or is not the one that was built.
        ValueError: the tokenizer's directory lacks something.
    """
    facts = manifest.engine(config)
    size = vocabulary.size(config.engine_dir)
    return Chat(llm_tokenizer.load(config.tokenizer_dir), config, facts, size)


def joined(events: Iterable[Event]) -> Event:
    """All events of one answer as a single one."""
    answer: Event = {"event": "answer", "text": ""}
    for event in events:
        members = {name: value for name, value in event.items() if name != "event"}
        if event["event"] in ("delta", "tool_call_delta"):
            answer["text"] += members.get("text", "")
            if "logprobs" in members:
                answer.setdefault("logprobs", []).extend(members["logprobs"])
        elif event["event"] == "usage":
            answer["usage"] = members
        else:
            answer |= members
    return answer


class Chat:
    """Answers conversations.

    Args:
        facts: of the engine, for the answer's `engine` block.
        vocab_size: of the engine, None where it does not tell.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: Config,
        facts: Mapping[str, Any],
        vocab_size: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self._config = config
        self._facts = dict(facts)
        self._vocab_size = vocab_size

    def messages(self, text: str) -> list[Message]:
        """The conversation of a request, as `onecard.chat.messages` reads it."""
        return chat_messages.read(text, self._config.max_seq_len * MAX_JSON_LETTERS_PER_TOKEN)

    def events(
        self, messages: Sequence[Message], options: ChatOptions, llm: Llm
    ) -> Generator[Event, None, None]:
        """The answer as it comes, then `usage` and `done`; closing it stops the engine.

        It is `delta`, or `tool_call_delta` and then `tool_calls`, which has all of them whole.

        Raises:
            InvalidRequest: the conversation, with its answer, does not fit the context, or the
                engine cannot follow an option.
            Unavailable: the engine is overloaded.
            Cancelled: before there was anything of the answer.
        """
        generation = self._asked(self._prompt(messages, options), options)
        answer = _Answer(self.tokenizer, generation, options)
        try:
            yield from answer.deltas(llm)
            reason = answer.reason
        except Cancelled:  # by the clock, perhaps: then somebody still reads
            if not answer.num_tokens:
                raise
            reason = "cancelled"
        yield from answer.rest()
        end: Event = {"finish_reason": reason}
        if reason == "stop":
            calls, end = answer.judged(options)
            if calls:
                yield {"event": "tool_calls", "tool_calls": calls}
        yield {
            "event": "usage",
            "prompt_tokens": len(generation.prompt_ids),
            "completion_tokens": answer.num_tokens,
            "total_tokens": len(generation.prompt_ids) + answer.num_tokens,
            "context_tokens": self._config.max_seq_len,
            "max_tokens": generation.max_tokens,
        }
        yield {"event": "done", **end, "engine": self._facts}

    def _prompt(self, messages: Sequence[Message], options: ChatOptions) -> list[int]:
        toolset = options.toolset
        tools = () if toolset is None else toolset.tools
        texts = ["".join(message.texts) for message in messages]
        if tools:
            texts.append("".join(f"{tool.description}{tool.parameters}" for tool in tools))
        tokenizing.verify_size("MESSAGES", texts, self._config.max_seq_len)
        takes_tools = self.tokenizer.takes_tools
        messages = tool_prompt.messages(messages, toolset, takes_tools)
        offered = tools if takes_tools else ()
        return self.tokenizer.encode_chat(messages, options.continue_final_message, offered)

    def _asked(self, prompt_ids: Sequence[int], options: ChatOptions) -> Generation:
        temperature = options.temperature
        end_ids = (*self.tokenizer.end_ids, *(options.stop_token_ids or ()))
        self._verify_tokens("stop_token_ids", options.stop_token_ids or ())
        self._verify_tokens("logit_bias", options.biases)
        held = options.form or options.toolset
        return Generation(
            prompt_ids=prompt_ids,
            max_tokens=self._max_tokens(len(prompt_ids), options),
            end_ids=tuple(dict.fromkeys(end_ids)),
            temperature=self._config.temperature if temperature is None else temperature,
            top_k=max(0, options.top_k),
            top_p=options.top_p,
            seed=options.seed,
            repetition_penalty=options.repetition_penalty,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
            min_tokens=options.min_tokens,
            guide=None if held is None else held.guide,
            logprobs=options.logprobs,
            biases=options.biases,
            vocab_size=self._vocab_size or 0,
        )

    def _verify_tokens(self, name: str, tokens: Iterable[int]) -> None:
        """Refuse tokens that the engine has not; what it says to them is no caller's language."""
        size = self._vocab_size
        for token in tokens:
            if size is None:
                raise InvalidRequest(
                    f"option `{name}` has the token {token}, and the engine does not tell how many "
                    "tokens it has; leave the option out"
                )
            if token >= size:
                raise InvalidRequest(
                    f"option `{name}` has the token {token}, must be below {size}; use ids of this "
                    "model's own tokenizer"
                )

    def _max_tokens(self, num_prompt_tokens: int, options: ChatOptions) -> int:
        """The request's limit, else the plan's or the rest of the context."""
        limit = self._config.max_seq_len
        left = limit - num_prompt_tokens
        default = self._config.max_tokens
        wanted = options.limit or (min(default, left) if left > 0 else default)
        if wanted > left:
            raise InvalidRequest(
                f"the conversation takes {num_prompt_tokens} tokens and the answer may take "
                f"{wanted} (`max_tokens`), the model's context holds {limit} tokens; shorten the "
                "conversation, or lower `max_tokens`"
            )
        if options.min_tokens > wanted:
            raise InvalidRequest(
                f"option `min_tokens` is {options.min_tokens}, must not exceed the {wanted} "
                "tokens that the answer may take"
            )
        return wanted


class _Answer:
    """One answer on its way from tokens to deltas.

    Attributes:
        num_tokens: of the answer so far, without an end token.
        text: what was told of it so far.
        reason: why it ended, unless it was cancelled.
    """

    def __init__(self, tokenizer: Tokenizer, generation: Generation, options: ChatOptions) -> None:
        self._tokenizer = tokenizer
        self._generation = generation
        self._detokenizer = tokenizer.detokenizer(options.continue_final_message)
        self._stops = StopStrings(options.stops)
        toolset = options.toolset
        self._tool_answer = None if toolset is None else ToolAnswer(toolset.documents)
        self._ready = ""
        self._parts: list[Event] = []  # of calls
        self._logprobs: list[Event] = []
        self._unclear: list[Event] = []  # logprobs of the beginning of calls, or of no text
        self._has_ended = False
        self.num_tokens = 0
        self.text = ""

    @property
    def reason(self) -> str:
        """Engines do not tell: what ended before it had to, ended by itself."""
        is_cut = not self._has_ended and self.num_tokens >= self._generation.max_tokens
        return "length" if is_cut else "stop"

    def deltas(self, llm: Llm) -> Generator[Event, None, None]:
        """The text while it is generated: the first at once, then some tokens at a time."""
        due = 0.0
        with contextlib.closing(llm.stream(self._generation)) as pieces:
            for piece in pieces:
                self._take(piece)
                if (self._ready or self._parts) and time.monotonic() >= due:
                    yield self._delta()
                    due = time.monotonic() + DELTA_PERIOD_S
                if self._stops.found is not None:
                    self._has_ended = True
                    break  # which stops the engine

    def rest(self) -> Generator[Event, None, None]:
        """The rest of the text when no more tokens come."""
        self._push(self._detokenizer.flush())
        self._ready += self._stops.flush()
        if self._ready or self._parts or self._logprobs:
            yield self._delta()

    def judged(self, options: ChatOptions) -> tuple[list[dict[str, str]], Event]:
        """The calls of an answer that ended by itself, and the members of `done` about its end."""
        calls: list[dict[str, str]] = []
        problem = None
        if self._tool_answer is not None and options.toolset is not None:
            if self._stops.found is None:  # else its text is whole, and its JSON is not
                found = self._tool_answer
                calls, problem = tool_answer.calls(found.raw, options.toolset, found.calls)
        elif options.form is not None:
            problem = options.form.problem(self.text)
        if problem is not None:
            return [], {"finish_reason": "invalid", "problem": problem}
        return calls, {"finish_reason": "tool_calls" if calls else "stop"}

    def _take(self, piece: Piece) -> None:
        ids = piece.ids
        for index, token_id in enumerate(ids):
            if token_id in self._generation.end_ids:
                ids = ids[:index]
                self._has_ended = True
                break
        self.num_tokens += len(ids)
        log_probs = piece.log_probs or ()
        for index, token_id in enumerate(ids):
            self._push(self._detokenizer.push((token_id,)))
            if index < len(log_probs):
                self._tell(token_id, log_probs[index])

    def _tell(self, token_id: int, log_prob: float) -> None:
        """Keeps the token that was pushed last, if it is one that callers are told."""
        entry = {
            "token": self._tokenizer.token(token_id),
            "logprob": log_prob,
            "bytes": list(self._detokenizer.bytes_of(token_id)),
        }
        found = self._tool_answer
        if found is not None and found.is_told is None:
            self._unclear.append(entry)
            return
        if found is not None and not found.is_text:
            self._logprobs += self._unclear
        self._unclear = []
        if found is None or found.is_told:
            self._logprobs.append(entry)

    def _push(self, text: str) -> None:
        if self._tool_answer is not None:
            text = self._tool_answer.push(text)
            self._parts += self._tool_answer.parts()
        self._ready += self._stops.push(text)

    def _delta(self) -> Event:
        delta: Event = {"event": "delta", "text": self._ready}
        if self._parts or (self._tool_answer is not None and self._tool_answer.is_text is False):
            delta = {"event": "tool_call_delta", "tool_calls": call_parts.joined(self._parts)}
        if self._generation.logprobs:
            delta["logprobs"] = self._logprobs
        self.text += self._ready
        self._ready, self._parts, self._logprobs = "", [], []
        return delta
