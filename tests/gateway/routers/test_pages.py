"""What a browser is given at `/`, and what programs are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from onecard_gateway.routers.pages import FILES

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MAX_BYTES = 60_000
# What a strict policy forbids, and what makes HTML of texts.
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:")
AS_HTML = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(")


@pytest.fixture(scope="module")
def client(lasting_gateway: Any) -> Any:
    with lasting_gateway().client() as client:
        yield client


def test_a_page_for_browsers_and_json_for_programs(client: Any) -> None:
    page = client.get("/", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert client.head("/", headers=HTML).headers["content-type"].startswith("text/html")
    assert client.get("/").json()["service"] == "onecard-gateway"
    assert client.head("/").headers["content-type"] == "application/json"
    assert page.headers["vary"] == client.get("/").headers["vary"] == "accept"


def test_nothing_but_the_gateway_is_trusted(client: Any) -> None:
    for path in ("/", *(f"/page/{name}" for name in FILES)):
        headers = client.get(path, headers=HTML).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_every_part_is_there_and_nothing_else(client: Any) -> None:
    page = client.get("/", headers=HTML).text
    parts = re.findall(r'(?:src|href)="/page/([^"]+)"', page)
    for name, file in FILES.items():
        parts += (
            re.findall(r'from "\./([^"]+)"', file.content.decode()) if "modules" in name else []
        )
        answer = client.get(f"/page/{name}")
        assert (answer.status_code, answer.content) == (200, file.content)
    names = {*FILES, *(name.removeprefix("modules/") for name in FILES)}
    assert {*parts} <= names
    for path in ("none.js", "../app.py", "%2e%2e/app.py", "modules/", ""):
        assert client.get(f"/page/{path}").status_code == 404


def test_a_part_that_is_the_same_is_not_sent_again(client: Any) -> None:
    etag = client.get("/page/style.css").headers["etag"]
    again = client.get("/page/style.css", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_it_is_small_and_makes_no_html_of_texts() -> None:
    assert sum(len(file.content) for file in FILES.values()) < MAX_BYTES
    for name, file in FILES.items():
        text = file.content.decode()
        assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert not AS_HTML.search(text), name
        assert len(text.splitlines()) <= 300, name
    assert not INLINE.search(FILES["index.html"].content.decode())
