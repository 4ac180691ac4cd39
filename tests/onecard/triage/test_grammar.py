"""What the model may write: what xgrammar makes of the grammar, on two models' tokens.

tests/onecard/guides/test_versions.py runs this file again with the versions that NVIDIA's engines
have. A call of the model is made as triage makes it, with an engine that says anything allowed.
"""

from __future__ import annotations

import base64
import calendar
import dataclasses
import json
import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import xgrammar
from xgrammar.testing import _is_grammar_accept_string as accepts

from onecard.errors import InvalidRequest
from onecard.llm import tokenizer as llm_tokenizer
from onecard.llm.detokenizer import Detokenizer
from onecard.llm.generation import Generation, Piece
from onecard.triage import mail
from onecard.triage.call import Call, Caller
from onecard.triage.grammar import Begun, VerdictGrammar
from onecard.triage.options import Settings
from onecard.triage.packing import Pack

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "llm"
VERSION = version("xgrammar")
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


def settings_of(max_tokens_per_mail=256, drafts=True, mails_per_call=10) -> Settings:
    return Settings(
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


def grammar_of(*args, **changed) -> VerdictGrammar:
    return VerdictGrammar(settings_of(*args, **changed), tokenizer().count)


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
        line(summary="é — 日 😀 \U0010ffff"),
        line(summary="Rechnung über 486 € von Jörg Weiß: bitte prüfen — Fälligkeit 31. März"),
        line(summary="Réunion à Orléans, côté façade ; l'œuvre est prête", reply_draft="Ça ira."),
        line(summary="請求書の支払い期限は三月三十一日です。", action="経理に確認する"),
        line(summary="x" * 10_000),  # how long it may get is the reader's business
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
        line(summary='a "quote"'),
        line(summary="a \\backslash").replace("\\\\", "\\"),
        line(summary="a\nb"),
        line(summary="a\x07b"),
        line(summary="a\x7fb"),
        line().replace("An invoice", "a\x00b"),
        line().replace("An invoice", "a\nb"),
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


def test_texts_may_be_as_long_as_the_tokens_allow():
    short, long = grammar_of(128), grammar_of(512)
    assert all(short.max_letters[name] < long.max_letters[name] for name in short.max_letters)
    for name, most in short.max_letters.items():
        begin = line(**{"action": "Pay", name: "@"}).partition("@")[0]
        assert short.outgrown(begin + "é" * most) is None
        assert short.outgrown(begin + "é" * (most + 1)) == name
        assert long.outgrown(begin + "é" * (most + 1)) is None
        assert short.outgrown(begin + "é" * (most + 1) + '"') is None  # it has ended
    assert short.outgrown('{"mail": 1, "category": "' + "x" * 9000) is None  # no text of a verdict
    assert short.outgrown("") is None


@pytest.mark.parametrize("name", ["summary", "action", "reason", "reply_draft"])
def test_an_answer_goes_on_behind_each_text(name):
    lines = [line(mail=n, action="Pay", reply_draft="Thanks.") for n in (1, 2, 3)]
    begun, rest = lines[1].split(f'"{name}": "', 1)[1].split('"', 1)
    ebnf = xgrammar.Grammar.from_ebnf(grammar_of().guide(3, Begun(2, name)).text)
    assert begun
    assert accepts(ebnf, rest + lines[2])
    for wrong in (rest, lines[2], f'"{rest}{lines[2]}', rest + lines[0], rest + lines[2] * 2):
        assert not accepts(ebnf, wrong)


def test_too_few_tokens_are_refused_with_the_number_that_would_do():
    with pytest.raises(InvalidRequest, match="takes at least") as error:
        grammar_of(40)
    least = int(str(error.value).partition("at least ")[2].partition(";")[0])
    grammar_of(least)
    with pytest.raises(InvalidRequest):
        grammar_of(least - 1)


class Vocabulary:
    """A model's tokens, as both backends hand them to xgrammar."""

    def __init__(self, info: xgrammar.TokenizerInfo) -> None:
        self.tokens = info.decoded_vocab
        self.end_ids = tuple(info.stop_token_ids)
        self.num_bytes = np.array([len(token) for token in self.tokens])
        self.has_quote = np.array([b'"' in token for token in self.tokens])
        self.ids = {token: number for number, token in reversed([*enumerate(self.tokens)])}
        self.info = info
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=2)

    def matcher(self, text: str) -> xgrammar.GrammarMatcher:
        more = {"max_rollback_tokens": 1} if VERSION < "0.1.25" else {}
        return xgrammar.GrammarMatcher(self.compiler.compile_grammar(text), **more)

    def allowed(self, matcher: xgrammar.GrammarMatcher) -> np.ndarray:
        bits = xgrammar.allocate_token_bitmask(1, len(self.tokens))
        matcher.fill_next_token_bitmask(bits)
        found = np.unpackbits(bits.numpy().view(np.uint8)[0], bitorder="little")
        # Tokens without a byte, of which SmolLM2 has some, 0.1.21 lets through and then refuses.
        return np.flatnonzero(found[: len(self.tokens)] & (self.num_bytes > 0))


