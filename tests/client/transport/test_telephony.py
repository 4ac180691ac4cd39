"""Files of telephone systems, which say nothing of themselves but by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_server import FINISHED, events

from onecard.options.transcribe import TranscribeOptions
from onecard_client.__main__ import main
from onecard_client._output import names
from onecard_client._transport import telephony


@pytest.mark.parametrize(
    ("extension", "encoding", "sample_rate"),
    [
        ("ulaw", "pcm_mulaw", 8000),
        ("ul", "pcm_mulaw", 8000),
        ("alaw", "pcm_alaw", 8000),
        ("al", "pcm_alaw", 8000),
        ("g722", "g722", 16_000),
        ("g729", "g729", 8000),
        ("gsm", "gsm", 8000),
        ("vox", "adpcm_ima_oki", 8000),
        ("sln", "pcm_s16le", 8000),
        ("slin", "pcm_s16le", 8000),
        ("sln16", "pcm_s16le", 16_000),
        ("sln44", "pcm_s16le", 44_100),
        ("sln192", "pcm_s16le", 192_000),
    ],
)
def test_extensions(extension: str, encoding: str, sample_rate: int) -> None:
    found = telephony.request_options(extension, b"\xff" * 16)
    options = TranscribeOptions(**found)
    assert (options.encoding, options.sample_rate) == (encoding, sample_rate)
    assert options.channels == 1
    assert extension in names.AUDIO_EXTENSIONS


@pytest.mark.parametrize("extension", ["wav", "raw", "pcm", "", "mp3"])
def test_what_says_too_little_says_nothing(extension: str) -> None:
    assert telephony.request_options(extension, bytes(16)) == {}


@pytest.mark.parametrize("beginning", [b"RIFF\0\0\0\0WAVE", b".snd", b"OggS"])
def test_a_header_counts_more_than_a_name(beginning: bytes) -> None:
    assert telephony.request_options("ulaw", beginning) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"encoding": "pcm_mulaw"}),
        (["--sample-rate", "16000"], {"encoding": "pcm_mulaw", "sample_rate": 16_000}),
        (["--encoding", "auto"], {"encoding": "auto"}),
    ],
)
def test_the_command_says_what_it_takes_a_file_for(
    given: list[str], expected: dict[str, object], fake: Any, tmp_path: Path, capsys: Any
) -> None:
    server = fake(events(FINISHED))
    path = tmp_path / "call.ulaw"
    path.write_bytes(bytes(100))
    line = ["transcribe", str(path), "--url", server.url, "-o", str(tmp_path), "-f", "txt", *given]
    assert main(line) == 0
    assert server.options() == expected
    is_told = "without a header, --encoding pcm_mulaw" in capsys.readouterr().err
    assert is_told == (expected["encoding"] != "auto")
    assert (tmp_path / "call.txt").exists()
