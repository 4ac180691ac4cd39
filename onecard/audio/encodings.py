"""Sound without a header: the codings that a caller may name, and what each fixes by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Name = Literal[
    "auto",
    "pcm_s16le", "pcm_f32le",
    "pcm_s8", "pcm_u8", "pcm_s16be", "pcm_u16le", "pcm_u16be", "pcm_s24le", "pcm_s24be",
    "pcm_s32le", "pcm_s32be", "pcm_f32be", "pcm_f64le", "pcm_f64be",
    "pcm_mulaw", "pcm_alaw", "g722", "g729", "gsm", "adpcm_ima_oki",
]  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """One of FFmpeg's decoders, by its name there, for bytes without a container.

    Attributes:
        block_bytes: the least that can be decoded, of one channel.
        block_samples: what that decodes to.
        sample_rate: what telephones use; None where there is no usual one.
        is_mono: several channels cannot be interleaved.
        is_fixed: there is no other rate.
    """

    block_bytes: int
    block_samples: int = 1
    sample_rate: int | None = None
    is_mono: bool = False
    is_fixed: bool = False


def _pcm() -> Mapping[str, Encoding]:
    found = {"pcm_s8": Encoding(1), "pcm_u8": Encoding(1)}
    for kind in ("s16", "u16", "s24", "s32", "f32", "f64"):
        for order in ("le", "be"):
            found[f"pcm_{kind}{order}"] = Encoding(int(kind[1:]) // 8)
    return found


ENCODINGS: Mapping[str, Encoding] = {
    **_pcm(),
    # ITU-T G.711, at RTP's rate for it (RFC 3551, section 6)
    "pcm_mulaw": Encoding(1, sample_rate=8000),
    "pcm_alaw": Encoding(1, sample_rate=8000),
    "g722": Encoding(1, 2, 16_000, is_mono=True, is_fixed=True),
    "g729": Encoding(10, 80, 8000, is_mono=True, is_fixed=True),
    "gsm": Encoding(33, 160, 8000, is_mono=True),
    "adpcm_ima_oki": Encoding(1, 2, 8000, is_mono=True),  # Dialogic's .vox
}
