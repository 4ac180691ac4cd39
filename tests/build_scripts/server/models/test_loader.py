"""Models are loaded in the order of the launch, and what fails is named."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator

import pytest

from build_scripts.errors import ServerError
from build_scripts.plans import plan
from build_scripts.server import launch
from build_scripts.server.api import Api
from build_scripts.server.launch import Launch
from build_scripts.server.models.loader import Loader
from tests.waiting import until

MODELS = ("align", "chat", "llm", "transcribe", "whisper")


class Control(http.server.BaseHTTPRequestHandler):
    """A fake of Triton's model-control API: NVIDIA's runtime, whose order this is, is not here."""

    loaded: list[str]
    refused: str

    def do_POST(self) -> None:
        if self.path.endswith("/index"):
            body = "[" + ",".join(f'{{"name": "{name}"}}' for name in MODELS) + "]"
            self.answer(200, body)
            return
        name = self.path.split("/")[-2]
        if name == self.refused:
            self.answer(400, "no memory")
            return
        self.loaded.append(name)
        self.answer(200, "")

    def answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def api() -> Iterator[Api]:
    Control.loaded, Control.refused = [], ""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Api(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.fixture
def ordered() -> Launch:
    return dataclasses.replace(
        launch.launch(plan.load("cpu")), load_first=("llm", "whisper"), models=None
    )


def wait(loader: Loader) -> None:
    until(loader.is_done)


def test_engines_first_one_by_one_and_the_ensemble_last(api, ordered):
    seen: list[str] = []
    wait(Loader(api, ordered, seen.append))
    assert seen == ["llm", "whisper", "align", "chat", "transcribe"]
    assert Control.loaded == seen[1:]  # the first was loaded by the server itself


def test_a_model_that_does_not_load_is_named(api, ordered):
    Control.refused = "whisper"
    with pytest.raises(ServerError, match=r"`whisper` could not be loaded \(HTTP 400: no memory"):
        wait(Loader(api, ordered, lambda model: None))
    assert Control.loaded == []


def test_what_watches_may_refuse(api, ordered):
    def refuse(model: str) -> None:
        raise ServerError(f"`{model}` took too much")

    with pytest.raises(ServerError, match="`llm` took too much"):
        wait(Loader(api, ordered, refuse))


def test_where_nothing_is_ordered_nothing_is_loaded(api):
    seen: list[str] = []
    assert Loader(api, launch.launch(plan.load("cpu")), seen.append).is_done()
    assert seen == Control.loaded == []


def test_what_is_on_demand_is_left_alone(api: Api, ordered: Launch) -> None:
    turns = dataclasses.replace(ordered, on_demand=("align",))
    wait(Loader(api, turns, lambda model: None))
    assert Control.loaded == ["whisper", "chat", "transcribe"]
