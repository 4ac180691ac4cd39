"""The RTX 3090's own configurations, verbatim, in a real Triton on this machine's CPU.

They are loaded in the order and with the environment that NVIDIA's Triton would have.

Engine folders for the CPU lie where the plan expects those of the card. What only a GPU can show
(memory, speed, NVIDIA's backend) is not shown here.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import paths, processes
from build_scripts.plans import plan, topology
from build_scripts.server import launch
from build_scripts.server.door.order import owner_headers
from onecard.contract import pipeline
from onecard.networks import devices
from onecard_client import Client, InvalidRequest
from tests.build_scripts.serving import Serving
from tests.onecard.alignment.test_ctc import make_model
from tests.waiting import PATIENCE_S

PLAN = "rtx3090"
ENGINES = paths.ENGINES.with_name(PLAN)
RECORDING = paths.SAMPLES / "conversation" / "sample.wav"
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]

pytestmark = pytest.mark.skipif(
    any(ENGINES.glob("*/manifest.json")), reason="this machine has engines of its own"
)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """engines/rtx3090 with what this machine can run; gone afterwards."""
    mounted = tmp_path_factory.mktemp("engines")
    for name in ("llm", "segmentation", "embedding"):
        (mounted / name).symlink_to(paths.ENGINES / name)
    (mounted / "whisper").mkdir()
    for path in (paths.ENGINES / "whisper").iterdir():
        (mounted / "whisper" / path.name).symlink_to(path)
    for half in ("encoder", "decoder"):
        (mounted / "whisper" / half).symlink_to(paths.ENGINES / "whisper")
    make_model(mounted / "align" / "en", LETTERS, "group")  # no package carries trained weights
    aside = ENGINES.with_name(f".{PLAN}")
    if has_begun := ENGINES.exists():  # engines that were asked for, and are not made
        ENGINES.rename(aside)
    ENGINES.symlink_to(mounted)
    yield mounted
    ENGINES.unlink()
    if has_begun:
        aside.rename(ENGINES)


@pytest.fixture(scope="module")
def served(engines: Path, installed_triton: None) -> Iterator[Serving]:
    one = Serving(paths.MODEL_REPOSITORY, PLAN=PLAN, **{devices.OVERRIDE: "cpu"})
    one.output = engines / "output"
    try:
        one.start()
        yield one
    finally:
        status = one.terminate()
    assert status == 0


@pytest.fixture(scope="module")
def client(served: Serving) -> Iterator[Client]:
    with Client(f"127.0.0.1:{served.ports['GRPC_PORT']}") as found:
        yield found


@pytest.mark.parametrize("name", ["whisper", "llm", "align", "recognize", "chat"])
def test_it_is_the_card_s_configuration_that_is_served(served: Serving, name: str) -> None:
    assert "rehearsal: plan rtx3090 is served without its card" in served.said()
    url = f"{served.url}/v2/models/{name}/config"
    owner = owner_headers(served.url)
    request = urllib.request.Request(url, headers=owner)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        found = json.load(reply)
    text = (paths.MODEL_REPOSITORY / name / "configs" / f"{PLAN}.pbtxt").read_text()
    wanted = text_format.Parse(text, pb.ModelConfig())
    assert found["max_batch_size"] == wanted.max_batch_size
    assert {key: entry["string_value"] for key, entry in found["parameters"].items()} == {
        key: entry.string_value for key, entry in wanted.parameters.items()
    }


def test_the_engines_are_loaded_first_and_one_after_the_other(served: Serving) -> None:
    """A pool is sized by what is free meanwhile, and the ensemble wants its steps to be there."""
    loaded = re.findall(r"loaded (\w+) \(\d+ of", served.said())
    assert loaded[:2] == list(topology.LOAD_ORDER)
    assert loaded[-1] == pipeline.ENSEMBLE


def test_triton_has_what_nvidia_s_backend_reads(served: Serving) -> None:
    for name, value in launch.ENVIRONMENT.items():
        assert served.triton() in processes.with_variable(name, value)


def test_a_recording_is_transcribed_and_the_result_says_by_what(client: Client) -> None:
    found = client.transcribe(RECORDING, language="en")
    assert found.text.strip()
    engine = found.engine
    assert engine["recognize"]["backend"] == "tensorrtllm (onecard, CTranslate2 on the CPU)"
    assert engine["recognize"]["beam_size"] == plan.load(PLAN).speech.beam_width == 5
    assert engine["diarize"]["device"] == "cpu"
    assert found.speakers
    for segment in found.segments:
        assert segment.tokens
        assert (segment.compression_ratio or 0) > 0.5
        assert segment.no_speech_prob is None  # NVIDIA's backend does not tell


def test_more_beams_than_the_engine_has_are_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="beam_size` is 6, the engine was built for at"):
        client.transcribe(RECORDING, language="en", beam_size=6)


def test_a_chat_is_answered_and_the_answer_says_by_what(client: Client) -> None:
    answer = client.chat([{"role": "user", "content": "Say hello."}], max_tokens=8)
    assert "".join(answer) == answer.text != ""
    assert answer.engine["backend"] == "tensorrtllm (onecard, OpenVINO on the CPU)"
