"""HTML of emails to text: by example, and for anything at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard_client._mailbox.html import MAX_HTML_CHARACTERS, html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("one  two\n three", "one two three"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<div>one</div><div>two<div>three</div></div>", "one\ntwo\nthree"),
        ("fish &amp; chips &lt;3&nbsp;&euro;", "fish & chips <3 €"),
        ('see <a href="https://example.com/x">the offer</a> now',
         "see the offer <example.com> now"),
        ("<ul><li>one<li>two</ul>end", "- one\n- two\n\nend"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("a<script>alert('<p>')</script>b<style>p {}</style>c", "abc"),
        ("<html><head><title>x</title></head><body>text</body></html>", "text"),
        ("<title>a <svg> b</title>text", "text"),
        ("<svg><text>1</text><svg>2</svg>3</svg>text", "text"),
        ("a<!-- <p>no</p> -->b", "ab"),
        ("a<!--[if mso]><p>no</p><![endif]-->b<![if !mso]>c<![endif]>d", "abcd"),
        ("a<!-- no end <p>b</p>", "a no end\n\nb"),
        ("x:<blockquote>old<blockquote>older</blockquote></blockquote>y",
         "x:\n\n> old\n>\n> > older\n\ny"),
        ("<pre>one\n  two\n\nthree</pre>", "one\ntwo\n\nthree"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("a < b<p>c", "a < b\n\nc"),
        ("so\u00adft zero\u200bwidth\u034f", "soft zerowidth"),
        ("<o:p>Word</o:p>", "Word"),
        ("<p>&#x1F600;&#0;</p>", "\U0001f600\ufffd"),
        ("10<sup>2</sup> for 19<sup>99</sup>, a<sup>b</sup>", "10^2 for 19^99, ab"),
        ("<ul><li><p>one</p></li><li> </li></ul>end", "- one\n\nend"),
        ("a<br><br><br>b<p></p><p>&nbsp;</p>c", "a\n\nb\n\nc"),
        ("<span style='display:block'>a</span><span style='display:block'>b</span>", "a\nb"),
        ("<div style='white-space:pre-wrap'>a\nb</div>", "a\nb"),
        ("a<p/>b<div/>c<span/>d", "a\n\nb\n\ncd"),
        ("<p>a<b>b<p>c</b>d", "ab\n\ncd"),
        ("<math><mi>x</mi><mo>=</mo><mn>2</mn></math>", "x=2"),
        ("<textarea>a<b>c\nd</textarea>", "a<b>c\nd"),
        ("&#128; &notit; &amp;lt;p&amp;gt; &nbsp;x", "\u20ac \u00acit; &lt;p&gt; x"),
        ("x\ud800y\0z", "x?yz"),
        ("<a href=http://x.de><div>Hi</div></a>z", "Hi <x.de>\nz"),
        ("<iframe>a</iframe><object>b</object><video>c</video>", "bc"),
        ('a <b title="x > y">b</b> <i title=\'"\'>c</i>', "a b c"),
        ('<a href="http://x.de>x</a> and the rest', "x and the rest"),
        ("a <b", "a <b"),
        ("a</p>b</br>c", "a\n\nb\nc"),
    ],
)  # fmt: skip
def test_examples(html: str, text: str) -> None:
    assert html_to_text(html) == (text, "<svg><text>" in html)


FRAGMENTS = """\
< > <p> </p> <br/> <blockquote> </blockquote> <pre> <script> </script> <!-- --> <! <? <![ ]]>
<![CDATA[ <!DOCTYPE </ & &# ; <a href=' " ' = <li> <td> <title <svg/> word"""
PIECES = st.sampled_from([*FRAGMENTS.split(), "\n", " ", "\0"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_never_raises_and_leaves_no_blank_edges(html: str) -> None:
    text = html_to_text(html).text
    text.encode()
    assert not text.startswith("\n")
    assert not text.endswith("\n")
    assert "\n\n\n" not in text


STYLE_FRAGMENTS = """\
display font color background clip-path transform margin : ; none 0 / rect( ) , -9e9px % !important
{ } @media a . # > [ ] \\ var(--x) calc("""
STYLES = st.sampled_from(STYLE_FRAGMENTS.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(STYLES | st.text(max_size=3), max_size=15).map("".join))
def test_no_style_raises_or_takes_the_rest_away(style: str) -> None:
    style = style.replace("<", "")
    quoted = style.replace("&", "&amp;").replace('"', "&quot;")
    html = f'<style>{style}</style><i style="{quoted}">a</i><a href="{quoted}">b</a>'
    sheet = "<style>u{display:inline!important;color:#000!important}</style>"
    html_to_text(html + sheet).text.encode()
    assert html_to_text(f'<i style="{quoted}">a</i> rest').text.endswith("rest")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=20))
def test_every_word_outside_of_tags_stays(words: list[str]) -> None:
    html = "".join(f"<div><b>{word}</b></div>" for word in words)
    assert html_to_text(html).text.split() == words


HOSTILE = [
    "<!--", "<", "<a ", "<a b='", "<a b=\">'", "</", "<script>", "<blockquote>", "<![if ",
    "<div>", "<ul><li>", "<dl><dd>", "<option><div>", "<span><div></span>", "<b a=1><div></b>",
    "<div><table><td></div></table>", "<svg><div></svg>", "<table>", "<table><td>", "<?", "<!x",
    "<script></scr", "<p style='color:red'>", "<select><selectedcontent>x<option>y", "<template>",
    "\u202e", "<a href=//a.b.c.d.>a.b.c.d.", "<!-- a b c d e f", "\0<", "\ud800<p>", "&#x",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_html_takes_no_time_to_speak_of(piece: str) -> None:
    """A megabyte of some of these keeps html.parser busy for hours; pytest would give up."""
    html_to_text(piece * (2 * MAX_HTML_CHARACTERS // len(piece)))


@pytest.mark.parametrize(
    "html",
    [
        "<a " + " ".join(f"a{n}" for n in range(100_000)) + ">x</a>",
        "".join(f"<html a{n}>" for n in range(50_000)),
        "".join(f"<b a{n}>" for n in range(5_000)) + "<div>x" * 10_000 + "</b>" * 5_000,
        "".join(f"<b a{n}>" for n in range(40)) + "<p>x" * 200_000,
        "<div>" * 500 + "<p></x>" * 100_000,
        "<style>"
        + "i div div div div b{display:none}" * 5_000
        + "</style>"
        + "<div>" * 500
        + "<b>",
        "<style>" + "i ~ p ~ p ~ p ~ b{display:none}" * 5_000 + "</style>" + "<p>x</p>" * 5_000,
        "<style>p:nth-last-child(2n),:has(b){display:none}</style>" + "<p>x</p>" * 50_000,
        "<style>" + "{" * 100_000 + "</style>",
        "<style>" + "@media all{" * 30_000 + "</style>",
        "<p style='" + "(" * 100_000 + "'>x",
        "<p style='" + "color:red;" * 50_000 + "'>x",
        "<a href='" + "a." * 100_000 + "'>" + "a." * 100_000 + "</a>",
    ],
    ids=lambda html: html[:30],
)
def test_hostile_documents_neither(html: str) -> None:
    html_to_text(html)


def test_what_is_nested_too_deeply_is_read_and_told() -> None:
    html = "<div>" * 5_000 + "deep" + "</div>" * 5_000 + "after"
    assert html_to_text(html) == ("deep\nafter", True)


@pytest.mark.parametrize("piece", [" <p>", " <td><p>", "<a<", "</a<", "x<b <"])
def test_what_is_repeated_takes_time_that_grows_with_its_length(piece: str) -> None:
    began_s = time.process_time()
    html_to_text(piece * (600_000 // len(piece)))
    assert time.process_time() - began_s < 100  # ten minutes, where it grows with the square
