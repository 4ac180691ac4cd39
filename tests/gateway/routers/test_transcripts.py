"""A transcript that somebody has already, as files."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fake_server import RESULT


@pytest.fixture(scope="module")
def client(lasting_gateway: Any) -> Any:
    with lasting_gateway().client() as client:
        yield client


@pytest.mark.parametrize(
    ("extension", "kind", "text"),
    [
        ("txt", "text/plain", "[Ann]: Hello there.\n"),
        ("srt", "application/x-subrip", "00:00:00,100 --> 00:00:01,000\n"),
        ("vtt", "text/vtt", "00:00:00.100 --> 00:00:01.000\n"),
        ("tsv", "text/tab-separated-values", "100\t1000\tHello there.\n"),
        ("json", "application/json", '"speakers": ["Ann"]'),
        ("aud", "text/plain", "0.1\t1.0\t[[Ann]]Hello there.\n"),
    ],
)
def test_files_with_other_names(client: Any, extension: str, kind: str, text: str) -> None:
    named = copy.deepcopy(RESULT)
    named["speakers"] = ["Ann"]
    named["segments"][0]["speaker"] = "Ann"
    for word in named["segments"][0]["words"]:
        word["speaker"] = "Ann"
    found = client.post(f"/v1/transcripts/{extension}", json=named)
    assert found.status_code == 200
    assert found.headers["content-type"].startswith(kind)
    assert text in found.text


def test_what_is_no_transcript(client: Any) -> None:
    wrong = client.post("/v1/transcripts/srt", json={**RESULT, "segments": "none"})
    assert wrong.status_code == 400
    assert "segments" in wrong.json()["error"]["message"]
    unknown = client.post("/v1/transcripts/docx", json=RESULT)
    assert unknown.status_code == 400
    assert "txt, srt, vtt, tsv, json, aud" in unknown.json()["error"]["message"]
