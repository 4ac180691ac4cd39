"""Which mails go into which call of the model: as many as fit, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from onecard.errors import InvalidRequest
from onecard.llm.tokenizing import MAX_LETTERS_PER_TOKEN
from onecard.triage.mail import Mail
from onecard.triage.shortening import NO_GAP, Count, shorten

Encode = Callable[[Sequence[Mail]], Sequence[int]]  # the whole prompt, instructions included

# Room that the instructions and the output have to leave for a mail.
MIN_MAIL_TOKENS = 256
MIN_BODY_TOKENS = 32


@dataclass(frozen=True)
class Pack:
    """The mails of one call, its prompt, and how many tokens it may generate."""

    mails: tuple[Mail, ...]
    prompt_ids: Sequence[int]
    max_tokens: int


def max_body_letters(window: int) -> int:
    """The most characters of a body that may fit; a longer one is not even tokenized."""
    return window * MAX_LETTERS_PER_TOKEN


class Packer:
    """Packs mails for one request.

    Args:
        window: prompt and output together never take more tokens.
        max_tokens_per_mail: of output, reserved for each mail of a call.
        max_tokens_alone: the same for a second try, which a mail gets to itself.
    """

    def __init__(
        self,
        encode: Encode,
        count: Count,
        window: int,
        mails_per_call: int,
        max_tokens_per_mail: int,
        max_tokens_alone: int,
    ) -> None:
        """Raises InvalidRequest where instructions and output leave no room for a mail."""
        self._encode = encode
        self._count = count
        self._window = window
        self._mails_per_call = mails_per_call
        self._max_tokens_per_mail = max_tokens_per_mail
        num_fixed = len(encode([Mail("", {}, "")]))
        room = window - num_fixed - MIN_MAIL_TOKENS
        if max_tokens_per_mail > room:
            raise InvalidRequest(
                f"the instructions take {num_fixed} tokens and option `max_tokens_per_mail` is "
                f"{max_tokens_per_mail}, which leaves too little of the model's {window} tokens "
                f"for a mail; shorten the instructions, or lower it to {max(room, 0)}"
            )
        self._max_tokens_alone = max(max_tokens_per_mail, min(max_tokens_alone, room))

    def packs(self, mails: Sequence[Mail]) -> Iterator[Pack]:
        """Calls in order; each mail is in exactly one, shortened if it fills one and more."""
        waiting = deque(mails)
        while waiting:
            pack = self._single(waiting[0], self._max_tokens_per_mail)
            for size in range(2, min(self._mails_per_call, len(waiting)) + 1):
                group = [waiting[index] for index in range(size)]
                grown = self._fitting(group, size * self._max_tokens_per_mail)
                if grown is None:
                    break
                pack = grown
            for _ in pack.mails:
                waiting.popleft()
            yield pack

    def alone(self, mail: Mail) -> Pack:
        """One mail with room for the longest output, for which it may have to be shortened."""
        return self._single(mail, self._max_tokens_alone)

    def _single(self, mail: Mail, max_tokens: int) -> Pack:
        return self._fitting([mail], max_tokens) or self._shortened(mail, max_tokens)

    def _fitting(self, mails: Sequence[Mail], max_tokens: int) -> Pack | None:
        num_letters = sum(len(mail.body) for mail in mails)
        is_hopeless = num_letters > max_body_letters(self._window) or any(
            mail.gap.num_letters for mail in mails
        )
        return None if is_hopeless else self._encoded(mails, max_tokens)

    def _encoded(self, mails: Sequence[Mail], max_tokens: int) -> Pack | None:
        prompt_ids = self._encode(mails)
        if len(prompt_ids) + max_tokens > self._window:
            return None
        return Pack(tuple(mails), prompt_ids, max_tokens)

    def _shortened(self, mail: Mail, max_tokens: int) -> Pack:
        for headers in (mail.headers, {}):  # headers of a kind that leaves no room go as well
            bare = replace(mail, headers=headers, body="", shortened=True, gap=NO_GAP)
            room = self._window - max_tokens - len(self._encode([bare]))
            while room >= MIN_BODY_TOKENS:
                cut = replace(bare, body=shorten(mail.body, room, self._count, mail.gap))
                pack = self._encoded([cut], max_tokens)
                if pack is not None:
                    return pack
                room -= room // 16  # a sum of parts is not quite the whole
        return Pack((bare,), self._encode([bare]), max_tokens)
