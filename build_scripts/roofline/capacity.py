"""The capacity of one GPU, from the bounds: it is planned with less than what is possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from build_scripts.plans.schema import Plan
from build_scripts.roofline.bounds import CHAT_TOKENS, Line, in_flight, speech_rate

# Shares of the bound to plan with (docs/gpu/capacity.md, "Beside what others measured"): others
# reach half to three quarters with an LLM at 4 bit, and three tenths with Whisper on TensorRT-LLM,
# from which something is taken for what the stages wait for each other and for the host.
TEXT_SHARE = 0.5
SPEECH_SHARE = 0.2
BUSY = 0.7  # of an hour; beyond, waiting grows faster than the load (docs/gpu/capacity.md)
# What one user asks for in a busy hour: a supposition, to be replaced by your own.
USER_AUDIO_MINUTES = 10
USER_MAILS = 6
USER_ANSWERS = 6


@dataclass(frozen=True)
class Holding:
    """The most that one GPU does in an hour if it does nothing else."""

    what: str
    most: float  # of `what`, in an hour
    by_a_user: int  # what one user asks for in that hour

    @property
    def share_of_a_user(self) -> float:
        """The share of the hour that one user takes."""
        return self.by_a_user / self.most


def holdings(plan: Plan, lines: Sequence[Line]) -> list[Holding]:
    """Audio, mails and answers of a chat, for an hour.

    Args:
        lines: the bounds of the same plan.
    """
    together, context = in_flight(plan)[-1]
    decoding = _line(lines, f"decoding, {together} x {context:,}")
    prompt, answer = min(CHAT_TOKENS, context), plan.chat.max_tokens
    answer_s = answer / decoding.rate + prompt / _line(lines, "prompt, ").rate
    text, speech = TEXT_SHARE * BUSY * 3600, SPEECH_SHARE * BUSY * 3600
    return [
        Holding("minutes of audio", speech_rate(lines) * speech / 60, USER_AUDIO_MINUTES),
        Holding("mails triaged in full calls", _line(lines, "a full triage call").rate * text,
                USER_MAILS),
        Holding(f"answers of {answer:,} tokens to prompts of {prompt:,}", text / answer_s,
                USER_ANSWERS),
    ]  # fmt: skip


def _line(lines: Sequence[Line], begins: str) -> Line:
    return next(one for one in lines if one.name.startswith(begins))


def users(held: Sequence[Holding]) -> int:
    """The number of users who can share the GPU if each asks for all of it."""
    return int(1 / sum(one.share_of_a_user for one in held))


def mean_wait(load: float) -> float:
    """Mean time before a request begins, in units of the time that one takes.

    There is one server, arrivals are independent, and each takes the same time (M/D/1).

    Pollaczek and Khinchine's formula for a service time without variance: `load / (2 (1 - load))`
    (Cooper, "Introduction to Queueing Theory", 1981, chapter 5).

    Args:
        load: share of the time in which the server is busy, 0 to below 1.

    Raises:
        ValueError: the load is outside; from 1 on the queue grows without end.
    """
    if not 0 <= load < 1:
        raise ValueError(f"the load is `{load}`, must be 0 to below 1")
    return load / (2 * (1 - load))


def p95_wait(load: float) -> float:
    """About the time that one request in twenty waits at least, in the same units.

    A request waits at all with probability `load`; then the wait is taken as exponential, with the
    mean that `mean_wait` implies (Kingman, "The single server queue in heavy traffic", 1961).
    Raises ValueError as `mean_wait` does.
    """
    mean = mean_wait(load)
    return mean / load * math.log(load / 0.05) if load > 0.05 else 0.0
