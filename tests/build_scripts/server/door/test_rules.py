"""What the door lets through, as far as it can be told from the request alone."""

from __future__ import annotations

import pytest
from tritonclient.grpc import service_pb2

from build_scripts.server.door import rules
from build_scripts.server.door.rules import Malformed, Refused, Rules
from onecard.contract import pipeline

INFER = "/inference.GRPCInferenceService/ModelInfer"
GUARD = Rules("the secret", frozenset({"speech.example"}))


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v2", "GET"),
        ("/v2/health/live", "GET"),
        ("/v2/health/ready", "GET"),
        ("/v2/models/chat", "GET"),
        ("/v2/models/chat/config", "GET"),
        ("/v2/models/llm/ready", "GET"),
        ("/v2/models/transcribe/infer", "POST"),
        ("/v2/models/transcribe/versions/1/infer", "POST"),
        ("/v2/models/triage/generate_stream", "POST"),
        ("/v2/models/minutes/generate_stream", "POST"),
    ],
)
def test_what_is_open_to_everybody_over_http(path: str, method: str) -> None:
    assert rules.http_method(path) == method


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v2/",
        "/metrics",
        "/v2/models",
        "/v2/models/",
        "/v2/models/stats",  # the figures of all
        "/v2/models/chat/load",
        "/v2/models/chat/infer/",
        "/v2/models/chat/versions/x/infer",
        "/v2/models/../repository/index",
        "/v2/models/%6c%6c%6d/infer",
        "/v2/repository/index",
        "/v2/repository/models/chat/unload",
        "/v2/repository//models/chat/unload",
        "//v2/repository/index",
        "/v2/systemsharedmemory/status",
        "/v2/systemsharedmemory/region/x/register",
        "/v2/cudasharedmemory/status",
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/models/chat/trace/setting",
        "/v2/models/chat\n/infer",
    ],
)
def test_every_other_path_is_closed(path: str) -> None:
    with pytest.raises(Refused):
        rules.http_method(path)


@pytest.mark.parametrize("model", sorted(rules.INNER))
def test_what_models_call_among_themselves_is_closed(model: str) -> None:
    for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/1/infer"):
        with pytest.raises(Refused, match="called by other models alone"):
            rules.http_method(path)
    message = service_pb2.ModelInferRequest(model_name=model).SerializeToString()
    with pytest.raises(Refused, match="called by other models alone"):
        rules.verify_called(INFER, rules.model_of(INFER, message))


def test_every_model_is_either_public_or_called_by_others() -> None:
    public = {*pipeline.PYTHON_MODELS, pipeline.ENSEMBLE} - rules.INNER
    assert public == {"transcribe", "transcribe_stream", "chat", "triage", "minutes"}


def test_a_request_names_one_model() -> None:
    one = service_pb2.ModelInferRequest(model_name="chat", id="1")
    one.inputs.add(name="MESSAGES", datatype="BYTES", shape=[1, 1])
    one.raw_input_contents.append(b"\0" * 300)
    data = one.SerializeToString()
    assert rules.first_field(data) == "chat"
    # Readers of protobuf take the last: Triton would run `llm`.
    twice = data + service_pb2.ModelInferRequest(model_name="llm").SerializeToString()
    assert service_pb2.ModelInferRequest.FromString(twice).model_name == "llm"
    with pytest.raises(Malformed, match="twice"):
        rules.first_field(twice)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # cut off
        b"\x0a\x05ab",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08\x01",  # field 1 as a number
        b"\x0b\x0c",  # a group
        b"\x02\x00",  # field 0
        b"\x0a\x02\xff\xfe",  # no UTF-8
        b"\x12\x00" * (rules.MAX_FIELDS + 1),
        b"",
    ],
)
def test_what_is_no_request_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(Malformed):
        rules.model_of(INFER, data)


def test_figures_are_those_of_a_public_model() -> None:
    method = INFER.replace("ModelInfer", "ModelStatistics")
    with pytest.raises(Refused, match="name a public model"):
        rules.verify_called(method, rules.model_of(method, b""))
    rules.verify_called(method, "chat")


@pytest.mark.parametrize(
    "method",
    [
        "SystemSharedMemoryRegister",
        "CudaSharedMemoryRegister",
        "RepositoryModelLoad",
        "LogSettings",
    ],
)
def test_methods_of_the_owner_are_closed(method: str) -> None:
    with pytest.raises(Refused, match="is not open to callers"):
        rules.verify_method(f"/inference.GRPCInferenceService/{method}")
    rules.verify_method(INFER)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "10.1.2.3", "[::1]:8000", "speech.example:80",
     "onecard.localhost"],
)  # fmt: skip
def test_hosts_that_are_this_server(host: str) -> None:
    GUARD.verify_browser([host], None, None)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notspeech.example", "",
     "[::1].evil.example", "evil.example:8000", "localhost evil.example", "1.2.3.4@evil.example"],
)  # fmt: skip
def test_names_that_somebody_bound_to_this_address(host: str) -> None:
    with pytest.raises(Refused, match="ALLOWED_HOSTS"):
        GUARD.verify_browser([host], None, None)


def test_a_second_host_does_not_hide_behind_the_first() -> None:
    with pytest.raises(Refused):
        GUARD.verify_browser(["localhost", "evil.example"], None, None)


def test_what_a_page_sends_is_refused() -> None:
    for origin in ("http://evil.example", "null", "http://localhost:8000"):
        with pytest.raises(Refused, match="web pages"):
            GUARD.verify_browser(["localhost"], origin, None)
    with pytest.raises(Refused, match="web pages"):
        GUARD.verify_browser(["localhost"], None, "cross-site")
    GUARD.verify_browser(["localhost"], None, "none")  # typed into the address bar
    GUARD.verify_browser([], None, None)  # HTTP/1.0, which no browser speaks


def test_the_owner_is_known_by_the_secret() -> None:
    assert GUARD.is_owner("the secret")
    for given in (None, "", "the secre", "the secret ", "\u0131"):
        assert not GUARD.is_owner(given)


def test_errors_do_not_name_regions() -> None:
    name = "onecard_4c06138192_8121_02660dcf-ee47-42af-aca1-50ec4fe7210c"
    said = f"Failed to increase the shared memory pool size for key '{name}' to 99 bytes"
    assert rules.has_region(said.encode())
    assert "onecard_" not in rules.scrubbed(said)
    assert "02660dcf" not in rules.scrubbed(f"/{name}: no space")
    assert rules.scrubbed("onecard_client is fine") == "onecard_client is fine"
