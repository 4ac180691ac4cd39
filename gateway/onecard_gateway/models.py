"""The ids of models that applications choose from, beside the names of a server's own Whispers; any
other id means the same models."""

from __future__ import annotations

CHAT = "onecard-chat"
# Applications look for these among all ids to know what transcribes, and with speakers.
SPEECH = ("whisper-1", "gpt-4o-transcribe-diarize")


def names_speakers(model: str) -> bool:
    """Whether who asks for this model wants to know who speaks."""
    return "diari" in model.lower()
