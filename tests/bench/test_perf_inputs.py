"""What perf_analyzer is given is what the models take: decoded as they decode it."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from bench.perf import inputs
from onecard import audio
from onecard.audio import SAMPLE_RATE
from onecard.chat import messages
from onecard.chat import options as chat_options
from onecard.contract import trtllm
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import recognizer as recognition
from onecard.triage import mail
from onecard.whisper.mel import log_mel

ROOT = Path(__file__).parents[2]
LIMITS = audio.Limits(max_audio_s=60, max_audio_bytes=2**24)
ITEM_BYTES = {"TYPE_FP16": 2, "TYPE_FP32": 4, "TYPE_INT32": 4, "TYPE_UINT64": 8, "TYPE_BOOL": 1}


def raw(tensor: inputs.Tensor) -> bytes:
    return base64.b64decode(tensor["b64"])


def text(tensor: inputs.Tensor) -> str:
    """Of a BYTES tensor with one element."""
    content = raw(tensor)
    assert tensor["shape"] == [1]
    assert int.from_bytes(content[:4], "little") == len(content) - 4
    return content[4:].decode()


@pytest.fixture(scope="module")
def clips() -> list[audio.Pcm]:
    return inputs.clips()


@pytest.fixture(scope="module")
def recognizer() -> recognition.Recognizer:
    config = model_config_pb2.ModelConfig()
    path = ROOT / "model_repository" / "recognize" / "config.pbtxt"
    text_format.Parse(path.read_text(encoding="utf-8"), config)
    values = {key: one.string_value for key, one in config.parameters.items()}
    values["engine_dir"] = str(ROOT / values["engine_dir"])
    return recognition.load(parameters.parse(recognition.Config, values))


def test_clips_are_of_one_length_and_different(clips: list[audio.Pcm]) -> None:
    assert len(clips) == inputs.NUM_CLIPS * inputs.NUM_TAKES
    assert {len(pcm) for pcm in clips} == {inputs.CLIP_S * SAMPLE_RATE}
    assert len({pcm.tobytes() for pcm in clips}) == len(clips)
    # Somebody speaks in each, or its request would skip half of the pipeline.
    assert min(np.abs(pcm.astype(int)).max() for pcm in clips) > 1000


def test_the_engine_has_heard_no_clip_before(clips: list[audio.Pcm]) -> None:
    config = model_config_pb2.ModelConfig()
    path = ROOT / "model_repository" / "whisper" / "config.pbtxt"
    text_format.Parse(path.read_text(encoding="utf-8"), config)
    num_kept = 2 * config.max_batch_size  # encoder outputs, see tensorrtllm_cpu/whisper.py
    assert len(clips) > num_kept
    again = inputs.clips()
    assert not {pcm.tobytes() for pcm in clips} & {pcm.tobytes() for pcm in again}


def test_transcribe_sends_files_of_the_clips(clips: list[audio.Pcm]) -> None:
    step, *_ = inputs.transcribe(clips)
    pcm, _ = audio.decode(raw(step["AUDIO"])[4:], LIMITS)
    assert np.array_equal(pcm, clips[0])
    assert TranscribeOptions.from_json(text(step["OPTIONS"])) == TranscribeOptions()


def test_whisper_sends_what_recognize_asks(
    clips: list[audio.Pcm], recognizer: recognition.Recognizer
) -> None:
    steps = inputs.whisper(clips[:2], recognizer)
    assert len(steps) == 2
    features = log_mel(clips[1], 80)
    assert steps[1]["encoder_input_features"]["shape"] == list(features.shape)
    assert raw(steps[1]["encoder_input_features"]) == features.tobytes()
    tokenizer = recognizer.tokenizer
    prompt = np.frombuffer(raw(steps[1]["decoder_input_ids"]), np.int32).tolist()
    assert prompt == tokenizer.prompt("en", TranscribeOptions())
    assert np.frombuffer(raw(steps[1]["beam_width"]), np.int32).tolist() == [5]


def test_whisper_tensors_have_the_sizes_that_the_contract_gives_them(
    clips: list[audio.Pcm], recognizer: recognition.Recognizer
) -> None:
    contract = {tensor.name: tensor for tensor in trtllm.INPUTS}
    (step,) = inputs.whisper(clips[:1], recognizer)
    required = {name for name, tensor in contract.items() if not tensor.optional}
    assert required <= set(step) <= set(contract)
    for name, tensor in step.items():
        dims = contract[name].dims
        assert len(tensor["shape"]) == len(dims), name
        wanted = math.prod(tensor["shape"]) * ITEM_BYTES[contract[name].dtype]
        assert len(raw(tensor)) == wanted, name


def test_chat_asks_for_a_fixed_number_of_tokens() -> None:
    mails = inputs.mails()
    steps = inputs.chat(mails)
    assert len(steps) == len(mails)
    (message,) = messages.read(text(steps[0]["MESSAGES"]))
    assert mails[0].email.body in message.content
    options = chat_options.read(text(steps[0]["OPTIONS"]))
    assert options.min_tokens == options.max_tokens == inputs.CHAT_TOKENS


def test_triage_sends_one_mail_a_request() -> None:
    mails = inputs.mails()
    sent = [mail.parse(text(step["EMAILS"])) for step in inputs.triage(mails)]
    assert [[one.id for one in each] for each in sent] == [[one.email.id] for one in mails]


def test_the_file_is_perf_analyzers(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    inputs.write(inputs.triage(inputs.mails()[:2]), path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert list(document) == ["data"]
    assert [set(step) for step in document["data"]] == [{"EMAILS", "OPTIONS"}] * 2
