"""Telling HTML from plain text, and the charset that it declares."""

from __future__ import annotations

import pytest

from onecard_client._mailbox.html import declared_charset, looks_like_html


@pytest.mark.parametrize(
    "text",
    [
        "<p>Pay</p>",
        "<P>Pay</P>",
        "<p>Pay",
        "  \n<div dir=ltr>Hi",
        '<div class="x">Hi</div>',
        "<html><body>Hi</body></html>",
        "<HTML>Hi",
        "<!DOCTYPE html><html>Hi",
        "\ufeff<!doctype html>Hi",
        "<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.0//EN'><p>Hi",
        "<?xml version='1.0'?><html xmlns='x'>Hi</html>",
        "Hi<br>there",
        "Hi<br/>there",
        "Hi<br />there",
        "Hi &amp; bye<br>x",
        "<b>Hi</b>",
        "Dear <b>Ann</b>, pay",
        '<a href="http://x.de">x</a>',
        "see <a href='http://x.de'>x</a>",
        "<span style='color:red'>Hi</span>",
        "<img src=x.png>",
        "<table><tr><td>a</td></tr></table>",
        "<font size=2>Hi</font>",
        "<ul><li>one<li>two</ul>",
        "<style>p{color:red}</style><p>Hi</p>",
        "<!--[if mso]>x<![endif]--><p>Hi",
        "<!-- x --><p>Hi</p>",
        "<p><o:p>&nbsp;</o:p></p>",
        "<h1\nclass=x\n>Hi</h1>",
        "{{name}} <p>Hi</p>",
    ],
)
def test_html(text: str) -> None:
    assert looks_like_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Pay",
        "a < b",
        "a<b",
        "1 < 2 and 3 > 2",
        "if (a<b && c>d) return;",
        "for (i=0;i<n;i++) x>y",
        "<me@x.de>",
        "Ann <ann@x.de>, Bob <bob@x.de>",
        "<https://x.de/p>",
        "see <http://x.de> and <https://y.de/a?b=c>",
        "<3 you",
        "I <3 you > all",
        "use a <div> for that",
        "The <p> element and the <br> element differ, as <b> does",
        "write `<b>bold</b>` for bold",
        "```\n<p>Hi</p>\n```",
        "List<String> and Map<K, V>",
        "std::vector<int> v; std::map<a, b> m;",
        "<order><id>1</id></order>",
        '<?xml version="1.0"?><order><title>x</title></order>',
        '{"a": "<p>x</p>"}',
        '[{"a": "<br>"}]',
        "<name> wrote:\n> hello",
        "> <quoted>\n> text",
        "-> <- <-- --> <=> <>",
        "<insert name here>",
        "Dear <name>, your <code> is 12",
        "&amp; &lt;p&gt;",
        "<i",
        "<b",
    ],
)
def test_plain_text(text: str) -> None:
    assert not looks_like_html(text)


@pytest.mark.parametrize("piece", ["<a ", '<a b="', "<p x='", "<", "`", '"<', "'<", "```", "<a b"])
def test_recognition_of_hostile_text_takes_no_time_to_speak_of(piece: str) -> None:
    looks_like_html(piece * (400_000 // len(piece)))
    declared_charset((piece * (400_000 // len(piece))).encode())


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (b"", None),
        (b"<p>x", None),
        (b"\xef\xbb\xbf<p>", "utf-8"),
        (b"\xff\xfe<\0p\0", "utf-16le"),
        (b"\xfe\xff\0<\0p", "utf-16be"),
        (b"<meta charset=windows-1251>", "windows-1251"),
        (b'<META CHARSET="x-sjis">', "x-sjis"),
        (b"<meta charset='GBK'/>", "GBK"),
        (b"<meta charset = utf-8 >", "utf-8"),
        (b"<meta\ncharset=big5>", "big5"),
        (b'<meta name=x><meta charset="koi8-r">', "koi8-r"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=iso-2022-jp">',
         "iso-2022-jp"),
        (b"<meta content='text/html;charset=\"euc-kr\"' http-equiv=content-type>", "euc-kr"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset = tis-620 ; x">', "tis-620"),
        (b"<!-- <meta charset=a> --><meta charset=b>", "b"),
        (b"<!-- x --!><meta charset=b>", "b"),
        (b'<a title="<meta charset=a>"><meta charset=b>', "b"),
        (b'<meta name="description" content="charset=a">', None),
        (b'<meta http-equiv="refresh" content="charset=a">', None),
        (b"<meta charset=>", None),
        (b"<meta charset=a", None),
        (b"<metal charset=a>", None),
        (b"<p>charset=a</p>", None),
        (b'<?xml version="1.0" encoding="ISO-8859-15"?><html>', "ISO-8859-15"),
        (b"<meta charset=a><meta charset=b>", "a"),
        (b"<html><head><title>x</title>" + b" " * 900 + b"<meta charset=cp866>", "cp866"),
        (b" " * 100_000 + b"<meta charset=a>", None),
    ],
)  # fmt: skip
def test_declared_charset(content: bytes, label: str | None) -> None:
    assert declared_charset(content) == label
