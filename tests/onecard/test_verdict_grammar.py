"""What the model may write: what xgrammar makes of the grammar, on the embedded model's tokens.

The same text is compiled by NVIDIA's backend, with an older xgrammar.
"""

from __future__ import annotations

import calendar
import json
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xgrammar
from xgrammar.testing import _is_grammar_accept_string as accepts

from onecard import llm_tokenizer
from onecard.errors import InvalidRequest
from onecard.triage_options import Settings
from onecard.verdict_grammar import VerdictGrammar

ENGINE = Path(__file__).parents[2] / "engines" / "cpu" / "llm"
CATEGORIES = ("invoice", "phishing", "Größe & Gewicht")

LINE = {
    "mail": 1,
    "summary": "An invoice of Bright Rooms, 486 €.",
    "category": "invoice",
    "priority": "low",
    "action": "Pay",
    "due": "2026-03-31",
    "confidence": 0.8,
    "reason": "asks for money",
    "reply_draft": None,
}


@cache
def tokenizer():
    return llm_tokenizer.load(ENGINE / "tokenizer")


def grammar_of(max_tokens_per_mail=256, drafts=True, mails_per_call=10) -> VerdictGrammar:
    asked = Settings(
        categories=CATEGORIES,
        priorities=("high", "low"),
        instructions="",
        mails_per_call=mails_per_call,
        max_tokens_per_mail=max_tokens_per_mail,
        drafts=drafts,
        temperature=0.0,
        seed=None,
        confidence_threshold=0.5,
    )
    return VerdictGrammar(asked, tokenizer().count)


def line(**changed) -> str:
    return json.dumps({**LINE, **changed}, ensure_ascii=False) + "\n"


@cache
def ebnf(num_mails: int) -> xgrammar.Grammar:
    return xgrammar.Grammar.from_ebnf(grammar_of().guide(num_mails).text)


@pytest.mark.parametrize(
    "text",
    [
        line(),
        line(action=None, due=None),
        line(due=None),
        line(reply_draft="Thank you. We pay tomorrow."),
        line(category="Größe & Gewicht", confidence=1.0),
        line(summary="日本語, Ελληνικά, العربية, naïve 'quotes'"),
        line(due="2028-02-29"),
    ],
)
def test_accepts(text):
    assert accepts(ebnf(1), text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        line().rstrip(),  # a line has to end
        line() + "\n",
        line() + line(),
        line(mail=2),  # nobody else's number
        line(mail=0),
        line(mail="1"),
        line(category="spam"),
        line(category="needs_review"),
        line(category=None),
        line(priority="HIGH"),
        line(summary=""),
        line(summary=" "),
        line(summary=None),
        line(summary="x" * 1000),
        line(summary='a "quote"'),
        line(summary="a\nb"),
        line(summary="a\x07b"),
        line(summary="\U0001f44d"),  # four bytes
        line(action=None),  # without an action nothing is due
        line(action=True),
        line(due="2026-02-29"),
        line(due="2026-04-31"),
        line(due="2026-00-10"),
        line(due="1999-01-01"),
        line(due="31 March"),
        line(confidence=0.85),
        line(confidence=2),
        line(confidence="high"),
        line().replace(": ", ":"),
        line().replace('"mail"', ' "mail"'),
        line(extra=1),
        line().replace(', "reply_draft": null', ""),
    ],
)
def test_refuses(text):
    assert not accepts(ebnf(1), text)


def test_several_mails_in_fixed_order_each_once():
    three = [line(mail=number) for number in (1, 2, 3)]
    assert accepts(ebnf(3), "".join(three))
    for wrong in ([0, 1], [0, 1, 1], [0, 2, 1], [1, 0, 2], [0, 1, 2, 2]):
        assert not accepts(ebnf(3), "".join(three[index] for index in wrong))


def test_without_drafts_there_is_none():
    grammar = xgrammar.Grammar.from_ebnf(grammar_of(drafts=False).guide(1).text)
    bare = {key: value for key, value in LINE.items() if key != "reply_draft"}
    assert accepts(grammar, json.dumps(bare, ensure_ascii=False) + "\n")
    assert not accepts(grammar, line())


def test_exactly_the_days_that_exist():
    date_rules = grammar_of().guide(1).text.partition("\nday ::=")
    grammar = xgrammar.Grammar.from_ebnf("root ::= day\nday ::=" + date_rules[2])
    for year in (2000, 2023, 2024, 2026, 2096, 2099):
        for month in range(0, 14):
            last = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
            for day in (0, 1, 9, 10, 28, 29, 30, 31, 32):
                text = f"{year}-{month:02}-{day:02}"
                assert accepts(grammar, text) == (1 <= day <= last), text


