"""Decodes any media file, or raw PCM, to 16 kHz mono samples, and describes the source.

Samples are those of WhisperX's `load_audio` (`ffmpeg -ac 1 -ar 16000 -f s16le`): the same resampler
of FFmpeg (through PyAV) with its default settings. They differ where sound would be lost or moved:
a second recording in the file, a gap, a channel or a track that the usual mix leaves out, or speech
far below the level that models hear. The clip says what was done.
"""

from __future__ import annotations

import contextlib
import io
import mmap
from collections.abc import Iterator
from typing import BinaryIO

import av

from onecard import errors
from onecard.audio.clip import Choice, Clip, Limits, Wanted
from onecard.audio.containers import headers
from onecard.audio.containers.walker import Data
from onecard.audio.decoding import raw, separate
from onecard.audio.decoding.clipping import clipped, described
from onecard.audio.decoding.level import NO_CORRECTION
from onecard.audio.decoding.media import Media, Pass
from onecard.audio.decoding.mixdown import Mixdown, Seen, Treatment
from onecard.audio.decoding.order import CONVERT
from onecard.audio.decoding.timeline import MIN_EXACT_GAP_S
from onecard.audio.pcm import Blocks, Pcm, Sink, verify_duration
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest

# What a file may lack at its end and still be whole: encoder delay, a last partial packet, and
# rounding in headers. The largest of them, one 120 ms Opus packet, is well below it.
_SHORTFALL_S = 0.5
# A second pass mixes again, a third sets the level of that mix.
_MAX_PASSES = 3
# Blu-ray discs have at most 32 (BD-ROM, part 3); each that is listened to is another pass.
_MAX_TRACKS_TRIED = 32
# Sentences about gaps; the gaps themselves are all told.
_MAX_GAPS_TOLD = 20

_ANY, _ALL = Choice(), Wanted()

Source = bytes | BinaryIO  # a BinaryIO has a file descriptor; nothing of it is read before 0


