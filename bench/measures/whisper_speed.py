"""`whisper` through Triton with every chunk of a file in flight, and CTranslate2 called directly.

Both get the same features, prompt, beam, compute type and threads; chunks are those that
`detect_speech` cuts. Directly, batches of several sizes are tried and the fastest is kept.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Sequence
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from bench import recordings
from bench.interleave import interleaved, is_quick, num_rounds, ratios, seconds, spread
from bench.serving import Serving, owner_client, serving, spent
from build_scripts import paths
from onecard.audio import SAMPLE_RATE, Pcm
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import threads
from onecard.recognition import engine
from onecard.recognition.engine import Decode
from onecard.whisper.mel import Features, log_mel
from onecard.whisper.tokenizer import Tokenizer

MODEL = "whisper"
ENGINE = paths.ENGINES / "whisper"
LENGTH_S, QUICK_LENGTH_S = 300, 200
BATCH_SIZES = (1, 4, 8, 16)
BEAM_SIZE = 5
MAX_NEW_TOKENS = 444
ROUNDS = 5
TIMEOUT_S = 300.0
OUTPUTS = ("output_ids", "sequence_length", "cum_log_probs")

Tokens = tuple[int, ...]  # of one chunk


def measure() -> dict[str, Any]:
    """Seconds for all chunks, the ratio of speeds, and how often both say the same."""
    direct = Direct()
    with serving() as server, Served(server, direct.tokenizer) as served:
        chunks = _chunks(server)
        direct.seconds(_features(chunks, direct), BATCH_SIZES[0])  # cold: does not count
        tried = {size: direct.seconds(_features(chunks, direct), size) for size in BATCH_SIZES}
        best = min(tried, key=lambda size: tried[size])
        print(f"  {len(chunks)} chunks; directly, by batch size: {_listed(tried)}", flush=True)
        features: list[Features] = []  # of a round: both sides get the same, and each once

        def direct_s() -> float:
            features[:] = _features(chunks, direct)
            return direct.seconds(features, best)

        before, batches = server.times(), server.batches(MODEL)
        found = interleaved(
            {"direct": direct_s, "served": lambda: served.seconds(features)}, num_rounds(ROUNDS)
        )
        counters = spent(before, server.times())[MODEL]
        batches = server.batches(MODEL) - batches
    speed = spread(ratios(found["direct"], found["served"]))
    same = sum(a == b for a, b in zip(direct.said, served.said, strict=True))
    print(
        f"  direct {spread(found['direct'])['median']:.2f} s, through Triton "
        f"{spread(found['served'])['median']:.2f} s: {speed['median']:.3f} of its speed "
        f"({speed['low']:.3f} to {speed['high']:.3f}); {same} of {len(chunks)} chunks say the "
        f"same; Triton's batches, of all rounds: {dict(batches)}",
        flush=True,
    )
    return {
        "chunks": len(chunks),
        "direct_s_by_batch_size": {str(size): value for size, value in tried.items()},
        "batch_size": best,
        "direct_s": spread(found["direct"]),
        "served_s": spread(found["served"]),
        "ratio": speed,
        "same_text": same / len(chunks),
        "triton": {**counters, "batches": {str(size): n for size, n in batches.items()}},
    }


class Direct:
    """CTranslate2 in this process, with the engine's weights, compute type and threads."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer(ENGINE / "tokenizer.json")
        self._model = ctranslate2.models.Whisper(
            str(ENGINE), device="cpu", compute_type="int8", inter_threads=1,
            intra_threads=threads.num_threads(1.0),
        )  # fmt: skip
        self.num_mels = int(self._model.n_mels)

        self.said: list[Tokens] = []

    def seconds(self, chunks: Sequence[Features], batch_size: int) -> float:
        """Time for the tokens of all chunks, `batch_size` of them in one call."""
        stacks = [
            np.stack(chunks[first : first + batch_size]).transpose(0, 2, 1)
            for first in range(0, len(chunks), batch_size)
        ]
        batches = [np.ascontiguousarray(stack, np.float32) for stack in stacks]
        return seconds(lambda: self._decode(batches))

    def _decode(self, batches: Sequence[npt.NDArray[np.float32]]) -> None:
        options = TranscribeOptions(language="en")
        prompt = self.tokenizer.prompt("en", options)
        self.said = []
        for batch in batches:
            found = self._model.generate(
                ctranslate2.StorageView.from_array(batch),
                [prompt] * len(batch),
                beam_size=BEAM_SIZE,
                length_penalty=1.0,
                max_length=MAX_NEW_TOKENS + len(prompt),
                return_scores=True,
                suppress_tokens=self.tokenizer.suppressed(options),
            )
            self.said += [tuple(result.sequences_ids[0]) for result in found]


