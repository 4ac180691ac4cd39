"""What the model may write: one line of JSON a mail, bounded in every part, as a grammar.

It knows what the generated lines look like and how long they can get; it knows no mails. A grammar
and not a JSON schema, because NVIDIA's backend compiles schemas so that any amount of white space
is JSON, in which a small model can lose itself; of a grammar both backends make the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from onecard.errors import InvalidRequest
from onecard.generation import Guide
from onecard.triage_options import Settings

Count = Callable[[str], int]  # the tokens that a text takes

# How much text the tokens of a mail are taken to hold. European languages need fewer tokens; an
# answer that needs more is cut off, and asked for again with room for the worst.
LETTERS_PER_TOKEN = 3
MIN_LETTERS = 80  # of a mail's texts together: less says nothing
# Shares of those letters.
SHARES = {"summary": 5, "action": 3, "reason": 3}
DRAFT_SHARES = {**SHARES, "reply_draft": 12}

# Letters from U+0020 to U+D7FF but controls, the quote and the backslash: 3 bytes of UTF-8 at most.
# One class of few ranges and nothing else, for xgrammar repeats a choice of rules a thousand times
# slower, and from a class of many ranges it lets tokens through that the class does not allow
# (0.2.8). So no text has a quote or a line break in it; what cannot be seen is removed on reading.
_LETTER = r"[ !#-\[\]-~\u00a1-\ud7ff]"
_FIRST = r"[!#-\[\]-~\u00a1-\ud7ff]"
MAX_LETTER_BYTES = 3
# Days that exist, from 2000 to 2099.
_DAY_RULES = r"""
day ::= "20" [0-9] [0-9] "-" month_day | "20" ([02468] [048] | [13579] [26]) "-02-29"
month_day ::= long "-" ("0" [1-9] | [12] [0-9] | "3" [01])
    | short "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])
long ::= "01" | "03" | "05" | "07" | "08" | "10" | "12"
short ::= "04" | "06" | "09" | "11"
"""
_CONFIDENCE_RULE = r"""
confidence ::= "0." [0-9] | "1.0"
"""


class VerdictGrammar:
    """The lines of one request's calls.

    Attributes:
        max_letters: of each text.
        max_tokens: of one line, whatever the model writes: no token is less than a byte.
    """

    def __init__(self, settings: Settings, count: Count) -> None:
        """Raises InvalidRequest where a mail's tokens leave no room for text."""
        self._settings = settings
        shares = DRAFT_SHARES if settings.drafts else SHARES
        bare = self._longest(dict.fromkeys(shares, ""))
        num_letters = (settings.max_tokens_per_mail - count(bare)) * LETTERS_PER_TOKEN
        if num_letters < MIN_LETTERS:
            least = count(bare) + -(-MIN_LETTERS // LETTERS_PER_TOKEN)
            raise InvalidRequest(
                f"option `max_tokens_per_mail` is {settings.max_tokens_per_mail}, a verdict takes "
                f"at least {least}; raise it"
            )
        whole = sum(shares.values())
        self.max_letters = {name: num_letters * part // whole for name, part in shares.items()}
        text_bytes = sum(self.max_letters.values()) * MAX_LETTER_BYTES
        self.max_tokens = len(bare.encode()) + text_bytes + 1  # and the end

    def guide(self, num_mails: int) -> Guide:
        """For mails 1 to `num_mails`, a line each, in order; the numbers are no choice."""
        numbers = range(1, num_mails + 1)
        rules = [
            "root ::= " + " ".join(f"line{number}" for number in numbers),
            *(f'line{n} ::= {_quoted(f"""{{"mail": {n}, """)} fields "}}\\n"' for n in numbers),
            f"fields ::= {self._fields()}",
            f"category ::= {_one_of(self._settings.categories)}",
            f"priority ::= {_one_of(self._settings.priorities)}",
            *(self._text(name) for name in self.max_letters),
        ]
        return Guide("ebnf_grammar", "\n".join(rules) + _DAY_RULES + _CONFIDENCE_RULE)

    def _fields(self) -> str:
        parts = [
            _quoted('"summary": '), "summary",
            _quoted(', "category": '), "category",
            _quoted(', "priority": '), "priority",
            _quoted(', "action": '),
            f'({_quoted("""null, "due": null""")} | action {_quoted(""", "due": """)}',
            r'("null" | "\"" day "\""))',
            _quoted(', "confidence": '), "confidence",
            _quoted(', "reason": '), "reason",
        ]  # fmt: skip
        if self._settings.drafts:
            parts += [_quoted(', "reply_draft": '), '("null" | reply_draft)']
        return " ".join(parts)

    def _text(self, name: str) -> str:
        return rf'{name} ::= "\"" {_FIRST} {_LETTER}{{0,{self.max_letters[name] - 1}}} "\""'

    def _longest(self, texts: dict[str, str]) -> str:
        """The longest line with these texts."""
        line = {
            "mail": self._settings.mails_per_call,
            "category": max(self._settings.categories, key=len),
            "priority": max(self._settings.priorities, key=len),
            "due": "2000-01-01",
            "confidence": 0.5,
            **texts,
        }
        return json.dumps(line, ensure_ascii=False) + "\n"


def _quoted(text: str) -> str:
    """A literal of the grammar, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)


def _one_of(names: Iterable[str]) -> str:
    return " | ".join(_quoted(f'"{name}"') for name in names)
