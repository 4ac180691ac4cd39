"""Word times: aligners behind one interface, and the order in which they are asked.

`load` makes the aligners that a plan names; `align` runs requests through them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onecard.alignment.documents import Job, align
from onecard.alignment.proportional import Proportional
from onecard.alignment.units import Aligner

__all__ = ["Config", "Job", "align", "load"]


@dataclass(frozen=True)
class Config:
    """The plan's settings of alignment; config.pbtxt's parameters have these names.

    `none` as a directory turns that aligner off, and so does a directory of models without any.
    """

    ctc_models: str  # directory with one wav2vec2 model per language code, or `none`
    ctc_preload: str  # languages loaded at start-up, separated by commas, or `none`
    ctc_max_loaded: int  # languages kept in memory
    ctc_batch_size: int  # segments in one forward
    ctc_device: str  # `cpu` or `cuda`
    ctc_dtype: str  # `float32`, `float16` or `bfloat16`
    pocketsphinx: bool  # English without an acoustic network
    attention_model: str  # directory of a CTranslate2 Whisper, or `none`
    attention_compute_type: str


NONE = "none"


def load(config: Config, num_threads: int) -> list[Aligner]:
    """The aligners of a plan, best first. The last one can time anything.

    Raises:
        ManifestError: a model's directory is incomplete or damaged.
    """
    aligners: list[Aligner] = []
    preload = () if config.ctc_preload == NONE else config.ctc_preload.split(",")
    if preload or any(Path(config.ctc_models).glob("*/config.json")):
        from onecard.alignment.ctc import Ctc  # torch takes 300 MB, so only where it is used

        aligners.append(
            Ctc(
                config.ctc_models,
                preload=preload,
                max_loaded=config.ctc_max_loaded,
                batch_size=config.ctc_batch_size,
                device=config.ctc_device,
                dtype=config.ctc_dtype,
                num_threads=num_threads,
            )
        )
    if config.pocketsphinx:
        from onecard.alignment.sphinx import Sphinx

        aligners.append(Sphinx())
    if config.attention_model != NONE:
        from onecard.alignment.attention import Attention

        aligners.append(
            Attention(
                config.attention_model,
                compute_type=config.attention_compute_type,
                num_threads=num_threads,
            )
        )
    aligners.append(Proportional())
    return aligners
