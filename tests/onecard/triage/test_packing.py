"""Packing: every mail in exactly one call, in order, and no call over the window."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mistral_common
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.errors import InvalidRequest
from onecard.llm import tokenizer as llm_tokenizer
from onecard.llm.tekken_tokenizer import TekkenTokenizer
from onecard.triage import prompt
from onecard.triage.mail import Mail, parse
from onecard.triage.options import Settings
from onecard.triage.packing import MIN_MAIL_TOKENS, Packer
from onecard.triage.shortening import Gap

ROOT = Path(__file__).parents[3]
ENGINE = ROOT / "engines" / "cpu" / "llm"
INSTRUCTIONS = 100


def count(text: str) -> int:
    return -(-len(text) // 4)


def encode(mails) -> list[int]:
    """As long as the instructions and the mails with their headers."""
    texts = [prompt.shown(mail) for mail in mails]
    return [0] * (INSTRUCTIONS + sum(count(text) for text in texts))


def packer(window=2000, mails_per_call=10, per_mail=100, alone=500, encode=encode) -> Packer:
    return Packer(encode, count, window, mails_per_call, per_mail, alone)


def mails_of(lengths, subject="s") -> list[Mail]:
    return [
        Mail(str(n), {"subject": subject}, ("word " * length)[:length])
        for n, length in enumerate(lengths)
    ]


@given(
    lengths=st.lists(st.integers(0, 12_000), max_size=30),
    mails_per_call=st.integers(1, 12),
    per_mail=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None)
def test_every_mail_in_exactly_one_call_and_no_call_over_the_window(
    lengths, mails_per_call, per_mail
):
    mails = mails_of(lengths)
    packs = list(packer(mails_per_call=mails_per_call, per_mail=per_mail).packs(mails))
    assert [mail.id for pack in packs for mail in pack.mails] == [mail.id for mail in mails]
    for pack in packs:
        assert 1 <= len(pack.mails) <= mails_per_call
        assert pack.max_tokens == len(pack.mails) * per_mail
        assert len(pack.prompt_ids) + pack.max_tokens <= 2000
        assert len(pack.prompt_ids) == len(encode(pack.mails))
    for pack in packs:
        for mail in pack.mails:
            original = mails[int(mail.id)]
            assert mail.shortened == (mail.body != original.body)
            assert not mail.shortened or len(pack.mails) == 1


def test_fills_the_window():
    """A call ends only where the next mail would not have fitted."""
    mails = mails_of([900] * 20)
    packs = list(packer().packs(mails))
    assert [len(pack.mails) for pack in packs] == [5, 5, 5, 5]
    more = len(encode(mails[:6])) + 6 * 100
    assert more > 2000


def test_a_long_mail_is_shortened_and_not_those_around_it():
    packs = list(packer().packs(mails_of([100, 100_000, 100])))
    assert [[mail.id for mail in pack.mails] for pack in packs] == [["0"], ["1"], ["2"]]
    assert [pack.mails[0].shortened for pack in packs] == [False, True, False]
    assert len(packs[1].prompt_ids) > 1700  # what there is of room is used


def test_a_second_try_has_room_for_the_longest_answer():
    long = mails_of([7000])[0]
    [first] = packer().packs([long])
    second = packer().alone(long)
    assert (first.max_tokens, second.max_tokens) == (100, 500)
    assert (first.mails[0].shortened, second.mails[0].shortened) == (False, True)
    assert len(second.prompt_ids) + second.max_tokens <= 2000


def test_headers_that_fill_the_window_go_as_well():
    pack = packer(window=1000, per_mail=600).alone(mails_of([5000], subject="x" * 5000)[0])
    assert pack.mails[0].headers == {}
    assert "words" not in pack.mails[0].body
    assert pack.mails[0].body.startswith("word")
    assert len(pack.prompt_ids) + pack.max_tokens <= 1000


def test_settings_that_leave_no_room_are_refused_with_the_figures():
    room = 2000 - len(encode([Mail("", {}, "")])) - MIN_MAIL_TOKENS
    packer(per_mail=room)
    with pytest.raises(InvalidRequest, match=f"is {room + 1}, .* lower it to {room}"):
        packer(per_mail=room + 1)


def labelled_mails() -> list[Mail]:
    lines = (ROOT / "bench" / "triage" / "mails.jsonl").read_text().splitlines()
    fields = ("id", "from", "to", "date", "subject", "body")
    found = [json.loads(line) for line in lines]
    return parse(json.dumps([{name: mail[name] for name in fields} for mail in found]))


def real_packs(tokenizer, mails, mails_per_call, per_mail):
    asked = Settings(
        categories=("invoice", "meeting", "support", "other"),
        priorities=("high", "normal", "low"),
        instructions="",
        mails_per_call=mails_per_call,
        max_tokens_per_mail=per_mail,
        drafts=True,
        temperature=0.0,
        seed=None,
        confidence_threshold=0.5,
    )
    found = Packer(
        lambda group: tokenizer.encode_chat(prompt.messages(group, asked)),
        tokenizer.count, 8192, mails_per_call, per_mail, 1500,
    )  # fmt: skip
    return list(found.packs(mails))


def test_ten_ordinary_mails_and_2k_tokens_of_output_fit_8192_of_a_24b_model():
    """With the vocabulary of Mistral Small; ordinary is a mail of 300 words with its headers."""
    path = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    tokenizer = TekkenTokenizer(path)
    sentence = "We would like to know until when you can deliver the parts to our second site. "
    headers = {"from": "Ines Falk <ines.falk@example.com>", "subject": "Delivery of the parts"}
    mails = [Mail(str(n), headers, sentence * 19) for n in range(30)]
    packs = real_packs(tokenizer, mails, 10, 200)
    assert [len(pack.mails) for pack in packs] == [10, 10, 10]
    assert all(len(pack.prompt_ids) + 2000 <= 8192 for pack in packs)
    labelled = real_packs(tokenizer, labelled_mails(), 10, 200)
    assert [len(pack.mails) for pack in labelled] == [10] * 6
    assert not any(mail.shortened for pack in labelled for mail in pack.mails)


@pytest.mark.parametrize(
    "body",
    ["word " * 200_000, "x" * 1_000_000, "漢字" * 100_000, "=" * 1_000_000, "> a\n" * 250_000],
)
def test_a_megabyte_fits_the_window_of_the_embedded_model(body):
    tokenizer = llm_tokenizer.load(ENGINE / "tokenizer")
    [pack] = real_packs(tokenizer, [Mail("1", {"subject": "s"}, body)], 1, 256)
    assert len(pack.prompt_ids) + 256 <= 8192
    assert pack.mails[0].shortened
    assert "letters cut here" in pack.mails[0].body


def test_a_mail_with_a_gap_is_called_alone_and_says_so():
    short, other = mails_of([40, 50])
    cut = replace(short, id="cut", gap=Gap(20, 123_456))
    packs = list(packer().packs([short, cut, other]))
    assert [[mail.id for mail in pack.mails] for pack in packs] == [["0"], ["cut"], ["1"]]
    [found] = packs[1].mails
    assert "[... 123456 letters cut here ...]" in found.body
    assert found.shortened
