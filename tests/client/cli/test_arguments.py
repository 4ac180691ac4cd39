"""The command line's options against WhisperX's and the server's."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import typing
from pathlib import Path

import pytest

from onecard.chat.options import ChatOptions
from onecard.options.names import SAME
from onecard.options.transcribe import TranscribeOptions
from onecard.triage.options import TriageOptions
from onecard_client._cli import chat_command, layout_options, triage_command
from onecard_client._cli.arguments import parse
from onecard_client._cli.parser import OTHER_NAMES, given
from onecard_client._cli.transcribe_options import REQUEST_OPTIONS, SWITCHES, notes, request_options
from onecard_client._cli.whisperx_options import TAKEN
from onecard_client.subtitles import SubtitleLayout


def whisperx_options() -> set[str]:
    """The names in WhisperX's own parser, read from its source: importing it takes seconds."""
    spec = importlib.util.find_spec("whisperx")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).with_name("__main__.py").read_text()
    return set(re.findall(r'add_argument\("(--[\w-]+)"', source))


def test_every_whisperx_option_is_taken() -> None:
    names = {name[2:].replace("-", "_") for name in whisperx_options()}
    assert len(names) > 40
    taken = set(vars(parse(["transcribe", "a.wav"]))) | set(REQUEST_OPTIONS) | set(SWITCHES)
    # --no_align is --align's other half; the last two print versions
    assert names - taken - set(TAKEN) == {"no_align", "version", "python_version"}


def test_every_option_of_the_server_has_one_here() -> None:
    fields = {field.name for field in dataclasses.fields(TranscribeOptions)}
    assert set(REQUEST_OPTIONS) | set(SWITCHES) | {"known_speakers"} == fields  # by --speaker


