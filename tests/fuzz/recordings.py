"""One small recording of every container and codec that FFmpeg can write here."""

from __future__ import annotations

import av

from tests.onecard.audio.sounds import tone, wav, write

_FORMS = (
    ("wav", "pcm_s16le", 16_000, 1, {}),
    ("wav", "pcm_u8", 8_000, 2, {}),
    ("wav", "pcm_f32le", 48_000, 1, {}),
    ("wav", "adpcm_ms", 22_050, 1, {}),
    ("wav", "adpcm_ima_wav", 22_050, 2, {}),
    ("wav", "pcm_mulaw", 8_000, 1, {}),
    ("w64", "pcm_s16le", 16_000, 1, {}),
    ("rf64", "pcm_s16le", 16_000, 1, {}),
    ("flac", "flac", 48_000, 2, {}),
    ("mp3", "libmp3lame", 44_100, 2, {}),
    ("mp2", "mp2", 44_100, 1, {}),
    ("ogg", "libopus", 48_000, 1, {}),
    ("ogg", "libvorbis", 44_100, 2, {}),
    ("ogg", "flac", 16_000, 1, {}),
    ("ogg", "libspeex", 16_000, 1, {}),
    ("mp4", "aac", 44_100, 2, {}),
    ("mp4", "aac", 44_100, 1, {"movflags": "frag_keyframe+empty_moov"}),
    ("mp4", "aac", 44_100, 1, {"movflags": "faststart"}),
    ("mov", "alac", 44_100, 2, {}),
    ("mov", "pcm_s16be", 44_100, 1, {}),
    ("ipod", "aac", 44_100, 1, {}),
    ("3gp", "aac", 8_000, 1, {}),
    ("matroska", "libopus", 48_000, 1, {}),
    ("webm", "libvorbis", 48_000, 1, {}),
    ("matroska", "ac3", 48_000, 6, {}),
    ("avi", "libmp3lame", 44_100, 1, {}),
    ("avi", "pcm_s16le", 16_000, 1, {}),
    ("aiff", "pcm_s16be", 16_000, 1, {}),
    ("au", "pcm_s16be", 16_000, 1, {}),
    ("caf", "pcm_s16be", 16_000, 1, {}),
    ("caf", "alac", 44_100, 1, {}),
    ("adts", "aac", 44_100, 1, {}),
    ("latm", "aac", 44_100, 1, {}),
    ("ac3", "ac3", 48_000, 6, {}),
    ("eac3", "eac3", 48_000, 2, {}),
    ("dts", "dca", 48_000, 2, {}),
    ("asf", "wmav2", 44_100, 2, {}),
    ("flv", "aac", 44_100, 1, {}),
    ("mpegts", "aac", 48_000, 1, {}),
    ("mpeg", "mp2", 48_000, 2, {}),
    ("nut", "pcm_s16le", 16_000, 1, {}),
    ("tta", "tta", 44_100, 1, {}),
    ("wv", "wavpack", 44_100, 2, {}),
    ("voc", "pcm_u8", 8_000, 1, {}),
    ("amr", "libopencore_amrnb", 8_000, 1, {}),
    ("rm", "ra_144", 8_000, 1, {}),
    ("swf", "libmp3lame", 44_100, 1, {}),
    ("ircam", "pcm_s16le", 16_000, 1, {}),
    ("sox", "pcm_s32le", 16_000, 1, {}),
    ("mxf", "pcm_s16le", 48_000, 1, {}),
    ("wtv", "mp2", 48_000, 2, {}),
    ("gsm", "libgsm", 8_000, 1, {}),
    ("sbc", "sbc", 16_000, 1, {}),
    ("g722", "g722", 16_000, 1, {}),
    ("truehd", "truehd", 48_000, 2, {}),
)  # fmt: skip


def all_forms(duration_s: float = 0.3) -> dict[str, bytes]:
    """By name; those that this FFmpeg cannot write are left out."""
    found = {}
    for form in _FORMS:
        try:
            found[f"{form[0]}-{form[1]}-{len(found)}"] = write(*form, duration_s=duration_s)
        except (av.error.FFmpegError, ValueError, TypeError, KeyError, OSError):
            continue
    sound = tone(duration_s, 16_000)
    found["film"] = write("matroska", "aac", 44_100, 2, {}, duration_s, 0.5)
    found["film-mp4"] = write("mp4", "aac", 44_100, 2, {}, duration_s, 0.5)
    found["two-wavs"] = wav(sound) + wav(sound, 8_000)
    found["two-mp4s"] = write("mp4", "aac", 44_100, 1, {}, duration_s) * 2
    found["tagged"] = b"ID3\x04\0\0\0\0\0\x0aTIT2\0\0\0\0\0\0" + write(
        "mp3", "libmp3lame", 44_100, 2, {}, duration_s
    )
    return found
