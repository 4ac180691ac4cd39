"""Mixes frames of any rate and number of channels to 16 kHz mono, and notes what it saw.

The usual mix is FFmpeg's (`-ac 1 -ar 16000`), as in WhisperX. It has three faults: it leaves out
channels (of three microphones the third, which it takes for a subwoofer), it refuses more than
eight, and two channels may cancel each other. If a channel with sound would be lost, the mix is
made here instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from onecard.audio.decoding.level import NO_CORRECTION, Correction, Corrector, Floats, Meter, finite
from onecard.audio.pcm import Pcm, Sink, verify_rate
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest

# Of the loudest channel's power: below it a channel has crosstalk and hiss.
_HEARD = 1e-4
_HEARD_POWER = 1e-8  # -80 dBFS
# A channel whose sound lies below is a subwoofer's.
_MIN_VOICE_HZ = 200.0
_MAX_CORRELATION = -0.5
_MAX_PLANES = 8  # of which PyAV 18 gives fewer than there are
_MEASURED_SHARE = 8  # one frame of this many
_SILENCE_BLOCK = 10 * SAMPLE_RATE  # samples of silence made at once
# Changes of rate or layout, per recording and per second of it; each makes a new resampler.
_MAX_CHANGES = 20


@dataclass(frozen=True)
class Treatment:
    """How a recording is mixed: `weights` of its channels, or FFmpeg's mix; and its level."""

    weights: tuple[float, ...] = ()
    correction: Correction = NO_CORRECTION
    reason: str = ""  # of the weights


@dataclass
class Channels:
    """Powers of the channels of a recording, over a part of its samples."""

    num_samples: int = 0
    rate: int = 0
    power: Any = None  # [channels] summed squares
    steps: Any = None  # [channels] summed squares of differences from sample to sample
    product: float = 0.0  # of two channels

    def push(self, values: Floats, rate: int) -> None:
        """[channels, n] samples."""
        if self.power is None or len(self.power) < len(values):  # the widest layout decides
            self.power, self.steps = np.zeros((2, len(values)))
            self.num_samples, self.product = 0, 0.0
        if len(self.power) != len(values):
            return
        self.rate = rate
        self.num_samples += values.shape[1]
        self.power += np.einsum("cn,cn->c", values, values, dtype=np.float64)
        if len(values) == 2:
            self.product += float(np.dot(values[0], values[1]))
        else:
            steps = np.diff(values, axis=1)
            self.steps += np.einsum("cn,cn->c", steps, steps, dtype=np.float64)

    @property
    def has_sound(self) -> bool:
        return bool(self.num_samples and (self.power / self.num_samples > _HEARD_POWER).any())

    def weights(self, usual: tuple[float, ...] | None) -> tuple[tuple[float, ...], str]:
        """The mix that loses nothing, and why; () where the `usual` one does not."""
        if self.power is None or not self.num_samples:
            return (), ""
        if len(self.power) == 2:
            return self._out_of_phase()
        heard = self._heard()
        lost = [i for i in np.flatnonzero(heard) if usual is None or abs(usual[i]) < 1e-3]
        if not lost:
            return (), ""
        names = ", ".join(str(i + 1) for i in lost)
        why = f"the usual mix of {len(heard)} channels leaves out channel {names}"
        if usual is None:
            why = f"there is no usual mix of {len(heard)} channels"
        share = 1 / int(heard.sum())
        return tuple(float(share * h) for h in heard), f"{why}; all with sound were mixed"

    def _heard(self) -> npt.NDArray[np.bool_]:
        power = self.power / self.num_samples
        heard: npt.NDArray[np.bool_] = power > max(_HEARD * power.max(), _HEARD_POWER)
        hz = self.rate / (2 * np.pi) * np.sqrt(self.steps / np.maximum(self.power, 1e-12))
        with_voice = heard & (hz > _MIN_VOICE_HZ)
        return with_voice if with_voice.any() else heard

    def _out_of_phase(self) -> tuple[tuple[float, ...], str]:
        both = float(np.sqrt(self.power[0] * self.power[1]))
        if not both or self.product / both > _MAX_CORRELATION:
            return (), ""
        better = int(np.argmax(self.power))
        return (
            (float(better == 0), float(better == 1)),
            "its two channels are in opposite phase and cancel each other in the mix; the louder "
            f"one, the {('left', 'right')[better]}, was taken alone",
        )


@dataclass
class Seen:
    """Findings of a pass over a recording."""

    channels: Channels = field(default_factory=Channels)
    meter: Meter = field(default_factory=Meter)
    num_samples: int = 0  # at 16 kHz
    num_channels: int = 0
    usual: tuple[float, ...] | None = (1.0,)

    @property
    def is_silent(self) -> bool:
        """Whether no channel has anything that anybody could hear."""
        return self.meter.is_silent and not self.channels.has_sound

    def treatment(self) -> Treatment:
        """The treatment for a second pass; the usual one if nothing is wrong with this one.

        The level of a new mix is known only after it was made.
        """
        weights, reason = self.channels.weights(self.usual)
        correction = NO_CORRECTION if weights else self.meter.correction()
        return Treatment(weights, correction, reason)


