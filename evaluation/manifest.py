"""What is transcribed and what is right: a manifest of JSON lines, or a folder of audio."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import rttm, textgrid
from evaluation.metrics import Turn
from evaluation.textgrid import WordTime

AUDIO_SUFFIXES = frozenset(
    {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".mp4", ".mkv", ".webm", ".aac"}
)
TEXT_SUFFIXES = (".txt", ".lab")
KEYS = ("audio", "id", "language", "text", "words", "turns", "rttm", "segments")


class ManifestError(ValueError):
    """A manifest, or what it names, cannot be used; says where, what was found, what is wanted."""


@dataclass(frozen=True)
class Entry:
    """A recording and what is known of it; None is not known, and not counted.

    Attributes:
        id: its name in the report.
        language: in which it is transcribed; None: to be detected.
        texts: what is said, in order; between two texts something may be said that is not known.
        words: with their times.
        turns: all of who speaks when.
        speakers: what each speaker says, all of it.
    """

    id: str
    audio: Path
    language: str | None = None
    texts: tuple[str, ...] | None = None
    words: tuple[WordTime, ...] | None = None
    turns: tuple[Turn, ...] | None = None
    speakers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: one speaker's, if that is known; its text, if that is."""

    start_s: float
    end_s: float
    speaker: str | None
    text: str | None


def read(path: Path) -> list[Entry]:
    """The entries of a folder or of a manifest. Raises ManifestError."""
    if path.is_dir():
        entries = _folder(path)
    elif path.is_file():
        entries = _lines(path)
    else:
        raise ManifestError(f"`{path}` is not there, wanted a folder of audio or a manifest")
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in seen:
            raise ManifestError(
                f"`{path}`: two recordings are called `{entry.id}` ({seen[entry.id].audio}, "
                f"{entry.audio}); give each an `id` of its own"
            )
        seen[entry.id] = entry
    return entries


def of_stretches(id: str, audio: Path, language: str | None, stretches: Sequence[Stretch]) -> Entry:
    """An entry from who says what when.

    Turns are known where every stretch has a speaker, and who said what where each has a text too.
    """
    turns = speakers = None
    if all(one.speaker is not None for one in stretches):
        turns = tuple(Turn(one.start_s, one.end_s, str(one.speaker)) for one in stretches)
        if all(one.text is not None for one in stretches):
            speakers = _joined(stretches)
    texts = _texts(stretches)
    return Entry(id, audio, language, texts or None, None, turns, speakers)