def embedded() -> Vocabulary:
    facts = json.loads((ENGINE / "xgrammar_tokenizer_info.json").read_text())
    metadata = xgrammar.TokenizerInfo._detect_metadata_from_hf(facts["tokenizer_str"])
    return Vocabulary(
        xgrammar.TokenizerInfo(
            facts["encoded_vocab"],
            vocab_type=metadata["vocab_type"],
            stop_token_ids=facts["stop_token_ids"],
            add_prefix_space=metadata["add_prefix_space"],
        )
    )


def mistral() -> Vocabulary:
    """The 131,072 tokens of Mistral's models of 2024 and later, which come with mistral-common."""
    package = find_spec("mistral_common")
    assert package is not None
    path = Path(package.submodule_search_locations[0]) / "data" / "tekken_240911.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    size = document["config"]["default_vocab_size"]
    num_special = document["config"]["default_num_special_tokens"]
    tokens = [f"<SPECIAL_{n}>".encode() for n in range(num_special)]
    tokens += [base64.b64decode(one["token_bytes"]) for one in document["vocab"]]
    assert (size, num_special) == (131072, 1000)
    return Vocabulary(
        xgrammar.TokenizerInfo(tokens[:size], vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[2])
    )


@pytest.fixture(scope="module", params=[embedded, mistral], ids=["smollm2", "mistral"])
def vocabulary(request) -> Vocabulary:
    return request.param()


class Model:
    """An engine that says, of what is allowed, what `choose` likes; it ends with its tokens."""

    def __init__(self, vocabulary: Vocabulary, choose: Callable[[np.ndarray], int]) -> None:
        self._vocabulary = vocabulary
        self._choose = choose
        self.num_calls = 0

    def stream(self, asked: Generation) -> Iterator[Piece]:
        self.num_calls += 1
        matcher = self._vocabulary.matcher(asked.guide.text)
        for _ in range(asked.max_tokens):
            token = self._choose(self._vocabulary.allowed(matcher))
            assert matcher.accept_token(token), self._vocabulary.tokens[token]
            yield Piece((token,))
            if matcher.is_terminated():
                return


class Tokens:
    """The tokenizer of such a model."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = vocabulary.tokens
        self.end_ids = vocabulary.end_ids

    def encode(self, text: str) -> list[int]:
        return [self._tokens.index(text.encode())]

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(self._tokens.__getitem__)


def called(vocabulary: Vocabulary, drafts: bool, num_mails: int, max_tokens: int, choose):
    """One call's verdicts, the call, and the model that answered it."""
    mails = mail.parse(json.dumps([{"id": str(n), "body": "x"} for n in range(num_mails)]))
    asked = settings_of(256, drafts)
    grammar = VerdictGrammar(asked, tokenizer().count)
    call = Call(1, Pack(tuple(mails), [1], max_tokens or grammar.max_tokens), None, False)
    model = Model(vocabulary, choose)
    found = list(Caller(Tokens(vocabulary), asked, grammar, model).verdicts(call, lambda: False))
    for verdict in found:
        assert all(
            len(getattr(verdict, name) or "") <= most for name, most in grammar.max_letters.items()
        )
    return found, call, model


@pytest.mark.parametrize(("num_mails", "drafts"), [(1, False), (1, True), (3, True)])
def test_a_babbling_model_decides_every_mail(vocabulary, num_mails, drafts):
    for seed in range(3 if num_mails == 1 else 1):
        dice = random.Random(seed)
        found, call, _ = called(
            vocabulary,
            drafts,
            num_mails,
            256 * num_mails,
            lambda allowed, dice=dice: int(dice.choice(allowed)),
        )
        # Nothing but hidden letters is no text; that is tried again.
        assert len(found) + len(call.undecided) == num_mails
        assert all("not JSON" not in why for why in call.undecided.values()), call
        assert call.num_tokens < 256 * num_mails


