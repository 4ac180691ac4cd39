"""The six file formats that WhisperX writes, and NIST's turns of speakers, as texts.

txt, tsv, json and aud are WhisperX's to the byte; `subtitles` decides what stands in the cues of
srt and vtt. Without `whisperx_compat` line breaks inside a text become spaces, VTT's `<` and `&`
are escaped, and TSV's texts are no formulas.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onecard_formats.subtitles import SubtitleLayout, cues

if TYPE_CHECKING:
    from onecard_formats.transcript import Segment, Transcript

# With what a formula begins, in full width as well, as Japanese spreadsheets have it.
_FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_LINE_BREAKS = re.compile(r"[\r\n]+")


def srt(transcript: Transcript, layout: SubtitleLayout) -> str:
    blocks = (
        f"{number}\n{_time(cue.start_ms, ',')} --> {_time(cue.end_ms, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(cues(transcript, layout), start=1)
    )
    return "".join(blocks)


def vtt(transcript: Transcript, layout: SubtitleLayout) -> str:
    escape = str if layout.whisperx_compat else _escape_vtt
    blocks = (
        f"{_short_time(cue.start_ms)} --> {_short_time(cue.end_ms)}\n{cue.text}\n\n"
        for cue in cues(transcript, layout, escape)
    )
    return "WEBVTT\n\n" + "".join(blocks)


def txt(transcript: Transcript, layout: SubtitleLayout) -> str:
    return "".join(
        f"[{segment.speaker}]: {_line(segment, layout)}\n"
        if segment.speaker is not None
        else f"{_line(segment, layout)}\n"
        for segment in transcript.segments
    )


def tsv(transcript: Transcript, layout: SubtitleLayout) -> str:
    guard = str if layout.whisperx_compat else _guard
    rows = (
        f"{round(1000 * segment.start)}\t{round(1000 * segment.end)}"
        f"\t{guard(_cell(segment, layout))}\n"
        for segment in transcript.segments
    )
    return "start\tend\ttext\n" + "".join(rows)


def aud(transcript: Transcript, layout: SubtitleLayout) -> str:
    return "".join(
        f"{segment.start}\t{segment.end}\t{_label(segment)}{_cell(segment, layout)}\n"
        for segment in transcript.segments
    )


def rttm(transcript: Transcript, layout: SubtitleLayout) -> str:
    """Turns as NIST's Rich Transcription Time Marked, which programs score; none: no line.

    https://web.archive.org/web/20170119114252/http://www.itl.nist.gov/iad/mig/tests/rt/2009/docs/rt09-meeting-eval-plan-v2.pdf
    (appendix A)
    """
    return "".join(
        f"SPEAKER audio 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} "
        "<NA> <NA>\n"
        for turn in transcript.turns or ()
    )


def json(transcript: Transcript, layout: SubtitleLayout) -> str:
    return transcript.to_json()


Writer = Callable[[Any, SubtitleLayout], str]  # of a `transcript.Transcript`
# By file name extension. WhisperX's `all` leaves Audacity's labels out.
WRITERS: dict[str, Writer] = {
    "txt": txt,
    "vtt": vtt,
    "srt": srt,
    "tsv": tsv,
    "json": json,
    "aud": aud,
    "rttm": rttm,
}
ALL_FORMATS = ("txt", "vtt", "srt", "tsv", "json")


def _line(segment: Segment, layout: SubtitleLayout) -> str:
    text = segment.text.strip()
    return text if layout.whisperx_compat else _LINE_BREAKS.sub(" ", text)


def _cell(segment: Segment, layout: SubtitleLayout) -> str:
    return _line(segment, layout).replace("\t", " ")


def _guard(cell: str) -> str:
    """A text that a spreadsheet would take for a formula behind an apostrophe, which it hides.

    OWASP's cure of CSV injection (CWE-1236).
    """
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def _label(segment: Segment) -> str:
    return f"[[{segment.speaker}]]" if segment.speaker is not None else ""


def _escape_vtt(text: str) -> str:
    """https://www.w3.org/TR/webvtt1/#webvtt-cue-text-span"""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _short_time(time_ms: int) -> str:
    """Without the hours while there are none."""
    text = _time(time_ms, ".")
    return text if time_ms >= 3_600_000 else text[3:]


def _time(time_ms: int, decimal_mark: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal_mark}{milliseconds:03d}"
