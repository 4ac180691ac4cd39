"""The options of `onecard transcribe`: WhisperX's names, and onecard's additions."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onecard_client import __version__
from onecard_client._cli import files_options, layout_options, whisperx_options
from onecard_client._cli.parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    add_verbosity,
    given,
    json_file,
    or_none,
    truth,
)
from onecard_client._output.names import local
from onecard_client.writers import ALL_FORMATS, WRITERS

# A longer chunk would be cut by Whisper's encoder; WhisperX loses what is behind it.
MAX_CHUNK_SIZE_S = 30.0

EPILOG = f"""\
Names are WhisperX's; dashes and underscores are the same. Options that are not given have the
server's defaults. Several files are under way at a time, the longest first, and one that fails does
not stop the others. Results appear under their final names only when they are complete.

Results of a folder, a pattern or a list lie below --output-dir as the files do. Such a run keeps a
journal there (transcribed.jsonl): whatever ended it, the same command goes on from there, and what
is done is not done again unless the file or the options have changed. What failed is in
failed.jsonl. With several --url a server that is gone leaves its files to the others.

  onecard transcribe recordings/ --include '*.mp3' -o out
  find /archive -name '*.wav' -print0 | onecard transcribe --files-from - --null -o out
  onecard transcribe --retry-failed -o out

exit codes: 0 every file is done, 1 some file failed, 2 wrong usage, 3 no server at the address,
130 interrupted

environment: {URL_VARIABLE} is the server's address if --url is not given
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE", type=local,
        help="audio or video, a folder of it, a quoted pattern such as 'calls/**/*.mp3', an "
        "http(s) address of one recording, or `-` for standard input",
    )  # fmt: skip
    _add_output(parser.add_argument_group("output"))
    files_options.add(parser.add_argument_group("many files"))
    group = parser.add_argument_group("request", "options of the server")
    add_request_options(group, REQUEST_OPTIONS)
    for name in ("align", "diarize"):
        group.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS,
            help=SWITCHES[name],
        )  # fmt: skip
    group.add_argument(
        "--vad-filter", type=truth, nargs="?", const=True, default=argparse.SUPPRESS,
        metavar="True|False", help=SWITCHES["vad_filter"],
    )  # fmt: skip
    group.add_argument(
        "--no-vad", "--no-vad-filter", dest="vad_filter", action="store_false",
        default=argparse.SUPPRESS, help="the same as --vad-filter False",
    )  # fmt: skip
    group.add_argument(
        "--speaker", type=_person, action="append", dest="voices", default=[],
        metavar="NAME=FILE", help="a name for who speaks in FILE, some seconds of one person; "
        "again for others (default: none)",
    )  # fmt: skip
    whisperx_options.add(parser)
    _add_versions(parser)


def _person(text: str) -> tuple[str, str]:
    """A name, and the recording of a voice."""
    name, _, file = text.partition("=")
    if not name.strip() or not file:
        raise argparse.ArgumentTypeError(
            f"`{text}` is given, must be NAME=FILE; as in `--speaker Ada=ada.wav`"
        )
    return name.strip(), local(file)


def _add_versions(parser: argparse.ArgumentParser) -> None:
    """WhisperX's, which print something and end."""
    for names, text in (
        (("--version", "-V"), f"onecard {__version__}"),
        (("--python-version", "-P"), f"Python {platform.python_version()}"),
    ):
        parser.add_argument(*names, action="version", version=text, help=argparse.SUPPRESS)


def request_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """The options that the caller gave and that are the server's to read."""
    switches = {name: value for name, value in vars(namespace).items() if name in SWITCHES}
    found = given(namespace, REQUEST_OPTIONS) | switches
    for name in ("best_of", "patience"):
        if found.get(name, 0) is None:  # WhisperX's way to leave it out
            del found[name]
    if "chunk_size" in found:
        found["chunk_size"] = min(found["chunk_size"], MAX_CHUNK_SIZE_S)
    return found


