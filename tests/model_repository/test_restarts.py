"""Faults that a server does not survive, or that keep it from starting; on servers of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import paths
from build_scripts.plans import topology
from build_scripts.server.temporary import free_ports
from onecard_client import Client, OnecardError
from tests import conftest
from tests.build_scripts.serving import needs_triton
from tests.model_repository import chat_calls
from tests.waiting import PATIENCE_S

WINDOW_TOKENS = 1024


@pytest.fixture(scope="module")
def spare_server(installed_triton, tmp_path_factory):
    """For what makes Triton start again, which nobody else's test should wait for.
    It has the models of text alone, which know nothing of the others and start in no time, and a
    window for triage that is read in no time."""
    directory = tmp_path_factory.mktemp("spare")
    for model in topology.TEXT:
        shutil.copytree(paths.MODEL_REPOSITORY / model, directory / "models" / model)
    triage = directory / "models" / "triage" / "config.pbtxt"
    config = text_format.Parse(triage.read_text(), pb.ModelConfig())
    config.parameters["max_seq_len"].string_value = str(WINDOW_TOKENS)
    triage.write_text(text_format.MessageToString(config))
    with conftest.serving(directory, REPOSITORY=str(directory / "models")) as one:
        yield one


def test_a_mail_beyond_the_window_is_shortened_and_harms_no_neighbour(spare_server):
    mails = [{"id": "long", "body": "zzz " * 20_000}, {"id": "neighbour", "body": "Pay 10 EUR."}]
    with Client(spare_server.grpc_url) as client:
        stream = client.triage(mails, timeout_s=PATIENCE_S)
        verdicts = {verdict.id: verdict for verdict in stream}
    assert verdicts["long"].shortened
    assert not verdicts["neighbour"].shortened
    assert stream.summary.mails == 2
    assert all(call.prompt_tokens < WINDOW_TOKENS for call in stream.summary.calls)
    assert max(call.prompt_tokens for call in stream.summary.calls) > WINDOW_TOKENS / 2


@pytest.mark.parametrize("model", ["llm", "chat"])
def test_a_killed_language_model_leaves_nobody_waiting_and_comes_back(spare_server, model):
    """A stream whose process died is cut off, not left open; afterwards all is as before."""
    server = spare_server
    asked = {"max_tokens": 200, "min_tokens": 200, "temperature": 0.0}
    outcomes: list[object] = []

    def run(work: Callable[[Client], object]) -> None:
        try:
            with Client(server.grpc_url) as own:
                outcomes.append(work(own))
        except OnecardError as error:
            outcomes.append(error)

    def chat(own: Client) -> object:
        return "".join(own.chat("Hello", timeout_s=PATIENCE_S, **asked))

    def triage(own: Client) -> object:
        return list(own.triage([{"id": "1", "body": "Lunch?"}], timeout_s=PATIENCE_S))

    threads = [
        threading.Thread(target=run, args=(work,), daemon=True) for work in (chat, triage, chat)
    ]
    for thread in threads:
        thread.start()
    chat_calls.until_busy(server)
    server.kill(model)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    server.until_well()
    asked = {"max_tokens": 5}
    for work in (chat, triage):
        run(work)
        assert isinstance(outcomes.pop(), str | list)


@needs_triton
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_model_file_keeps_the_server_from_starting(tmp_path, damage):
    """The checksum is verified when the model loads, and the message says what to do."""
    engine = tmp_path / "whisper-engine"
    shutil.copytree("engines/cpu/whisper", engine)
    broken = engine / "tokenizer.json"
    if damage == "missing":
        broken.unlink()
    else:
        broken.write_bytes(broken.read_bytes()[:-1] + b" ")
    shutil.copytree("model_repository/whisper", tmp_path / "models" / "whisper")
    config = tmp_path / "models" / "whisper" / "config.pbtxt"
    config.write_text(config.read_text().replace("engines/cpu/whisper", str(engine)))
    flags = ("--http-port", "--grpc-port", "--metrics-port")
    ports = [text for flag, port in zip(flags, free_ports(3), strict=True) for text in (flag, port)]
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "serve", "--repository", tmp_path / "models"]
        + [str(port) for port in ports],
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert "tokenizer.json" in said
    assert "make setup" in said
    assert ("is missing" if damage == "missing" else "sha256") in said
