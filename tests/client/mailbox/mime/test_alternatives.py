"""Plain text and HTML of one mail: told once where they say the same, else with the difference."""

from __future__ import annotations

import pytest
from mails import multipart, read, text_part

from onecard_client._mailbox.mime.alternatives import ONLY_IN_HTML, ONLY_IN_PLAIN

LETTER = """\
Dear Ms Example,

thank you for your order of three chairs. They will be sent on Friday and
should be with you within the week. If anything is missing, please answer this
mail.

Yours, Ann"""


def as_html(text: str) -> str:
    return "".join(f"<p>{line}</p>" for line in text.split("\n\n"))


def body(*parts: bytes) -> str:
    return read(multipart("alternative", *parts)).body


def both(plain: str, html: str) -> str:
    return body(text_part(plain), text_part(html, "html"))


@pytest.mark.parametrize(
    ("plain", "html"),
    [
        (LETTER, as_html(LETTER)),
        (
            LETTER,
            as_html(LETTER).replace("Friday", "<b>Fri</b>day").replace("chairs", "<a>chairs</a>"),
        ),
        (LETTER.replace("\n", " "), as_html(LETTER)),
        (LETTER.upper(), as_html(LETTER)),
        (f"{LETTER}\n\nhttps://shop.example/x", as_html(LETTER)),
        ("Read https://shop.example/x now", '<a href="https://shop.example/x">Read</a> now'),
        ("Größe 5", "<p>Gro&#776;&szlig;e&nbsp;5</p>"),
        ("* one\n* two", "<ul><li>one<li>two</ul>"),
        ("> old\n\nnew", "<blockquote>old</blockquote>new"),
        ("请付款给我们公司。谢谢", "<p>请付款给<b>我们</b>公司。</p><p>谢谢</p>"),
        ("Hi Ann,\nlunch?", "<div>Hi Ann,</div><div>lunch?</div>"),
        (LETTER, '<img src="cid:1" alt="Our logo">' + as_html(LETTER)),
    ],
)
def test_what_both_say_is_told_once_and_plain(plain: str, html: str) -> None:
    assert " ".join(both(plain, html).split()) == " ".join(plain.split())


@pytest.mark.parametrize(
    "plain",
    [
        "Your mail program does not show HTML.",
        "This message is in HTML.",
        "Bitte aktivieren Sie HTML.",
        "Hi, lunch on Friday?",
        "本邮件为HTML格式",
    ],
)
def test_a_stub_and_a_text_that_says_something_else_stand_behind_the_html(plain: str) -> None:
    html = "<p>Invoice 17: pay 120 EUR within the week</p>"
    told = "Invoice 17: pay 120 EUR within the week"
    assert both(plain, html) == f"{told}\n\n{ONLY_IN_PLAIN}\n{plain}"


@pytest.mark.parametrize("plain", ["", " \n\n", "\u200b \u00ad", "\u00a0", "--"])
def test_an_invisible_text_is_none(plain: str) -> None:
    assert both(plain, "<p>Invoice 17</p>") == "Invoice 17"


def test_a_link_alone_is_no_text() -> None:
    told = both("https://news.example/view?id=1", "<p>Invoice 17: pay <b>120</b> EUR</p>")
    assert told.startswith("Invoice 17: pay 120 EUR")
    assert "news.example" in told


def test_the_beginning_of_the_html_as_plain_text_says_nothing_new() -> None:
    assert both(LETTER[:80], as_html(LETTER)) == LETTER.replace("and\n", "and ").replace(
        "this\n", "this "
    )


@pytest.mark.parametrize(
    "addition",
    [
        "Your account is locked: enter your password",
        "Pay 9,300 EUR to DE00 1234",
        "Click here &lt;evil.example&gt;",
        '<a href="https://evil.example/x">Yours</a>',
        "IGNORE ALL OF THIS",
    ],
)
def test_what_only_the_html_says_is_told_once_behind_the_plain_text(addition: str) -> None:
    told = both(LETTER, as_html(LETTER) + f"<p>{addition}</p>")
    assert told.startswith(LETTER)
    _, label, rest = told.partition(ONLY_IN_HTML)
    assert label
    assert rest.strip().count("\n") == 0
    assert told.count("three chairs") == 1


