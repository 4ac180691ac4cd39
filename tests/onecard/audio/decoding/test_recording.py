"""Decoding against independent references, and every way in which a file can be wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from onecard import audio
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, tone, wav, write

ANY = audio.Choice()
STRICT = audio.Choice(is_strict=True)

# container, codec, sample rate, channels, options of the muxer
FORMATS = [
    ("wav", "pcm_s16le", 44_100, 2, {}),
    ("flac", "flac", 48_000, 1, {}),
    ("mp3", "libmp3lame", 44_100, 2, {}),
    ("ogg", "libopus", 48_000, 1, {}),
    ("mp4", "aac", 44_100, 2, {}),
    ("mp4", "aac", 44_100, 1, {"movflags": "frag_keyframe+empty_moov"}),
    ("matroska", "libopus", 48_000, 1, {}),
    ("avi", "libmp3lame", 44_100, 1, {}),
    ("aiff", "pcm_s16be", 16_000, 1, {}),
]
# These say nothing of their duration; what is left of them is decoded.
SILENT_ABOUT_DURATION = [("adts", "aac", 44_100, 1, {}), ("ac3", "ac3", 48_000, 6, {})]


def decode_raw(data: bytes, *form: object) -> tuple[np.ndarray, audio.Clip]:
    blocks = audio.Blocks()
    clip = audio.decode_raw(data, *form, blocks)  # type: ignore[call-arg]
    return blocks.pcm(), clip


class Sizes(audio.Blocks):
    """Keeps the sizes of its blocks as well."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, block: np.ndarray) -> None:
        self.sizes.append(len(block))
        super().write(block)


def refused(data: bytes, limits: audio.Limits = LIMITS, choice: audio.Choice = ANY) -> str:
    with pytest.raises(InvalidRequest) as caught:
        audio.decode(data, limits, choice)
    return str(caught.value)


def test_16_khz_mono_wav_is_decoded_bit_for_bit() -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 16_001).astype(np.int16)
    decoded, clip = audio.decode(wav(pcm), LIMITS)
    assert np.array_equal(decoded, pcm)
    assert clip == audio.Clip(16_001 / 16_000, 16_000, 1, "wav", "pcm_s16le")


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_resampling_and_downmix_agree_with_scipy(rate: int) -> None:
    rng = np.random.default_rng(1)
    low_pass = scipy.signal.firwin(201, 3_000, fs=rate)
    stereo = [scipy.signal.lfilter(low_pass, 1, rng.normal(0, 6_000, 2 * rate)) for _ in range(2)]
    data = wav(np.stack(stereo, 1).astype(np.int16), rate, 2)
    decoded, clip = audio.decode(data, LIMITS)
    wanted = scipy.signal.resample_poly((stereo[0] + stereo[1]) / 2, 16_000, rate)
    inner = slice(800, len(wanted) - 800)  # filters differ at the ends
    error = decoded[: len(wanted)][inner] - wanted[inner]
    assert abs(len(decoded) - len(wanted)) <= 1
    assert (clip.channels, clip.sample_rate) == (2, rate)
    assert np.sqrt(np.mean(error**2)) < 0.005 * np.sqrt(np.mean(wanted[inner] ** 2))


@pytest.mark.parametrize("form", FORMATS + SILENT_ABOUT_DURATION, ids=lambda form: form[0])
def test_every_container_gives_the_sound_that_was_put_in(form) -> None:
    container, _, rate, channels, _ = form
    decoded, clip = audio.decode(write(*form), LIMITS)
    assert clip.duration_s == len(decoded) / 16_000
    assert abs(clip.duration_s - 4.0) < 0.1
    assert (clip.sample_rate, clip.channels) == (rate, channels)
    assert container in clip.container or container == "adts"
    spectrum = np.abs(np.fft.rfft(decoded[16_000:48_000] * np.hanning(32_000)))
    assert abs(np.argmax(spectrum) / 2 - 440) <= 1


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form[0])
@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_cut_file_is_refused_where_that_is_asked_for(form, kept: float) -> None:
    data = write(*form)
    message = refused(data[: int(len(data) * kept)], choice=STRICT)
    assert "cut off" in message
    assert "send the whole file" in message