class Mixdown:
    """Makes samples of frames.

    Raises (by `push`):
        InvalidRequest: a rate at which nobody records speech, or one change of it after the other.
        ValueError: a frame is of a format that nobody knows.
    """

    def __init__(self, treatment: Treatment, sink: Sink) -> None:
        self.seen = Seen()
        self._treatment = treatment
        self._sink = sink
        self._resampler: Any = None
        self._form: tuple[Any, ...] = ()
        self._num_changes = 0
        self._num_channels = 0
        self._num_frames = 0  # of this form
        self._is_plain = treatment == Treatment()
        self._corrector = Corrector(treatment.correction)

    def push(self, frame: Any) -> None:
        frame.pts = None
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:  # a stream may change its rate or layout on the way
            verify_rate(frame.sample_rate)
            self._flush()
            self._verify_changes()
            self._form = form
            self._num_channels = frame.layout.nb_channels
            self._num_frames = 0
            self._resampler = self._new_resampler(frame)
        if self._num_channels > 1 and not self._treatment.weights:
            if self._num_frames % _MEASURED_SHARE == 0:
                self.seen.channels.push(planes(frame), frame.sample_rate)
            self._num_frames += 1
        if self._treatment.weights:
            frame = _mixed(frame, self._treatment.weights)
        if self._resampler is not None:
            self._drain(frame)

    def silence(self, duration_s: float) -> None:
        self._flush()
        self._form = ()
        num_left = round(duration_s * SAMPLE_RATE)
        for num_samples in [_SILENCE_BLOCK] * (num_left // _SILENCE_BLOCK):
            self._write(np.zeros(num_samples, np.int16))
        self._write(np.zeros(num_left % _SILENCE_BLOCK, np.int16))

    def end(self) -> Seen:
        self._flush()
        return self.seen

    def _verify_changes(self) -> None:
        self._num_changes += 1
        heard_s = self.seen.num_samples / SAMPLE_RATE
        if self._num_changes > _MAX_CHANGES * (1 + heard_s):
            raise InvalidRequest(
                f"AUDIO changes its sample rate or its channels {self._num_changes} times in "
                f"{heard_s:.1f} s, at most {_MAX_CHANGES} times a second are served; convert it to "
                "one rate"
            )

    def _new_resampler(self, frame: Any) -> Any:
        num_channels = frame.layout.nb_channels
        kind = "s16" if self._is_plain else "flt"
        if num_channels > 2 and not self._treatment.weights:
            if num_channels >= self.seen.num_channels:
                self.seen.usual = usual_weights(frame)
            if self.seen.usual is None:  # only measured; a second pass mixes
                self.seen.num_channels = num_channels
                return None
        self.seen.num_channels = max(self.seen.num_channels, num_channels)
        return av.AudioResampler(format=kind, layout="mono", rate=SAMPLE_RATE)

    def _flush(self) -> None:
        if self._resampler is not None:
            self._drain(None)
        self._resampler = None

    def _drain(self, frame: Any) -> None:
        for done in self._resampler.resample(frame):
            block = done.to_ndarray()[0]
            self._write(block if self._is_plain else self._corrector.apply(block))

    def _write(self, block: Pcm) -> None:
        self.seen.meter.push(block)
        self.seen.num_samples += len(block)
        self._sink.write(block)


def planes(frame: Any) -> Floats:
    """[channels, n] of a frame in [-1, 1)."""
    if frame.format.is_planar and frame.layout.nb_channels >= _MAX_PLANES:
        form = {"format": "flt", "layout": frame.layout.name, "rate": frame.sample_rate}
        (frame,) = av.AudioResampler(**form).resample(frame)
    found: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        found = found.reshape(-1, frame.layout.nb_channels).T
    if found.dtype == np.uint8:
        return np.asarray((found - np.float32(128)) / 128, np.float32)
    if found.dtype.kind == "i":
        return np.asarray(found / -float(np.iinfo(found.dtype).min), np.float32)
    return finite(found)


def usual_weights(frame: Any) -> tuple[float, ...] | None:
    """The share of each channel in FFmpeg's mono mix; None if FFmpeg makes no such mix."""
    num_channels = frame.layout.nb_channels
    weights = []
    for channel in range(num_channels):
        values = np.zeros((2048, num_channels), np.float32)
        values[:, channel] = 0.5
        probe = av.AudioFrame.from_ndarray(values.reshape(1, -1), "flt", frame.layout.name)
        probe.sample_rate = SAMPLE_RATE
        try:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            mixed = np.concatenate([done.to_ndarray()[0] for done in resampler.resample(probe)])
        except (av.error.FFmpegError, ValueError):
            return None
        weights.append(float(mixed[len(mixed) // 2]) * 2)
    return tuple(weights)


def _mixed(frame: Any, weights: tuple[float, ...]) -> Any:
    """A mono frame of floats; a frame with other channels than the `weights` is mixed evenly."""
    values = planes(frame)
    if len(values) != len(weights):
        weights = (1 / len(values),) * len(values)
    mono = np.asarray(weights, np.float32) @ values
    mixed = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono[None]), "flt", "mono")
    mixed.sample_rate = frame.sample_rate
    return mixed
