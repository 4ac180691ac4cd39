"""The limits of a server's language model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of `chat`, as the server's plan sets them.

    Attributes:
        context_tokens: the most that a prompt and its answer may have together; a request over it
            is refused.
        default_max_tokens: the longest answer where a request sets no `max_tokens`.
    """

    context_tokens: int
    default_max_tokens: int