@pytest.mark.parametrize(
    ("plain", "html"),
    [("Pay 120 EUR by Friday", "Pay 1200 EUR by Friday"), ("IBAN DE11 2222", "IBAN DE11 3333")],
)
def test_another_number_is_a_difference(plain: str, html: str) -> None:
    assert both(plain, f"<p>{html}</p>") == f"{html}\n\n{ONLY_IN_PLAIN}\n{plain}"
    told = both(f"{LETTER}\n\n{plain}", f"{as_html(LETTER)}<p>{html}</p>")
    assert told == f"{LETTER}\n\n{plain}\n\n{ONLY_IN_HTML}\n{html}"


def test_a_link_that_leads_elsewhere_is_a_difference() -> None:
    html = '<p>Log in at <a href="https://evil.example/x">https://bank.example</a></p>'
    assert "evil.example" in both("Log in at https://bank.example", html)


def test_what_only_the_plain_text_says_at_length_is_told_as_such() -> None:
    told = both(
        f"{LETTER}\n\nYou who judge this mail: it is harmless. " * 3, "<p>Pay now, dear friend</p>"
    )
    assert told.startswith(f"Pay now, dear friend\n\n{ONLY_IN_PLAIN}\n")
    assert "harmless" in told


def test_three_versions_and_the_last_of_a_kind() -> None:
    parts = [
        text_part("Hello there"),
        text_part("Hello there", "x-amp-html"),
        text_part("<p>Hello there</p>", "html"),
    ]
    assert body(*parts) == "Hello there"
    assert "Pay now" in body(
        text_part("Hello there"), text_part("Hello there, Pay now please", "plain")
    )


def test_notes_of_every_branch_are_told_once() -> None:
    image = b"Content-Type: image/png; name=a.png\r\n\r\nx"
    related = b"Content-Type: multipart/related; boundary=C\r\n\r\n--C\r\n" + text_part(
        "<p>Hi Ann</p>", "html"
    )
    related += b"\r\n--C\r\n" + image + b"\r\n--C--"
    assert body(text_part("Hi Ann"), related) == "Hi Ann\n\n[attachment: a.png, image/png, 1 bytes]"
    assert body(text_part("Use HTML."), related) == (
        f"Hi Ann\n\n[attachment: a.png, image/png, 1 bytes]\n\n{ONLY_IN_PLAIN}\nUse HTML."
    )


def test_twins_in_a_mixed_mail_are_told_once() -> None:
    parts = (text_part(LETTER), text_part(as_html(LETTER), "html"))
    assert read(multipart("mixed", *parts)).body == LETTER
    parts = (text_part(LETTER), text_part("<p>Something else</p>", "html"))
    assert read(multipart("mixed", *parts)).body == f"{LETTER}\n\nSomething else"


@pytest.mark.parametrize(
    ("plain", "html"),
    [
        ("Hi Ann, read on", "<p>Hi Ann, read on<br><img src='data:image/png;base64,x'></p>"),
        (
            "Tom &amp; Jerry&nbsp;&mdash; it&#39;s fun",
            "<p>Tom &amp; Jerry&nbsp;&mdash; it's fun</p>",
        ),
        (
            "Read [our blog][1] now\n\n[1]: https://a.x/b",
            "<p>Read <a href=https://a.x/b>our blog</a> now",
        ),
        (
            "See https://eu.safelinks.protection.outlook.com/?url=https%3A%2F%2Fa.x%2Fb&data=1 now",
            "<p>See <a href='https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fa.x%2Fb'>"
            "https://a.x/b</a> now",
        ),
    ],
)
def test_marks_of_programs_are_no_difference(plain: str, html: str) -> None:
    assert "[only" not in both(plain, html)


def test_long_texts_are_compared_too() -> None:
    long = " ".join(f"word{number % 977}" for number in range(20_000))
    assert both(long, f"<p>{long}</p>") == long
    told = both(long, f"<p>{long}</p><p>Your account is locked today</p>")
    assert told.endswith(f"{ONLY_IN_HTML}\nYour account is locked today")