PCM = {"encoding": "pcm_s16le", "sample_rate": 8000, "channels": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("--language en", {"language": "en"}),
        ("--language German", {"language": "German"}),
        ("--language None", {"language": "None"}),
        ("--min_speakers 2 --max-speakers=3", {"min_speakers": 2, "max_speakers": 3}),
        ("--no_align", {"align": False}),
        ("--no-align --align", {"align": True}),
        ("--diarize", {"diarize": True}),
        ("--no_diarize", {"diarize": False}),
        ("--speaker_embeddings", {"speaker_embeddings": True}),
        ("--speaker A=a.wav --known-speaker-distance 0.2", {"known_speaker_distance": 0.2}),
        ("--suppress-numerals", {"suppress_numerals": True}),
        ("--return_char_alignments", {"return_char_alignments": True}),
        ("--beam_size None", {"beam_size": None}),
        ("--temperature_increment_on_fallback None", {"temperature_increment_on_fallback": None}),
        ("--suppress_tokens -1 --temperature 0.2", {"suppress_tokens": "-1", "temperature": 0.2}),
        ("--suppress_tokens -1,50", {"suppress_tokens": "-1,50"}),
        ("--best_of None", {}),
        ("--no-vad", {"vad_filter": False}),
        ("--vad_filter False", {"vad_filter": False}),
        ("--vad-filter", {"vad_filter": True}),
        ("--strict --audio_track 1", {"strict": True, "audio_track": 1}),
        ("--chunk_size 60", {"chunk_size": 30.0}),
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


def test_voices_have_names_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = "transcribe talk.wav --speaker Ada=ada=1.wav --speaker Bob=b.wav"
    assert parse(line.split()).voices == [("Ada", "ada=1.wav"), ("Bob", "b.wav")]
    for wrong in ("--speaker Ada", "--speaker =a.wav", "--speaker Bob=c.wav", "--no-diarize"):
        with pytest.raises(SystemExit):
            parse([*line.split(), *wrong.split()])
        assert "--speaker" in capsys.readouterr().err


def test_layout_options() -> None:
    line = "--max_line_width 42 --max-line-count None --highlight_words True -f aud -o out a.wav"
    namespace = parse(["transcribe", *line.split()])
    assert (namespace.max_line_width, namespace.max_line_count) == (42, None)
    assert namespace.highlight_words is True
    assert (namespace.output_format, namespace.output_dir) == ("aud", Path("out"))


def test_numbers_of_subtitles_are_options() -> None:
    plain = parse(["transcribe", "a.wav"])
    assert layout_options.layout(plain) == SubtitleLayout()
    line = "--reading_speed 20 --min-cue-duration 1 --max-cue-duration 6.5 --min-cue-gap 0.12"
    told = parse(["transcribe", "a.wav", *line.split()])
    assert layout_options.layout(told) == SubtitleLayout(
        chars_per_s=20, min_duration_s=1, max_duration_s=6.5, min_gap_s=0.12
    )


def test_nothing_behind_a_double_dash_is_an_option() -> None:
    assert parse(["transcribe", "--", "--my_file.wav"]).files == ["--my_file.wav"]


def shown(value: object) -> str:
    """As help writes a default."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_help_names_the_servers_choices_and_defaults() -> None:
    hints = typing.get_type_hints(TranscribeOptions)
    for field in dataclasses.fields(TranscribeOptions):
        if field.name == "known_speakers":
            continue
        text = SWITCHES.get(field.name) or REQUEST_OPTIONS[field.name][2]
        if field.default is None:
            assert "(default: " in text, field.name
        elif field.default is True:
            assert "(default: on)" in text or "(default: True)" in text, field.name
        elif field.default is not False:  # a flag is off unless it is given
            assert re.search(rf"\(default: {re.escape(shown(field.default))}[,)]", text), field.name
        for choice in typing.get_args(hints[field.name]):
            if isinstance(choice, str):
                assert choice.removeprefix("pcm_") in text, field.name


@pytest.mark.parametrize(
    "arguments",
    [
        "--model large-v2 --device cuda --compute_type float16 --batch_size 8 --hf_token secret",
        "--model=large-v3 --model_dir /m --model_cache_only True --device_index 0 --threads 4",
        "--align_model X --diarize_model Y --fp16 True --log-level info --diarize",
        "--patience 1.0 --condition_on_previous_text False --segment_resolution sentence",
        "--patience None --suppress_tokens -1,50 --best_of None --beam_size None --chunk_size 60 "
        "--threads 0",
    ],
)
def test_a_whisperx_command_line_works(arguments: str) -> None:
    namespace = parse(["transcribe", "a.wav", *arguments.split()])
    TranscribeOptions(**request_options(namespace))
    said = notes(namespace)
    assert [line.startswith("without effect: --") for line in said][:1] == [True]
    assert len(said) == 1 + ("--chunk_size 60" in arguments)
    assert "secret" not in said[0]
    for option in re.findall(r"--([\w-]+)", arguments):
        is_ours = option in REQUEST_OPTIONS or option == "diarize"
        assert is_ours or "--" + option.replace("_", "-") in said[0]


def test_a_command_without_them_says_nothing() -> None:
    assert notes(parse(["transcribe", "a.wav", "--diarize", "--chunk_size", "30"])) == []


def test_the_controls_of_other_programs_reach_the_server() -> None:
    line = (
        "--patience 2 --condition_on_previous_text True --max_new_tokens 5 --channels separate "
        "--without_timestamps False --offset 1.5 --no_repeat_ngram_size 3 --formats srt,vtt"
    )
    found = request_options(parse(["transcribe", "a.wav", *line.split()]))
    options = TranscribeOptions(**found)
    assert (options.patience, options.max_new_tokens, options.no_repeat_ngram_size) == (2, 5, 3)
    assert (options.condition_on_previous_text, options.without_timestamps) == (True, False)
    assert (options.separate_channels, options.offset) == (True, 1.5)
    assert options.formats == ["srt", "vtt"]


@pytest.mark.parametrize("option", ["-V", "--version", "-P", "--python-version"])
def test_versions(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["transcribe", option])
    assert ended.value.code == 0
    assert re.search(r"\d+\.\d+", capsys.readouterr().out)


def test_all_that_is_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = "--segment_resolution chunk --xyzzy 1 --suppress_blank 5"
    line += " --word_timestamps True --no_align --highlight_words True"
    with pytest.raises(SystemExit) as ended:
        parse(["transcribe", "a.wav", *line.split()])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    for part in (
        "`--segment-resolution chunk` cannot be had",
        "`--xyzzy` is not an option here; `onecard transcribe --help` lists all",
        "`--suppress-blank` is not an option here; ",
        "`--word-timestamps` is not an option here; it is `--align` here",
        "`--highlight-words` needs the times of words",
    ):
        assert part in said


def test_other_names_are_the_servers_too() -> None:
    for other, ours in OTHER_NAMES.items():
        assert SAME[other] == ours.replace("-", "_")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "COMMAND"),
        ("transcribe", "FILE"),
        ("transcribe a.wav --output-format docx", "docx"),
        ("transcribe a.wav --lang en", "`--lang` is not an option here; it is `--language`"),
        ("transcribe a.wav --langage en", "did you mean `--language`"),
        ("transcribe a.wav --max_speaker=2", "did you mean `--max-speakers`"),
        ("transcribe a.wav --xyzzy", "`onecard transcribe --help` lists all"),
        ("chat --max_token 5 Hello", "did you mean `--max-tokens`"),
        ("chat --json-schema no-such-file Hello", "must be a file of JSON"),
        ("triage a.eml --no_draft", "did you mean `--no-drafts`"),
        ("triage a.eml --instructions @no-such-file", "must be a text or `@` and a file"),
        ("triage", "no PATH is given"),
        ("triage - -", "standard input"),
        ("triage --watch .", "must be a Maildir"),
        ("triage a.eml --interval 0", "must be more than 0"),
        ("triage a.eml -o no/such/folder", "must be a file in a folder that exists"),
        ("status now", "`now` is one argument too many"),
        ("transcribe a.wav --min-speakers two", "two"),
        ("transcribe --highlight-words a.wav", "must be True or False"),
        ("transcribe a.wav --no_align --highlight_words True", "--highlight-words"),
        ("transcribe a.wav --no_align --max_line_width 20 --whisperx-compat", "--max-line-width"),
        ("transcribe a.wav --task translate --highlight_words True", "--highlight-words"),
        ("transcribe - -", "standard input"),
        ("transcribe a.wav --reading-speed 0", "must be a number of at least 1"),
        ("transcribe a.wav --reading-speed nan", "must be a number of at least 1"),
        ("transcribe a.wav --max-cue-duration inf", "must be a number of at least 0.1"),
        ("transcribe a.wav --min-cue-duration 8", "the longest 7 s"),
        ("transcribe a.wav --min-cue-gap 1 --whisperx-compat", "means nothing to WhisperX"),
    ],
)
def test_wrong_usage(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments.split())
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert reason in message
    assert len(message.splitlines()) <= 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("--max_tokens 5 --temperature 0", {"max_tokens": 5, "temperature": 0.0}),
        ("--top_p 0.5 --top-k 7 --seed 3", {"top_p": 0.5, "top_k": 7, "seed": 3}),
        ("--priority low --min_tokens 2", {"priority": "low", "min_tokens": 2}),
    ],
)
def test_what_of_a_chat_reaches_the_server(arguments: str, expected: dict[str, object]) -> None:
    namespace = parse(["chat", "Hello", *arguments.split()])
    assert given(namespace, chat_command.REQUEST_OPTIONS) == expected


def test_what_of_a_triage_reaches_the_server(tmp_path: Path) -> None:
    (tmp_path / "who.txt").write_text("We sell shoes.\n")
    line = ["--categories", "bill, spam,", "--priorities", "now,later", "--mails_per_call", "3"]
    line += ["--instructions", f"@{tmp_path / 'who.txt'}", "--confidence_threshold", "0.25"]
    namespace = parse(["triage", "a.eml", *line])
    assert given(namespace, triage_command.REQUEST_OPTIONS) == {
        "categories": ["bill", "spam"],
        "priorities": ["now", "later"],
        "mails_per_call": 3,
        "instructions": "We sell shoes.\n",
        "confidence_threshold": 0.25,
    }


def test_every_option_of_chat_and_triage_has_one_here() -> None:
    fields = {field.name for field in dataclasses.fields(ChatOptions)}
    elsewhere = {"stop", "response_format"}  # --stop, --json-schema
    # other names, tokens' ids, and ways of sending: nothing that a person types
    for_programs = {"max_completion_tokens", "logit_bias", "stop_token_ids", "stream"}
    for_programs |= {"continue_final_message", "parallel_tool_calls", "tool_choice", "tools"}
    assert set(chat_command.REQUEST_OPTIONS) == fields - elsewhere - for_programs
    fields = {field.name for field in dataclasses.fields(TriageOptions)}
    assert set(triage_command.REQUEST_OPTIONS) == fields - {"drafts", "stream"}


def test_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONECARD_URL", raising=False)
    assert parse(["status"]).url == "localhost:8001"
    monkeypatch.setenv("ONECARD_URL", "card:9001")
    assert parse(["status"]).url == "card:9001"
    assert parse(["status", "--url", "other:1"]).url == "other:1"
