"""In what each side of a comparison with WhisperX computes where the two may differ.

Everything else is the same on both: Whisper in int8, the embedding in float32.
"""

from __future__ import annotations

from build_scripts.plans import plan
from onecard.networks import compiled

PEER = "float32"  # torch's default, in which WhisperX and pyannote load every network

Precisions = dict[str, dict[str, str]]  # side -> part -> precision


def of_both() -> Precisions:
    """Of the acoustic model and the LSTM of the segmentation: here, by the plan and the processor.

    The segmentation's convolutions are in float32 on both sides.
    """
    planned = plan.load("cpu")
    ours = {
        "alignment": compiled.available(planned.align.precision),
        "segmentation_lstm": compiled.available(planned.diarize.segmentation_precision),
    }
    return {"onecard": ours, "whisperx": dict.fromkeys(ours, PEER)}


def of_alignment() -> Precisions:
    """Of the acoustic model alone."""
    return {side: {"alignment": found["alignment"]} for side, found in of_both().items()}


def said(precisions: Precisions) -> str:
    """In words: `onecard computes alignment in bfloat16, whisperx ...`."""
    return "; ".join(
        f"{side} computes "
        + ", ".join(f"{part.replace('_', ' ')} in {name}" for part, name in parts.items())
        for side, parts in precisions.items()
    )