def _joined(stretches: Sequence[Stretch]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in stretches:
        name, text = str(one.speaker), str(one.text)
        found[name] = f"{found[name]} {text}" if name in found else text
    return found


def _texts(stretches: Sequence[Stretch]) -> tuple[str, ...]:
    """Neighbours' texts together; one that is not known parts them, at either end as well."""
    parts: list[list[str]] = [[]]
    for one in stretches:
        if one.text is None:
            parts.append([])
        else:
            parts[-1].append(one.text)
    return tuple(" ".join(part) for part in parts) if any(parts) else ()


def _folder(folder: Path) -> list[Entry]:
    """Audio with `<name>.txt` or `.lab`, `<name>.rttm`, `<name>.TextGrid` beside it."""
    entries = []
    for audio in sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES):
        where = str(audio)
        found = [audio.with_suffix(suffix) for suffix in TEXT_SUFFIXES]
        texts = [p.read_text(encoding="utf-8") for p in found if p.is_file()]
        talk, grid = audio.with_suffix(".rttm"), audio.with_suffix(".TextGrid")
        entries.append(
            Entry(
                id=str(audio.relative_to(folder).with_suffix("")),
                audio=audio,
                texts=tuple(texts[:1]) or None,
                words=_grid(grid, where) if grid.is_file() else None,
                turns=_rttm(talk, audio.stem, where) if talk.is_file() else None,
            )
        )
    if not entries:
        raise ManifestError(f"`{folder}` has no audio in it ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return entries


def _grid(path: Path, where: str) -> tuple[WordTime, ...]:
    try:
        return tuple(textgrid.read(path))
    except (ValueError, OSError) as error:
        raise ManifestError(f"{where}: {error}") from None


def _rttm(path: Path, name: str, where: str) -> tuple[Turn, ...]:
    try:
        found = rttm.read(path)
    except (ValueError, OSError) as error:
        raise ManifestError(f"{where}: {error}") from None
    if name not in found and len(found) != 1:
        raise ManifestError(f"{where}: `{path}` has turns of {sorted(found)}, wanted `{name}`")
    return found[name] if name in found else next(iter(found.values()))


def _lines(path: Path) -> list[Entry]:
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            entries.append(_entry(line, path.parent, f"`{path}`, line {number}"))
    if not entries:
        raise ManifestError(f"`{path}` is empty, wanted a JSON object in each line")
    return entries


def _entry(line: str, folder: Path, where: str) -> Entry:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ManifestError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ManifestError(f"{where} is a {type(found).__name__}, wanted a JSON object")
    odd = sorted(set(found) - set(KEYS))
    if odd:
        raise ManifestError(f"{where} has `{odd[0]}`, which means nothing; keys: {', '.join(KEYS)}")
    audio = folder / _string(found, "audio", where)
    if not audio.is_file():
        raise ManifestError(f"{where}: the audio `{audio}` is not there")
    id = _string(found, "id", where) if "id" in found else audio.stem
    language = _string(found, "language", where) if found.get("language") is not None else None
    parts = sorted({"text", "turns", "rttm"} & set(found))
    if "segments" in found:
        if parts:
            raise ManifestError(f"{where} has `segments` and `{parts[0]}`, wanted one of the two")
        stretches = _list(found, "segments", where, _stretch)
        entry = of_stretches(id, audio, language, stretches)
    elif {"turns", "rttm"} <= set(found):
        raise ManifestError(f"{where} has `turns` and `rttm`, wanted one of the two")
    else:
        entry = Entry(id, audio, language, _text(found, where), None, _turns(found, folder, where))
    words = tuple(_list(found, "words", where, _word)) if "words" in found else None
    return Entry(**{**vars(entry), "words": words})


def _text(found: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    return (_string(found, "text", where),) if "text" in found else None


def _turns(found: Mapping[str, Any], folder: Path, where: str) -> tuple[Turn, ...] | None:
    if "turns" in found:
        return tuple(_list(found, "turns", where, _turn))
    if "rttm" not in found:
        return None
    path = folder / _string(found, "rttm", where)
    if not path.is_file():
        raise ManifestError(f"{where}: the reference `{path}` is not there")
    return _rttm(path, Path(_string(found, "audio", where)).stem, where)


def _stretch(found: Mapping[str, Any], where: str) -> Stretch:
    start_s, end_s = _interval(found, where)
    speaker = _string(found, "speaker", where) if found.get("speaker") is not None else None
    text = _string(found, "text", where) if found.get("text") is not None else None
    return Stretch(start_s, end_s, speaker, text)


def _turn(found: Mapping[str, Any], where: str) -> Turn:
    return Turn(*_interval(found, where), _string(found, "speaker", where))


def _word(found: Mapping[str, Any], where: str) -> WordTime:
    end_s = _seconds(found, "end", where) if found.get("end") is not None else None
    return WordTime(_string(found, "word", where), _seconds(found, "start", where), end_s)


def _interval(found: Mapping[str, Any], where: str) -> tuple[float, float]:
    start_s, end_s = _seconds(found, "start", where), _seconds(found, "end", where)
    if end_s < start_s:
        raise ManifestError(f"{where} ends at {end_s}, before it starts at {start_s}")
    return start_s, end_s


def _list(
    found: Mapping[str, Any], key: str, where: str, parse: Callable[[Mapping[str, Any], str], Any]
) -> list[Any]:
    values = found[key]
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise ManifestError(f"{where}: `{key}` is `{_shown(values)}`, wanted a list of objects")
    return [parse(one, f"{where}, `{key}` {n}") for n, one in enumerate(values, start=1)]


def _string(found: Mapping[str, Any], key: str, where: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise ManifestError(f"{where}: `{key}` is `{_shown(value)}`, wanted a text")
    return value


def _seconds(found: Mapping[str, Any], key: str, where: str) -> float:
    value = found.get(key)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(str(value))) or float(str(value)) < 0:
        raise ManifestError(f"{where}: `{key}` is `{_shown(value)}`, wanted seconds, 0 or more")
    return float(str(value))


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]
