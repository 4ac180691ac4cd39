"""Recordings of telephone systems without a header: the encodings that their extensions mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Asterisk's, SoX's and FFmpeg's; the codings' usual rates are the server's to know. `.pcm` and
# `.raw` say too little: Asterisk's are mu-law and 16-bit, others' are anything.
_ENCODINGS: Mapping[str, str] = {
    **dict.fromkeys(("mu", "mulaw", "pcmu", "ul", "ulaw", "ulw"), "pcm_mulaw"),
    **dict.fromkeys(("al", "alaw", "alw", "pcma"), "pcm_alaw"),
    "g722": "g722",
    "g729": "g729",
    "gsm": "gsm",
    "vox": "adpcm_ima_oki",
}
# Asterisk's "signed linear": `.sln` is 8 kHz, `.sln16` 16 kHz.
_SIGNED_LINEAR = re.compile(r"sl(?:n|in)(\d+)?")
_KHZ = {"44": 44_100}
# A file that begins so has a header after all, whatever it is called.
_HEADERS = (
    b"RIFF", b"RF64", b"OggS", b"fLaC", b".snd", b"ID3", b"FORM", b"caff", b"\x1aE\xdf\xa3",
    b"#!AMR",
)  # fmt: skip


def request_options(extension: str, beginning: bytes) -> dict[str, Any]:
    """`encoding`, `sample_rate` and `channels` of a file that says nothing of itself; else none.

    Args:
        extension: in lower case, without a dot.
        beginning: the file's first bytes.
    """
    if beginning.startswith(_HEADERS):
        return {}
    if extension in _ENCODINGS:
        return {"encoding": _ENCODINGS[extension]}
    linear = _SIGNED_LINEAR.fullmatch(extension)
    if linear is None:
        return {}
    khz = linear[1] or "8"
    rate = _KHZ.get(khz, int(khz) * 1000)
    return {"encoding": "pcm_s16le", "sample_rate": rate, "channels": 1}