def decode(data: bytes, limits: Limits, choice: Choice = _ANY) -> tuple[Pcm, Clip]:
    """PCM [num_samples] and what `decode_into` says of it."""
    blocks = Blocks()
    clip = decode_into(data, limits, blocks, choice)
    return blocks.pcm(), clip


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Whatever FFmpeg cannot do with a file, or with a number in it, is told to its sender.

    Raises InvalidRequest.
    """
    try:
        yield
    except MemoryError as error:
        raise InvalidRequest(
            f"AUDIO needs more memory than a recording may have ({errors.message(str(error), 80)});"
            f" {CONVERT}"
        ) from error
    except (av.error.FFmpegError, ValueError, ArithmeticError) as error:
        found = errors.message(f"{type(error).__name__}: {error}", 200)
        raise InvalidRequest(f"AUDIO cannot be decoded ({found}); {CONVERT}") from error


@_refusing()
def decode_into(
    source: Source, limits: Limits, sink: Sink, choice: Choice = _ANY, wanted: Wanted = _ALL
) -> Clip:
    """Decode a file of any container that FFmpeg knows; memory is that of one frame.

    Args:
        sink: gets samples at 16 kHz, mono, also those before an error.

    Returns:
        The source's properties.

    Raises:
        InvalidRequest: empty, not a media file, encrypted, without an audio stream or without
            samples, above a limit, or not whole where `choice` is strict; the message says which.
    """
    data, file = _opened(source, limits)
    media = Media(data, file, limits.max_audio_s, wanted.until_s)
    if choice.is_strict and media.cut is not None:
        raise InvalidRequest(f"AUDIO is cut off: {media.cut}; {headers.CUT}")
    warnings = media.warnings()
    target = sink if wanted.is_separate else clipped(sink, wanted.spans)
    done = _first_pass(media, media.track(choice.track, choice.language), choice, target)
    if media.num_tracks > 1 and choice.track is None:
        warnings.append(
            f"the file has {media.num_tracks} audio tracks ({media.tracks}); {done.track} was "
            "taken, `audio_track` chooses another"
        )
    if wanted.is_separate:

        def run(treatment: Treatment, to: Sink) -> Seen:
            return media.run(done.track, treatment, to).seen

        warnings += separate.write(run, done.channels, done.seen, limits, sink, wanted)
    else:
        done = _treated(media, done, target, warnings)
    missing_s = _missing_s(media, done, choice, warnings)
    gaps = tuple((round(a, 3), round(b, 3)) for a, b in done.gaps)
    start_s = gaps[0][1] if gaps and gaps[0][0] == 0 else 0.0
    if start_s:
        warnings.append(f"the sound begins {start_s:.2f} s after the picture; times count from it")
        gaps = gaps[1:]
    for a, b in gaps[:_MAX_GAPS_TOLD]:
        warnings.append(f"{a:.2f} to {b:.2f} s are not in the file (a gap or damage): silence")
    if len(gaps) > _MAX_GAPS_TOLD:
        warnings.append(f"so are {len(gaps) - _MAX_GAPS_TOLD} more parts; `gaps` has all of them")
    clip = Clip(
        duration_s=done.seen.num_samples / SAMPLE_RATE, sample_rate=done.sample_rate,
        channels=done.channels, container=done.container, codec=done.codec, track=done.track,
        num_tracks=media.num_tracks, start_s=start_s, missing_s=missing_s,
        gaps=gaps, warnings=tuple(warnings),
        num_separate=done.channels if wanted.is_separate else 0,
    )  # fmt: skip
    return described(clip, wanted.spans)


@_refusing()
def decode_raw(
    source: Source,
    encoding: str,
    sample_rate: int,
    channels: int,
    limits: Limits,
    sink: Sink,
    wanted: Wanted = _ALL,
) -> Clip:
    """Sound without a header: `encoding` is one of ENCODINGS, channels are interleaved.

    Raises:
        InvalidRequest: empty, not a whole number of frames, not finite, or above a limit.
    """

    def run(treatment: Treatment, to: Sink) -> Seen:
        mixdown = Mixdown(treatment, to)
        for frame in raw.frames(data, encoding, sample_rate, channels):
            mixdown.push(frame)
            if mixdown.seen.num_samples >= wanted.until_s * SAMPLE_RATE:
                break
        return mixdown.end()

    data, _ = _opened(source, limits)
    duration_s = raw.duration_s(len(data), encoding, sample_rate, channels)
    verify_duration(duration_s, limits.max_audio_s)
    if wanted.is_separate:
        seen = run(Treatment(), sink)
        warnings = separate.write(run, channels, seen, limits, sink, wanted)
    else:
        seen, warnings = _treated_raw(run, clipped(sink, wanted.spans))
    clip = Clip(
        seen.num_samples / SAMPLE_RATE, sample_rate, channels, "raw", encoding,
        warnings=tuple(warnings), num_separate=channels if wanted.is_separate else 0,
    )  # fmt: skip
    return described(clip, wanted.spans)


def _treated_raw(run: separate.Run, sink: Sink) -> tuple[Seen, list[str]]:
    """Decode as often as something is wrong with the mix or the level."""
    treatment = Treatment()
    for _ in range(_MAX_PASSES):
        seen = run(treatment, sink)
        following = _following(treatment, seen.treatment())
        if following == treatment:
            break
        treatment = following
        sink.restart()
    return seen, _told(treatment)


def _opened(source: Source, limits: Limits) -> tuple[Data, BinaryIO]:
    """The bytes of `source`, those of a file as a map of it, and `source` as a file."""
    if isinstance(source, bytes):
        _verify_size(len(source), limits)
        return source, io.BytesIO(source)
    _verify_size(source.seek(0, io.SEEK_END), limits)
    source.seek(0)
    return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ), source


def _verify_size(num_bytes: int, limits: Limits) -> None:
    if not num_bytes:
        raise InvalidRequest("AUDIO is empty (0 bytes), must hold an audio file; send its bytes")
    if num_bytes > limits.max_audio_bytes:
        raise InvalidRequest(
            f"AUDIO has {num_bytes} bytes, at most {limits.max_audio_bytes} are served; "
            "compress it (Opus or MP3 lose nothing that matters here), or split it"
        )


def _first_pass(media: Media, track: int, choice: Choice, sink: Sink) -> Pass:
    """The usual decoding of `track`, or of the first track that is not silent."""
    done = media.run(track, Treatment(), sink)
    if choice.track is not None or not done.seen.is_silent or media.num_tracks == 1:
        return done
    for other in range(min(media.num_tracks, _MAX_TRACKS_TRIED)):
        if other != track:
            sink.restart()
            found = media.run(other, Treatment(), sink)
            if not found.seen.is_silent:
                return found
    sink.restart()
    return media.run(track, Treatment(), sink)


def _treated(media: Media, done: Pass, sink: Sink, warnings: list[str]) -> Pass:
    """The track decoded again for as long as something is wrong with its mix or its level."""
    treatment = Treatment()
    for _ in range(_MAX_PASSES - 1):
        following = _following(treatment, done.seen.treatment())
        if following == treatment:
            break
        treatment = following
        sink.restart()
        done = media.run(done.track, treatment, sink)
    warnings += _told(treatment)
    return done


def _following(treatment: Treatment, wanted: Treatment) -> Treatment:
    """The treatment of the next pass; the mix is decided once, and the level once."""
    weights, reason = (
        (treatment.weights, treatment.reason)
        if treatment.weights
        else (wanted.weights, wanted.reason)
    )
    is_new = treatment.correction == NO_CORRECTION
    return Treatment(weights, wanted.correction if is_new else treatment.correction, reason)


def _told(treatment: Treatment) -> list[str]:
    found = [treatment.reason] if treatment.reason else []
    if treatment.correction.has_high_pass:
        found.append(
            "a hum or an offset is louder than the speech; what lies below 85 Hz was taken out"
        )
    if treatment.correction.gain_db:
        found.append(
            f"the recording is very quiet; it was made {treatment.correction.gain_db:g} dB louder"
        )
    return found


def _missing_s(media: Media, done: Pass, choice: Choice, warnings: list[str]) -> float:
    """Seconds that the file declares and does not hold.

    Raises:
        InvalidRequest: there is no sound at all, or something is missing where that is refused.
    """
    duration_s = done.seen.num_samples / SAMPLE_RATE
    if duration_s == 0:
        found = (
            f"none of its {done.num_bad} packets can be decoded" if done.num_bad else "it has none"
        )
        raise InvalidRequest(
            f"AUDIO is `{done.codec}` in `{done.container}`, but no sample of sound came out "
            f"({found}); send a file that plays"
        )
    reached_s = max(done.reached_s, duration_s)
    declared_s = done.declared_s or 0.0
    if media.cut is not None and media.cut.is_even:
        declared_s = max(declared_s, duration_s * media.cut.num_declared / media.cut.num_found)
    missing_s = declared_s - reached_s
    tolerance_s = MIN_EXACT_GAP_S if done.is_exact else _SHORTFALL_S
    if done.is_stopped or missing_s <= (0 if media.cut else tolerance_s):
        missing_s = 0.0
    what = [str(media.cut)] if media.cut and not done.is_stopped else []
    if missing_s:
        what.append(
            f"`{done.container}` declares {declared_s:.2f} s and the file ends after "
            f"{reached_s:.2f} s"
        )
    if what and choice.is_strict:
        raise InvalidRequest(f"AUDIO is cut off: {', '.join(what)}; {headers.CUT}")
    if what:
        warnings.append(f"the file is cut off: {', '.join(what)}; what is there was taken")
    if done.damage:
        if choice.is_strict and (done.gaps or duration_s < declared_s - _SHORTFALL_S):
            raise InvalidRequest(
                f"AUDIO is damaged: {done.damage}, which leaves {duration_s:.2f} of "
                f"{declared_s:.2f} s; {headers.CUT}"
            )
        warnings.append(f"the file is damaged: {done.damage}")
    return round(missing_s, 3)