class Served:
    """The `whisper` model of a server, over one gRPC connection."""

    def __init__(self, server: Serving, tokenizer: Tokenizer) -> None:
        self._client = owner_client(server.grpc_url)
        self._end = tokenizer.end
        options = TranscribeOptions(language="en")
        self._prompt = tokenizer.prompt("en", options)
        self._suppressed = tokenizer.suppressed(options)
        self.said: list[Tokens] = []

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def seconds(self, chunks: Sequence[Features]) -> float:
        """Time for the tokens of all chunks, every one sent before the first answer came."""
        requests = [self._inputs(features) for features in chunks]
        return seconds(lambda: self._decode(requests))

    def _decode(self, requests: Sequence[list[triton.InferInput]]) -> None:
        answers: queue.SimpleQueue[tuple[int, Any, Exception | None]] = queue.SimpleQueue()
        for index, inputs in enumerate(requests):
            self._client.async_infer(
                MODEL,
                inputs,
                lambda result, error, index=index: answers.put((index, result, error)),
                outputs=[triton.InferRequestedOutput(name) for name in OUTPUTS],
            )
        found: dict[int, Tokens] = {}
        for _ in requests:
            index, result, error = answers.get(timeout=TIMEOUT_S)
            if error is not None:
                raise error
            arrays = {name: result.as_numpy(name) for name in OUTPUTS}
            found[index] = engine.from_tensors(arrays, self._prompt, self._end).tokens
        self.said = [found[index] for index in range(len(requests))]

    def _inputs(self, features: Features) -> list[triton.InferInput]:
        request = Decode(
            features, self._prompt, MAX_NEW_TOKENS, BEAM_SIZE, suppressed=self._suppressed,
            min_tokens=1,
        )  # fmt: skip
        tensors = engine.to_tensors(request, self._end)
        return [_input(name, value) for name, value in tensors.items()]


def _input(name: str, value: npt.NDArray[Any]) -> triton.InferInput:
    """With the batch dimension of 1 that Triton wants."""
    batch = np.ascontiguousarray(value[np.newaxis])
    found = triton.InferInput(name, list(batch.shape), np_to_triton_dtype(batch.dtype))
    found.set_data_from_numpy(batch)
    return found


def _chunks(server: Serving) -> list[Pcm]:
    """What `detect_speech` cuts a file into."""
    pcm = recordings.clip(QUICK_LENGTH_S if is_quick() else LENGTH_S)
    options = np.array([[b"{}"]], np.object_)
    with owner_client(server.grpc_url) as client:
        inputs = [_input("PCM", pcm), _input("OPTIONS", options[0])]
        outputs = [triton.InferRequestedOutput("SPEECH")]
        answer = client.infer("detect_speech", inputs, outputs=outputs)
    document = json.loads(answer.as_numpy("SPEECH").reshape(-1)[0])
    spans = [(one["start"], one["end"]) for one in document["chunks"]]
    return [pcm[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in spans]


def _features(chunks: Sequence[Pcm], direct: Direct) -> list[Features]:
    return [log_mel(recordings.fresh(chunk), direct.num_mels) for chunk in chunks]


def _listed(tried: dict[int, float]) -> str:
    return ", ".join(f"{size}: {value:.2f} s" for size, value in tried.items())