def choose(namespace: argparse.Namespace, models: Callable[[], Sequence[str]]) -> None:
    """Leaves out a `--model` that the server does not have: WhisperX's command lines name any.

    Args:
        models: asks for those that it has.
    """
    if (name := getattr(namespace, "model", None)) is None or name in (there := models()):
        return
    del namespace.model
    namespace.model_note = (
        f"without effect: --model {name} (the server has {', '.join(there) or 'one model'})"
    )


def notes(namespace: argparse.Namespace) -> list[str]:
    """Notes on a command's options to show before its work begins, a line each."""
    found = [whisperx_options.note(namespace), getattr(namespace, "model_note", None)]
    if getattr(namespace, "chunk_size", 0.0) > MAX_CHUNK_SIZE_S:
        found.append(
            f"--chunk-size {namespace.chunk_size:g}: is {MAX_CHUNK_SIZE_S:g}, the longest that "
            "Whisper's encoder takes"
        )
    return [line for line in found if line]


def verify(namespace: argparse.Namespace, error: Any) -> None:
    """Calls `error` with all that is wrong."""
    faults = list(files_options.faults(namespace))
    names = [name for name, _ in namespace.voices]
    faults += [
        f"--speaker {name} is given twice, must be one recording; leave one out"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if names and getattr(namespace, "diarize", True) is False:
        faults.append("--speaker is given with --no-diarize; leave one of them out")
    faults += layout_options.faults(namespace)
    if faults:
        error("\n".join(faults))


def _add_output(group: Any) -> None:
    group.add_argument(
        "--output-dir", "-o", type=Path, default=Path(), metavar="DIR",
        help="where results go; made if missing (default: here)",
    )  # fmt: skip
    group.add_argument(
        "--output-format", "-f", choices=("all", *WRITERS), default="all",
        help=f"`all` is {', '.join(ALL_FORMATS)} (default: all)",
    )  # fmt: skip
    layout_options.add(group)
    add_timeout(group, "one file")
    add_verbosity(group)


def _channels(text: str) -> int | str:
    """A number, or the word for each channel by itself."""
    return text if text == "separate" else int(text)


_channels.__name__ = "int"  # argparse puts it into its message

SWITCHES = {
    "align": "times for words (default: on)",
    "diarize": "tell speakers apart (default: on)",
    "vad_filter": "False takes all as speech (default: True)",
}
# The server's `TranscribeOptions`, but for those that can be switched off as well, and for
# `known_speakers`, which is made of --speaker. Choices and
# defaults are the server's too; a test holds both against it.
REQUEST_OPTIONS: RequestOptions = {
    "model": (
        str, "NAME",
        "the Whisper to use, of those that the server has; any other name is without effect "
        "(default: the server's first)",
    ),
    "language": (
        str, "LANGUAGE",
        "language spoken, by any tag, code or name, such as en, en-US, eng, English "
        "(default: detected)",
    ),
    "task": (str, "TASK", "transcribe, or translate into English (default: transcribe)"),
    "num_speakers": (int, "N", "how many speakers there are (default: found out)"),
    "min_speakers": (int, "N", "at least so many speakers (default: 1 or more)"),
    "max_speakers": (int, "N", "at most so many speakers (default: no limit)"),
    "speaker_embeddings": (bool, "", "one vector per speaker in the JSON"),
    "known_speaker_distance": (
        float, "X",
        "the largest cosine distance at which a voice of --speaker is found, 0 to 2 (default: "
        "the network's)",
    ),
    "initial_prompt": (str, "TEXT", "text that the speech continues (default: none)"),
    "hotwords": (str, "TEXT", "words to expect (default: none)"),
    "suppress_tokens": (
        str, "IDS",
        "token ids never to write, with commas between; -1 are those of no speech (default: -1)",
    ),
    "suppress_numerals": (bool, "", "write numbers as words"),
    "beam_size": (or_none(int), "N", "beams in the search, 1 to 16 (default: the plan's)"),
    "best_of": (or_none(int), "N", "candidates when sampling, 1 to 16 (default: 5)"),
    "temperature": (float, "T", "sampling temperature, 0 to 1 (default: 0)"),
    "temperature_increment_on_fallback": (
        or_none(float), "T",
        "raise the temperature by this when decoding fails; None for no second try "
        "(default: 0.2)",
    ),
    "length_penalty": (float, "X", "penalty for length in the search, 0 to 2 (default: 1)"),
    "repetition_penalty": (float, "X", "penalty for repetition, 0.5 to 2 (default: 1)"),
    "compression_ratio_threshold": (
        or_none(float), "X",
        "text that compresses better than this has failed; None for any (default: 2.4)",
    ),
    "logprob_threshold": (
        or_none(float), "X",
        "a lower average log-probability has failed; None for any (default: -1)",
    ),
    "no_speech_threshold": (
        or_none(float), "X",
        "a failed chunk with more than this is silence; None for none (default: 0.6)",
    ),
    "patience": (or_none(float), "X", "patience of the search, 0.1 to 10 (default: 1)"),
    "prefix": (str, "TEXT", "text that the transcript begins with (default: none)"),
    "max_new_tokens": (int, "N", "tokens of a chunk (default: as many as Whisper can write)"),
    "no_repeat_ngram_size": (
        int, "N", "no sequence of N tokens comes twice in a chunk; 0 for any (default: 0)"
    ),
    "condition_on_previous_text": (
        truth, "True|False",
        "decode each chunk after the one before, with its text as what came before; slower "
        "(default: False)",
    ),
    "without_timestamps": (
        truth, "True|False",
        "False cuts segments where Whisper writes times (default: True)",
    ),
    "multilingual": (
        truth, "True|False",
        "write each chunk in the language heard in it (default: True without --language)",
    ),
    "hallucination_silence_threshold": (
        or_none(float), "SECONDS",
        "drop improbable sentences with this much silence around them (default: none dropped)",
    ),
    "offset": (float, "SECONDS", "where the part to transcribe begins (default: 0)"),
    "duration": (float, "SECONDS", "how long that part is (default: to the end)"),
    "clip_timestamps": (
        str, "TIMES",
        "parts to transcribe: start,end,start,end in seconds, the last end may be missing "
        "(default: all of it)",
    ),
    "segments": (
        json_file, "FILE",
        "JSON list of segments, `start` and `end` of each in seconds, to take in place of speech "
        "detection (default: detected)",
    ),
    "vad_method": (str, "NAME", "what finds speech: pyannote or silero (default: pyannote)"),
    "vad_onset": (float, "X", "speech begins above this score (default: 0.5)"),
    "vad_offset": (float, "X", "speech ends below this score (default: 0.363)"),
    "chunk_size": (float, "SECONDS", "longest chunk given to Whisper, 1 to 30 (default: 30)"),
    "interpolate_method": (
        str, "NAME",
        "times of words without: nearest, linear or ignore (default: nearest)",
    ),
    "return_char_alignments": (bool, "", "times of characters in the JSON"),
    "encoding": (
        str, "NAME",
        "what a file without a header holds: pcm_ with s8, u8, s16le, s16be, u16le, u16be, "
        "s24le, s24be, s32le, s32be, f32le, f32be, f64le, f64be, mulaw or alaw behind it, "
        "or g722, g729, gsm, adpcm_ima_oki (default: auto, a file of any container; "
        "extensions of telephone systems such as .ulaw, .sln, .gsm decide it too)",
    ),
    "sample_rate": (
        int, "HZ", "with --encoding (default: 8000 for telephones' codings, 16000 for g722)"
    ),
    "channels": (
        _channels, "N",
        "with --encoding, 1 to 64 (default: 1 for telephones' codings); or `separate`, as below",
    ),
    "separate_channels": (bool, "", "transcribe each channel by itself, as one speaker"),
    "audio_track": (
        int, "N",
        "of several audio tracks, from 0 (default: the one that a player plays, or the one in "
        "--language)",
    ),
    "strict": (bool, "", "refuse a file that is cut off or damaged; else what is there is taken"),
    "formats": (
        str, "NAMES",
        "texts that the server puts into the JSON, such as srt,vtt; --output-format makes files "
        "(default: none)",
    ),
}  # fmt: skip