@pytest.mark.parametrize("drafts", [False, True])
def test_the_slowest_model_ends_within_the_tokens_of_a_second_try(vocabulary, drafts):
    """One that never ends a text, and takes the shortest token each time."""
    dice = random.Random(3)

    def slowest(allowed: np.ndarray) -> int:
        inside = allowed[~vocabulary.has_quote[allowed]]
        allowed = inside if len(inside) else allowed
        num_bytes = vocabulary.num_bytes[allowed]
        return int(dice.choice(allowed[num_bytes == num_bytes.min()]))

    found, call, model = called(vocabulary, drafts, 1, 0, slowest)
    assert model.num_calls > 2
    assert call.num_tokens > 256
    assert not call.undecided, call.undecided
    assert len(found) == 1


@pytest.mark.parametrize(
    "begin",
    [
        '{"mail": 1, "summary": "',
        '{"mail": 1, "summary": "An invoice',
        '{"mail": 1, "summary": "Überweisung — 日',
        line()[: line().index('ay"')],
        line()[: line().index(' "confidence"')],
        line(reply_draft="Thank you.")[:-10],
        "",
    ],
)
def test_what_is_let_through_is_accepted(vocabulary, begin):
    """From some classes of letters xgrammar's masks let tokens through that end or break a text."""
    if VERSION < "0.1.25" and b"" in vocabulary.ids:
        pytest.skip("0.1.21 errs about the first tokens of vocabularies with an empty one")
    matcher = vocabulary.matcher(grammar_of().guide(2).text)
    assert not begin or accept(matcher, begin)
    allowed = vocabulary.allowed(matcher)
    assert len(allowed) > 0
    for token in allowed:
        assert matcher.accept_token(int(token)), vocabulary.tokens[token]
        matcher.rollback(1)


def accept(matcher: xgrammar.GrammarMatcher, text: str) -> bool:
    """Under either name that versions have for it."""
    method = getattr(matcher, "accept_string", None) or matcher._debug_accept_string  # type: ignore[attr-defined]
    return bool(method(text))


@pytest.mark.parametrize(
    "text",
    [
        line(summary="Rechnung über 486 € von Jörg Weiß — Fälligkeit: 31. März", reason="größer"),
        line(summary="Réunion à Orléans, côté façade ; l'œuvre est prête", reason="à voir"),
        line(
            summary="請求書の支払い期限は三月三十一日です。", action="経理に確認する", reason="期限"
        ),
    ],
    ids=["German", "French", "Japanese"],
)
def test_a_verdict_is_let_through_token_by_token(vocabulary, text):
    """The longest token that goes on, each time, as tokenizers would about choose."""
    matcher = vocabulary.matcher(grammar_of().guide(1).text)
    left = text.encode()
    while left:
        allowed = set(vocabulary.allowed(matcher).tolist())
        begins = [left[:size] for size in range(1, 30)]
        fitting = [
            vocabulary.ids[begin] for begin in begins if vocabulary.ids.get(begin) in allowed
        ]
        assert fitting, left.decode(errors="replace")
        token = max(fitting, key=lambda token: vocabulary.num_bytes[token])
        assert matcher.accept_token(token)
        left = left[len(vocabulary.tokens[token]) :]
    assert vocabulary.num_bytes.max() > 1


@pytest.mark.parametrize("category", ["Größe", "Überfällig", "café 7", "ÿÿaß0é", "日本 0"])
def test_a_name_may_have_any_letter(vocabulary, category):
    """Version 0.1.21 takes `ße` of a grammar for one letter, U+0DFE."""
    asked = dataclasses.replace(settings_of(), categories=("other", category))
    matcher = vocabulary.matcher(VerdictGrammar(asked, tokenizer().count).guide(1).text)
    assert accept(matcher, line(category=category))


@pytest.mark.parametrize("num_mails", [1, 10])
def test_the_grammar_is_small_once_it_is_compiled(vocabulary, num_mails, capsys):
    """NVIDIA's executor keeps each for ever, and all streams wait while it compiles one."""
    compiler = xgrammar.GrammarCompiler(vocabulary.info, max_threads=2)
    started = time.perf_counter()
    compiled = compiler.compile_grammar(grammar_of().guide(num_mails).text)
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(
            f"xgrammar {VERSION}, {len(vocabulary.tokens)} tokens, {num_mails} mails: "
            f"{seconds:.2f} s, {compiled.memory_size_bytes / 1e6:.2f} MB"
        )
    assert compiled.memory_size_bytes < 4_000_000