def test_texts_are_as_long_as_the_tokens_allow():
    short, long = grammar_of(128).max_letters, grammar_of(512).max_letters
    assert all(short[name] < long[name] for name in short)
    for name, most in short.items():
        texts = {"action": "Pay", name: "x" * most}
        grammar = xgrammar.Grammar.from_ebnf(grammar_of(128).guide(1).text)
        assert accepts(grammar, line(**texts))
        assert not accepts(grammar, line(**{**texts, name: "x" * (most + 1)}))


def test_too_few_tokens_are_refused_with_the_number_that_would_do():
    with pytest.raises(InvalidRequest, match="takes at least") as error:
        grammar_of(40)
    least = int(str(error.value).partition("at least ")[2].partition(";")[0])
    grammar_of(least)
    with pytest.raises(InvalidRequest):
        grammar_of(least - 1)


class Vocabulary:
    """The embedded model's tokens, as both backends hand them to xgrammar."""

    def __init__(self) -> None:
        facts = json.loads((ENGINE / "xgrammar_tokenizer_info.json").read_text())
        metadata = xgrammar.TokenizerInfo._detect_metadata_from_hf(facts["tokenizer_str"])
        info = xgrammar.TokenizerInfo(
            facts["encoded_vocab"],
            vocab_type=metadata["vocab_type"],
            stop_token_ids=facts["stop_token_ids"],
            add_prefix_space=metadata["add_prefix_space"],
        )
        self.tokens = info.decoded_vocab
        self.num_bytes = np.array([len(token) for token in self.tokens])
        self.has_quote = np.array([b'"' in token for token in self.tokens])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1)

    def walk(self, grammar: VerdictGrammar, num_mails: int, choose) -> list[int]:
        """The tokens of one answer, each chosen among those that are allowed."""
        compiled = self.compiler.compile_grammar(grammar.guide(num_mails).text)
        matcher = xgrammar.GrammarMatcher(compiled)
        found: list[int] = []
        while True:
            token = choose(self.allowed(matcher))
            assert matcher.accept_token(token)
            if matcher.is_terminated():
                return found
            found.append(token)

    def allowed(self, matcher: xgrammar.GrammarMatcher) -> np.ndarray:
        bits = np.zeros((1, -(-len(self.tokens) // 32)), np.int32)
        matcher.fill_next_token_bitmask(bits)
        allowed = np.unpackbits(bits.view(np.uint8)[0], bitorder="little")
        return np.flatnonzero(allowed[: len(self.tokens)])

    def text(self, ids: list[int]) -> str:
        return b"".join(self.tokens[token] for token in ids).decode()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary()


@pytest.mark.parametrize(("num_mails", "drafts"), [(1, False), (1, True), (10, True)])
def test_a_babbling_model_ends_within_its_tokens(vocabulary, num_mails, drafts):
    grammar = grammar_of(256, drafts)
    for seed in range(20 if num_mails == 1 else 5):
        dice = random.Random(seed)
        ids = vocabulary.walk(grammar, num_mails, lambda allowed: int(dice.choice(allowed)))  # noqa: B023
        assert len(ids) < 256 * num_mails
        lines = vocabulary.text(ids).splitlines()
        assert [json.loads(line)["mail"] for line in lines] == [*range(1, num_mails + 1)]


@pytest.mark.parametrize("drafts", [False, True])
def test_the_slowest_model_ends_within_the_tokens_of_a_second_try(vocabulary, drafts):
    """One that never ends a text, and takes the shortest token each time."""
    grammar = grammar_of(256, drafts)
    for seed in range(5):
        dice = random.Random(seed)

        def slowest(allowed, dice=dice):
            inside = allowed[~vocabulary.has_quote[allowed]]
            allowed = inside if len(inside) else allowed
            num_bytes = vocabulary.num_bytes[allowed]
            return int(dice.choice(allowed[num_bytes == num_bytes.min()]))

        ids = vocabulary.walk(grammar, 1, slowest)
        assert 256 < len(ids) < grammar.max_tokens
        assert json.loads(vocabulary.text(ids))["mail"] == 1


@pytest.mark.parametrize(
    "begin",
    [
        '{"mail": 1, "summary": "',
        '{"mail": 1, "summary": "An invoice',
        line()[: line().index('ay"')],
        line()[: line().index(' "confidence"')],
        line(reply_draft="Thank you.")[:-10],
        "",
    ],
)
def test_what_is_let_through_is_accepted(vocabulary, begin):
    """From some classes of letters xgrammar's masks let tokens through that end or break a text."""
    compiled = vocabulary.compiler.compile_grammar(grammar_of().guide(2).text)
    matcher = xgrammar.GrammarMatcher(compiled)
    assert not begin or matcher.accept_string(begin)
    allowed = vocabulary.allowed(matcher)
    assert len(allowed) > 0
    for token in allowed:
        assert matcher.accept_token(int(token)), vocabulary.tokens[token]
        matcher.rollback(1)
