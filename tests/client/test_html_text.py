"""HTML of emails to text: by example, and for anything at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard_client._html_text import MAX_HTML_CHARACTERS, html_to_text


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
    ],
)  # fmt: skip
def test_examples(html: str, text: str) -> None:
    assert html_to_text(html) == text


FRAGMENTS = """\
< > <p> </p> <br/> <blockquote> </blockquote> <pre> <script> </script> <!-- --> <! <? <![ ]]>
<![CDATA[ <!DOCTYPE </ & &# ; <a href=' " ' = <li> <td> <title <svg/> word"""
PIECES = st.sampled_from([*FRAGMENTS.split(), "\n", " ", "\0"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_never_raises_and_leaves_no_blank_edges(html: str) -> None:
    text = html_to_text(html)
    assert not text.startswith("\n")
    assert not text.endswith("\n")
    assert "\n\n\n" not in text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=20))
def test_every_word_outside_of_tags_stays(words: list[str]) -> None:
    html = "".join(f"<div><b>{word}</b></div>" for word in words)
    assert html_to_text(html).split() == words


@pytest.mark.parametrize(
    "piece", ["<!--", "<", "<a ", "<a b='", "<a b=\">'", "</", "<script>", "<blockquote>", "<![if "]
)
def test_hostile_html_takes_no_time_to_speak_of(piece: str) -> None:
    """A megabyte of some of these keeps html.parser busy for hours; pytest would give up."""
    html_to_text(piece * (2 * MAX_HTML_CHARACTERS // len(piece)))
