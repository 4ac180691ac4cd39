"""What the client repeats of the server, since it imports none of its code: here they agree."""

from __future__ import annotations

import dataclasses

from onecard.contract import pipeline
from onecard.options import transcribe
from onecard.triage import verdicts
from onecard_client import Verdict
from onecard_client._cli import transcribe_options
from onecard_client._transport import wire


def names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_a_verdict_has_the_fields_that_the_server_writes() -> None:
    assert names(Verdict) == [*names(verdicts.Verdict), "extra"]


def test_parameters_of_a_request_have_the_names_that_the_server_reads() -> None:
    for name in ("CODE_IN_MESSAGE", "UPLOAD", "PART", "IS_LAST"):
        assert getattr(wire, name) == getattr(pipeline, name)


def test_the_ledger_is_where_the_server_s_configuration_has_it() -> None:
    assert wire.LEDGER_PARAMETER == pipeline.LEDGER
    assert wire.ENSEMBLE == pipeline.ENSEMBLE


def test_every_public_model_has_the_tensors_that_the_client_sends_and_reads() -> None:
    for model in (wire.TRANSCRIBE, wire.CHAT, wire.TRIAGE):
        contract = pipeline.PYTHON_MODELS[model.name]
        assert [tensor.name for tensor in contract.inputs] == [model.content, "OPTIONS"]
        assert [tensor.name for tensor in contract.outputs] == [wire.EVENT]
        assert contract.decoupled


def test_health_asks_for_every_model() -> None:
    served = {pipeline.ENSEMBLE, *pipeline.PYTHON_MODELS, *pipeline.ENGINES}
    assert set(wire.MODELS) == served
    assert len(wire.MODELS) == len(served)


def test_the_longest_chunk_is_the_server_s() -> None:
    assert transcribe_options.MAX_CHUNK_SIZE_S == transcribe.MAX_CHUNK_SIZE_S