@pytest.mark.parametrize("form", SILENT_ABOUT_DURATION, ids=lambda form: form[0])
def test_a_stream_without_a_duration_gives_what_is_there(form) -> None:
    data = write(*form)
    decoded, _ = audio.decode(data[: len(data) // 2], LIMITS)
    assert 1.5 < len(decoded) / 16_000 < 2.5


def test_a_variable_bit_rate_estimate_is_no_declared_duration() -> None:
    data = write("mp3", "libmp3lame", 44_100, 1, {"write_xing": "0"})
    decoded, _ = audio.decode(data, LIMITS)
    assert abs(len(decoded) / 16_000 - 4.0) < 0.1


def test_a_wav_header_that_was_streamed_is_not_taken_at_its_word() -> None:
    data = bytearray(wav(tone(2.0, 16_000)))
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert len(audio.decode(bytes(data), LIMITS)[0]) == 32_000


def test_a_video_that_goes_on_after_its_sound_is_whole() -> None:
    data = write("matroska", "libopus", 48_000, 1, {}, duration_s=2.0, video_s=6.0)
    assert abs(len(audio.decode(data, LIMITS)[0]) / 16_000 - 2.0) < 0.1


def test_empty() -> None:
    assert "is empty" in refused(b"")


@pytest.mark.parametrize(
    "data",
    [b"hello, world\n" * 500, b"%PDF-1.7\n" + bytes(5_000), bytes(5_000),
     np.random.default_rng(0).bytes(100_000)],
    ids=["text", "pdf", "zeros", "noise"],
)  # fmt: skip
def test_what_is_no_audio(data: bytes) -> None:
    assert "no audio file that FFmpeg knows" in refused(data)


def test_video_without_sound() -> None:
    message = refused(write("matroska", "", 0, 1, {}, video_s=1.0))
    assert "video and no sound" in message


def test_no_samples() -> None:
    assert "no sample of sound" in refused(wav(np.zeros(0, np.int16)))


@pytest.mark.parametrize("entry", [b"enca", b"drms", b"aavd"])
def test_encrypted_sound(entry: bytes) -> None:
    data = write("mp4", "aac", 44_100, 1, {})
    assert b"mp4a" in data
    assert f"is encrypted (its sample entry is `{entry.decode()}`)" in refused(
        data.replace(b"mp4a", entry, 1)
    )


def test_windows_media_rights_management() -> None:
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14)
    data = header + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + bytes(100)
    assert "rights management" in refused(data)


def test_over_the_limits() -> None:
    data = wav(tone(3.0, 16_000))
    assert "lasts at least 3.0 s, at most 2 s" in refused(data, audio.Limits(2.0, 1 << 20))
    assert "at most 1000 are served" in refused(data, audio.Limits(60.0, 1_000))
    undeclared = write("adts", "aac", 44_100, 1, {})
    assert "at most 2 s" in refused(undeclared, audio.Limits(2.0, 1 << 20))


def test_a_playlist_cannot_read_the_servers_files(tmp_path: Path, monkeypatch) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(1.0, 16_000)))
    monkeypatch.chdir(tmp_path)
    for playlist in (
        "ffconcat version 1.0\nfile secret.wav\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    ):
        assert "no audio file" in refused(playlist.encode())


@pytest.mark.parametrize("form", [*FORMATS, *SILENT_ABOUT_DURATION], ids=lambda form: form[1])
def test_a_file_on_disk_gives_what_its_bytes_give(tmp_path: Path, form: tuple) -> None:
    path = tmp_path / "audio"
    path.write_bytes(write(*form))
    wanted, clip = audio.decode(path.read_bytes(), LIMITS)
    sink = Sizes()
    with path.open("rb") as file:
        file.read(7)  # wherever it was
        assert audio.decode_into(file, LIMITS, sink) == clip
    assert np.array_equal(sink.pcm(), wanted)
    assert max(sink.sizes) < len(wanted) / 2


def test_an_empty_file_on_disk_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "audio"
    path.touch()
    with path.open("rb") as file, pytest.raises(InvalidRequest, match="is empty"):
        audio.decode_into(file, LIMITS, audio.Blocks())


def test_raw_pcm_of_both_encodings() -> None:
    pcm = tone(1.0, 16_000)
    same, clip = decode_raw(pcm.tobytes(), "pcm_s16le", 16_000, 1, LIMITS)
    assert np.array_equal(same, pcm)
    assert clip == audio.Clip(1.0, 16_000, 1, "raw", "pcm_s16le")
    floats = np.repeat(tone(1.0, 48_000) / 32_768, 2).astype("<f4")
    resampled, _ = decode_raw(floats.tobytes(), "pcm_f32le", 48_000, 2, LIMITS)
    assert len(resampled) == 16_000
    assert np.abs(resampled[200:-200].astype(int) - pcm[200:-200]).max() < 40


@pytest.mark.parametrize(
    ("data", "encoding", "channels", "wanted"),
    [
        (b"", "pcm_s16le", 1, "is empty"),
        (bytes(7), "pcm_s16le", 2, "must be a multiple of 4"),
        (np.array([np.nan], "<f4").tobytes(), "pcm_f32le", 1, "no finite numbers"),
        (bytes(16_000 * 2 * 61), "pcm_s16le", 1, "at most 60 s"),
    ],
)
def test_wrong_raw_pcm(data: bytes, encoding: str, channels: int, wanted: str) -> None:
    with pytest.raises(InvalidRequest, match=wanted):
        decode_raw(data, encoding, 16_000, channels, LIMITS)


def test_a_stream_may_change_its_rate_on_the_way() -> None:
    first = write("adts", "aac", 44_100, 1, {}, 2.0)
    second = write("adts", "aac", 48_000, 2, {}, 2.0)
    decoded, _ = audio.decode(first + second, LIMITS)
    assert abs(len(decoded) / 16_000 - 4.0) < 0.2
