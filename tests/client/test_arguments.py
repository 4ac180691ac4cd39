"""The command line's options against WhisperX's and the server's."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest

from onecard.options import TranscribeOptions
from onecard_client import _arguments
from onecard_client._arguments import REFUSED, parse, request_options


def whisperx_options() -> set[str]:
    """The names in WhisperX's own parser, read from its source: importing it takes seconds."""
    spec = importlib.util.find_spec("whisperx")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).with_name("__main__.py").read_text()
    return set(re.findall(r'add_argument\("(--[\w-]+)"', source))


def test_every_whisperx_option_is_taken_or_refused() -> None:
    names = {name[2:].replace("-", "_") for name in whisperx_options()}
    assert len(names) > 40
    taken = set(vars(parse(["transcribe", "a.wav"]))) | set(_arguments._REQUEST_OPTIONS)
    # --no_align is --align's other half; the last two print versions
    assert names - taken - set(REFUSED) == {"no_align", "version", "python_version"}


def test_every_option_of_the_server_has_one_here() -> None:
    fields = {field.name for field in dataclasses.fields(TranscribeOptions)}
    assert set(_arguments._REQUEST_OPTIONS) | {"align"} == fields


PCM = {"encoding": "pcm_s16le", "sample_rate": 8000, "channels": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("--language en", {"language": "en"}),
        ("--min_speakers 2 --max-speakers=3", {"min_speakers": 2, "max_speakers": 3}),
        ("--no_align", {"align": False}),
        ("--no-align --align", {"align": True}),
        ("--diarize", {"diarize": True}),
        ("--no_diarize", {"diarize": False}),
        ("--speaker_embeddings", {"speaker_embeddings": True}),
        ("--suppress-numerals", {"suppress_numerals": True}),
        ("--return_char_alignments", {"return_char_alignments": True}),
        ("--beam_size None", {"beam_size": None}),
        ("--temperature_increment_on_fallback None", {"temperature_increment_on_fallback": None}),
        ("--suppress_tokens -1 --temperature 0.2", {"suppress_tokens": "-1", "temperature": 0.2}),
        ("--chunk_size 15", {"chunk_size": 15.0}),
        ("--initial_prompt=a_b --hotwords c_d", {"initial_prompt": "a_b", "hotwords": "c_d"}),
        ("--encoding pcm_s16le --sample-rate 8000 --channels 2", PCM),
    ],
)
def test_what_reaches_the_server(arguments: str, expected: dict[str, object]) -> None:
    namespace = parse(["transcribe", "a.wav", *arguments.split()])
    found = request_options(namespace)
    assert found == expected
    TranscribeOptions(**found)  # type: ignore[arg-type]


def test_layout_options() -> None:
    line = "--max_line_width 42 --max-line-count None --highlight_words True -f aud -o out a.wav"
    namespace = parse(["transcribe", *line.split()])
    assert (namespace.max_line_width, namespace.max_line_count) == (42, None)
    assert namespace.highlight_words is True
    assert (namespace.output_format, namespace.output_dir) == ("aud", Path("out"))


def test_nothing_behind_a_double_dash_is_an_option() -> None:
    assert parse(["transcribe", "--", "--my_file.wav"]).files == ["--my_file.wav"]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("value", [[], ["x"]])
def test_refused_option_says_why(
    name: str, value: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["transcribe", "a.wav", f"--{name}", *value])
    assert ended.value.code == 2
    assert REFUSED[name] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "COMMAND"),
        ("transcribe", "FILE"),
        ("transcribe a.wav --output-format docx", "docx"),
        ("transcribe a.wav --lang en", "--lang"),
        ("transcribe a.wav --min-speakers two", "two"),
        ("transcribe --highlight-words a.wav", "must be True or False"),
        ("transcribe a.wav --no_align --max_line_width 20", "--max-line-width"),
        ("transcribe a.wav --task translate --highlight_words True", "--highlight-words"),
        ("transcribe a/talk.wav b/talk.mp3", "`a/talk.wav` and `b/talk.mp3`"),
        ("transcribe a.wav a.wav", "`a.wav` and `a.wav`"),
        ("transcribe - -", "standard input"),
    ],
)
def test_wrong_usage(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments.split())
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert reason in message
    assert len(message.splitlines()) <= 3


def test_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONECARD_URL", raising=False)
    assert parse(["status"]).url == "localhost:8001"
    monkeypatch.setenv("ONECARD_URL", "card:9001")
    assert parse(["status"]).url == "card:9001"
    assert parse(["status", "--url", "other:1"]).url == "other:1"
