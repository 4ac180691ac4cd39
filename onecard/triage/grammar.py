"""A grammar of what the model may write (a line of JSON per email), and limits on its texts.

It is a grammar because NVIDIA's backend compiles JSON schemas so that any amount of white space is
allowed, and a small model can lose itself in that. Both backends treat a grammar alike. The grammar
does not limit the length of texts: xgrammar would keep a mask of the whole vocabulary for each
character that is counted, while NVIDIA's executor stands still (docs/using/triage.md). The reader
of the answer stops a text that has outgrown its limit, and lets the model go on after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from onecard.errors import InvalidRequest
from onecard.guides.ebnf import Literals
from onecard.guides.guide import Guide
from onecard.guides.texts import FIRST, LETTER, MAX_LETTER_BYTES, quoted
from onecard.triage.options import Settings

Count = Callable[[str], int]  # the tokens that a text takes

# How much text the tokens of a mail are taken to hold. European languages need fewer tokens; an
# answer that needs more is cut off, and asked for again with room for the worst.
LETTERS_PER_TOKEN = 3
MIN_LETTERS = 80  # of a mail's texts together: less says nothing
# Shares of those letters.
SHARES = {"summary": 5, "action": 3, "reason": 3}
DRAFT_SHARES = {**SHARES, "reply_draft": 12}

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


@dataclass(frozen=True)
class Begun:
    """The answer so far: lines, and that of email `number` up to the end of one text."""

    number: int
    text: str


class VerdictGrammar:
    """The lines of one request's calls.

    Attributes:
        max_letters: of each text; the reader of the answer enforces it (`outgrown`).
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

    def guide(self, num_mails: int, begun: Begun | None = None) -> Guide:
        """The guide for one line for each of emails 1 to `num_mails`, in order.

        Args:
            begun: what stands already, in place of which the rest of its line comes.
        """
        parts, literals = self._parts(), Literals()
        lines = [f"line{number}" for number in range(1, num_mails + 1)]
        rules = [
            f"category ::= {_one_of(self._settings.categories, literals)}",
            f"priority ::= {_one_of(self._settings.priorities, literals)}",
            *(f'{name} ::= "\\"" {FIRST} {LETTER}* "\\""' for name in self.max_letters),
        ]
        if begun is not None:
            names = list(parts)
            rest = [parts[name] for name in names[names.index(begun.text) + 1 :]]
            rest = [_DUE, *rest] if begun.text == "action" else rest
            rules.append(f"rest ::= {' '.join(rest)} {_END}")
            lines = ["rest", *lines[begun.number :]]
        if len(lines) > (begun is not None):
            rules.append(f"fields ::= {' '.join(parts.values())}")
        rules += [
            f'{line} ::= {quoted(f"""{{"mail": {line[4:]}, """)} fields {_END}'
            for line in lines
            if line != "rest"
        ]
        rules += literals.rules()
        text = "\n".join([f"root ::= {' '.join(lines)}", *rules])
        return Guide("ebnf_grammar", text + _DAY_RULES + _CONFIDENCE_RULE)

    def outgrown(self, line: str) -> str | None:
        """The name of the text in which an unfinished line ends, where it is over its limit."""
        if line.count('"') % 2 == 0:
            return None
        before, _, text = line.rpartition('"')
        name = before.removesuffix('": ').rpartition('"')[2]
        return name if len(text) > self.max_letters.get(name, len(text)) else None

    def _parts(self) -> dict[str, str]:
        """The parts after the email's number, by the name that comes first in each."""
        parts = {
            "summary": f"{quoted(_SUMMARY)} summary",
            "category": f"{_key('category')} category",
            "priority": f"{_key('priority')} priority",
            "action": f"{_key('action')} ({quoted(_NOTHING)} | action {_DUE})",
            "confidence": f"{_key('confidence')} confidence",
            "reason": f"{_key('reason')} reason",
        }
        if self._settings.drafts:
            parts["reply_draft"] = f'{_key("reply_draft")} ("null" | reply_draft)'
        return parts

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


def _key(name: str) -> str:
    return quoted(f', "{name}": ')


def _one_of(names: Iterable[str], literals: Literals) -> str:
    return " | ".join(literals(f'"{name}"') for name in names)


_SUMMARY = '"summary": '
_NOTHING = 'null, "due": null'
_DUE = f"""{_key("due")} ("null" | "\\"" day "\\"")"""
_END = r'"}\n"'
