"""`onecard status --watch` shows what a server's metrics say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from onecard_client.__main__ import main
from onecard_client._cli import server_load

METRICS = """\
# HELP onecard_streams Requests under way
# TYPE onecard_streams gauge
onecard_streams{model="transcribe_stream",model_instance="transcribe_stream_0_0",state="waiting"} 6
onecard_streams{model="transcribe_stream",model_instance="transcribe_stream_0_0",state="running"} 2
onecard_streams{model="chat",model_instance="chat_0_0",state="running"} 0
onecard_streams_ended_total{model="transcribe_stream",outcome="done"} 31
onecard_streams_ended_total{model="transcribe_stream",outcome="refused"} 4
onecard_oldest_wait_seconds{model="transcribe_stream"} 12.4
onecard_audio_seconds_left{model="transcribe_stream"} 3725
onecard_audio_seconds_total{model="transcribe_stream"} %(audio)s
onecard_llm_tokens_total{model="chat",direction="in"} 900
onecard_llm_tokens_total{model="chat",direction="out"} %(tokens)s
onecard_stage_seconds_bucket{stage="align",le="+Inf"} 3
nv_trt_llm_kv_cache_block_metrics{model="llm",version="1",kv_cache_block_type="used"} 3
nv_trt_llm_kv_cache_block_metrics{model="llm",version="1",kv_cache_block_type="max"} 128
nv_trt_llm_kv_cache_block_metrics{model="llm",version="1",kv_cache_block_type="tokens_per"} 64
nv_trt_llm_request_metrics{model="llm",request_type="scheduled",version="1"} 1
nv_trt_llm_request_metrics{model="llm",request_type="waiting",version="1"} 5
"""
VRAM = """\
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 22548578304.000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 2.5769803776e+10
"""


def test_a_table_of_models_and_what_got_done():
    before = server_load.parsed(METRICS % {"audio": 100, "tokens": 50})
    after = server_load.parsed(METRICS % {"audio": 142.5, "tokens": 110} + VRAM)
    heading, chat, stream, done, llm, vram = server_load.lines(after, before, 5.0)
    assert heading.split()[:4] == ["model", "sending", "waiting", "running"]
    assert " ".join(stream.split()) == "transcribe_stream 0 6 2 0:12 1:02:05 31 4 0 0 0"
    assert " ".join(chat.split()) == "chat 0 0 0 0:00 0:00 0 0 0 0 0"
    assert len(heading) == len(stream) == len(chat)
    assert done == "  done: 8.5 s of audio and 12.0 tokens a second"
    assert llm == "  llm: 1 sequences run and 5 wait, 192 of 8192 tokens of the KV cache in use"
    assert vram == "  VRAM: 21.0 of 24.0 GiB in use"


def test_a_server_that_began_anew_got_nothing_less_than_nothing_done():
    before = server_load.parsed(METRICS % {"audio": 900, "tokens": 900})
    after = server_load.parsed(METRICS % {"audio": 0, "tokens": 0})
    assert "  done: 0.0 s of audio and 0.0 tokens a second" in server_load.lines(after, before, 2.0)


def test_a_server_without_these_metrics_has_an_empty_table():
    load = server_load.parsed('nv_inference_count{model="llm"} 3\nnot a metric\n')
    assert (load.models, load.kv_tokens, load.vram_bytes) == ({}, None, None)
    assert len(server_load.lines(load, None, 0.0)) == 1


@pytest.fixture
def metrics_url() -> Iterator[str]:
    class Metrics(BaseHTTPRequestHandler):
        num_asked = 0

        def do_GET(self) -> None:
            Metrics.num_asked += 1
            self.send_response(200)
            self.end_headers()
            values = {"audio": 100 * Metrics.num_asked, "tokens": 0}
            self.wfile.write((METRICS % values).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_watch_shows_the_load_until_it_is_interrupted(
    fake: Any, metrics_url: str, capsys: Any, monkeypatch: Any
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    server = fake([])
    monkeypatch.setattr(time, "sleep", sleep)
    line = ["status", "--url", server.url, "--watch", "3", "--metrics-url", metrics_url]
    assert main(line) == 130
    shown = capsys.readouterr().out
    assert waits == [3.0, 3.0]
    assert shown.count(f"{server.url}: not ready") == 2  # as the fake says
    assert shown.count("transcribe_stream") == 2
    assert shown.count("s of audio and") == 1
    assert "\033" not in shown  # no terminal


def test_a_wrong_address_of_metrics_is_told_at_once(fake: Any, capsys: Any) -> None:
    server = fake([])
    line = ["status", "--url", server.url, "--watch", "--metrics-url", "http://127.0.0.1:9/metrics"]
    assert main(line) == 3
    assert "say where they are with --metrics-url" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--watch", "0"], ["--watch", "--json"]])
def test_what_cannot_be_watched_is_refused(more: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["status", *more])
    assert "--watch" in capsys.readouterr().err
