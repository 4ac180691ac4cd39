"""What is told of links, images and forms in HTML mails."""

from __future__ import annotations

import pytest

from onecard_client._mailbox.html import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # text that names another host
        ('<a href="http://evil.ru/login">https://paypal.com</a>',
         "https://paypal.com <http://evil.ru/login>"),
        ('<a href="http://evil.ru/x">www.paypal.com</a>', "www.paypal.com <http://evil.ru/x>"),
        ('<a href="http://evil.ru">PayPal.com</a>', "PayPal.com <http://evil.ru>"),
        ('<a href="http://paypal.com.evil.ru">paypal.com</a>',
         "paypal.com <http://paypal.com.evil.ru>"),
        ('<a href="http://paypal.com@evil.ru/">http://paypal.com</a>',
         "http://paypal.com <http://paypal.com@evil.ru/>"),
        ('<a href="http:\\\\evil.ru\\x">paypal.com</a>', "paypal.com <http://evil.ru\\x>"),
        ('<a href="ht\ntp://evil.ru">paypal.com</a>', "paypal.com <http://evil.ru>"),
        ('<a href="//evil.ru/x">paypal.com</a>', "paypal.com <http://evil.ru/x>"),
        ('<a href="http://evil.ru"><b>pay</b>pal.com</a>', "paypal.com <http://evil.ru>"),
        ('<a href="http://evil.ru/">info@paypal.com</a>', "info@paypal.com <http://evil.ru/>"),
        ('<a href="http://evil.ru/%s">paypal.com</a>' % ("a" * 200),
         "paypal.com <http://evil.ru/%s...>" % ("a" * 82)),
        ('<base href="http://evil.ru/"><a href="login">paypal.com</a>',
         "paypal.com <http://evil.ru/login>"),
        ('<a href="http://p\u0430ypal.com/">paypal.com</a>',
         "paypal.com <http://xn--pypal-4ve.com/>"),
        ('<map><area href="http://evil.ru/x" alt="Log in"></map>', "[image: Log in] <evil.ru>"),
        # text that names the same
        ('<a href="https://paypal.com/login">https://paypal.com</a>', "https://paypal.com"),
        ('<a href="https://www.paypal.com/">paypal.com</a>', "paypal.com"),
        ('<a href="https://mail.x.de/a?b=c">x.de</a>', "x.de"),
        ('<a href="https://x.de">HTTPS://X.DE/</a>', "HTTPS://X.DE/"),
        ('<a href="https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fx.de%2Fa&amp;'
         'data=1">https://x.de/a</a>', "https://x.de/a"),
        ('<a href="https://www.google.com/url?q=http://evil.ru/">x.de</a>',
         "x.de <http://evil.ru/>"),
        ('<a href="https://xn--mller-kva.de/">m\u00fcller.de</a>', "m\u00fcller.de"),
        # words: each host once
        ('<a href="https://x.de/1">one</a> <a href="https://x.de/2">two</a> '
         '<a href="http://evil.ru">three</a>', "one <x.de> two three <evil.ru>"),
        ('<a href="https://x.de/f">report.pdf</a>', "report.pdf <x.de>"),
        ('<a href="http://10.0.0.1:8080/x">here</a>', "here <10.0.0.1>"),
        # nowhere else
        ('<a href="#top">up</a>', "up"),
        ('<a name="x">up</a>', "up"),
        ("<a href>up</a>", "up"),
        ('<a href="page.html">page</a>', "page"),
        ('<a href="http://x.de"></a>b', "b"),
        ('<a href="http://x.de"> </a>b', "b"),
        ('<a href="tel:+491">+49 1</a>', "+49 1"),
        ('<a href="mailto:a@x.de?subject=hi">a@x.de</a>', "a@x.de"),
        ('<a href="mailto:evil@x.ru">a@x.de</a>', "a@x.de <evil@x.ru>"),
        ('<a href="mailto:b@x.de">write to us</a>', "write to us <b@x.de>"),
        ('<a href="javascript:pay()">Pay</a>', "Pay <javascript:pay()>"),
        ('<a href=" JavaScript:pay()">Pay</a>', "Pay <JavaScript:pay()>"),
        ('<a href="data:text/html,xyz">Pay</a>', "Pay <data:text/html,xyz>"),
        ('<a href="http://x.de" style="display:none">x</a>b', "b"),
        # images
        ('<img src="a.png" alt="Invoice 17: pay 120 EUR">', "[image: Invoice 17: pay 120 EUR]"),
        ('<img src="a.png" alt="">b', "b"),
        ('<img src="a.png" title="t">b', "b"),
        ('<img src="a.png" alt="x" width="1" height="1">b', "b"),
        ('<img src="a.png" alt="x" style="width:1px;height:1px">b', "b"),
        ('<img src="a.png" alt="x" style="display:none">b', "b"),
        ('<img src="cid:1" alt="image001.png">b', "b"),
        ('<td style="font-size:0;line-height:0"><img src=a alt="Sale"></td>', "[image: Sale]"),
        ('<a href="http://evil.ru"><img src="a.png"></a>', "[image] <evil.ru>"),
        ('<a href="http://evil.ru"><img src="a.png" alt="Log in"></a>',
         "[image: Log in] <evil.ru>"),
        # forms
        ('<form action="http://evil.ru/x"><input name=u placeholder="Your name">'
         '<input type=password name=p><input type=submit value="Log in"></form>',
         "[form sent to evil.ru] [field: Your name] [password field] [button: Log in]"),
        ("<form><input type=hidden value=x><button>Go</button></form>", "Go"),
    ],
)  # fmt: skip
def test_links_images_and_forms(html: str, text: str) -> None:
    assert html_to_text(html).text == text


@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_a_pasted_image_does_not_push_the_text_out(quote: str) -> None:
    source = f"{quote}data:image/png;base64,{'A' * 3_000_000}={quote}"
    html = f"<p><img src={source} alt={quote}{quote}></p><p>Please pay 120 EUR</p>"
    assert html_to_text(html) == ("[image]\n\nPlease pay 120 EUR", False)


def test_a_background_in_a_style_does_neither() -> None:
    html = f"<style>p{{background:url(data:image/gif;base64,{'A' * 2_000_000})}}</style><p>Pay</p>"
    assert html_to_text(html) == ("Pay", False)


def test_a_newsletter_does_not_double() -> None:
    items = "".join(
        f'<p><a href="https://t.x.de/{"a" * 80}{n}">Offer {n}</a></p>' for n in range(9)
    )
    text = html_to_text(items).text
    assert text.count("t.x.de") == 1
    assert len(text) < 9 * 12
