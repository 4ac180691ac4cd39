"""What is taken from Triton's wheel, how its log reads, in which order its models are unloaded."""

from __future__ import annotations

import os
import zipfile
from argparse import ArgumentParser
from pathlib import Path

import pytest

from build_scripts import paths, processes
from build_scripts.bootstrap import triton
from build_scripts.commands import serve
from build_scripts.errors import InstallError, ServerError
from build_scripts.plans import plan
from build_scripts.server import api, launch, preflight, running, settings
from build_scripts.server.logs import reader
from build_scripts.server.triton import regions

CPU = launch.launch(plan.load("cpu"))
STUBS = "pytriton/tritonserver/python_backend_stubs"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "pytriton/tritonserver/bin/tritonserver",
            "pytriton/tritonserver/backends/python/libtriton_python.so",
            "pytriton/tritonserver/caches/local/libtritoncache_local.so",
            "pytriton/client/client.py",
            "nvidia_pytriton.libs/libb64.so",
            f"{STUBS}/3.10/triton_python_backend_stub",
            f"{STUBS}/3.11/triton_python_backend_stub",
        ):
            archive.writestr(name, name)
    return path


def test_binaries_and_the_stub_that_fits_are_taken(wheel: Path, tmp_path: Path) -> None:
    into = tmp_path / "server"
    triton.unpack(wheel, into, (3, 11))
    files = sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())
    assert files == [
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_stub",
        "bin/tritonserver",
        "caches/local/libtritoncache_local.so",
        "lib/libb64.so",
    ]
    stub = into / "backends/python/triton_python_backend_stub"
    assert stub.read_text() == f"{STUBS}/3.11/triton_python_backend_stub"
    assert os.access(stub, os.X_OK)
    assert os.access(into / "bin/tritonserver", os.X_OK)


def test_no_stub_for_the_interpreter(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"no stub for Python 3\.14.*PYTHON="):
        triton.unpack(wheel, tmp_path / "server", (3, 14))


def test_own_backends_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUNTIME", tmp_path / "server")
    monkeypatch.setattr(paths, "BACKENDS", tmp_path / "backends")
    (tmp_path / "server" / "backends" / "mine").mkdir(parents=True)  # what a copy left
    (tmp_path / "backends" / "mine").mkdir(parents=True)
    (tmp_path / "backends" / "mine" / "model.py").touch()
    for _ in range(2):
        triton.link_backends()
        link = tmp_path / "server" / "backends" / "mine"
        assert link.is_symlink()
        assert (link / "model.py").is_file()
        assert not os.path.isabs(os.readlink(link))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "I1121 05:12:14.359912 13141 model_lifecycle.cc:839] \"successfully loaded 'lm'\"",
            "loaded lm (1 of 1)",
        ),
        (
            'W1121 05:12:13.021207 13141 pinned_memory_manager.cc:273] "Unable to allocate pinned '
            'system memory, pinned memory pool will not be available"',
            None,
        ),
        ('E1121 05:12:13.021382 1 server.cc:241] "CudaDriverHelper has not been ..."', "error: "),
        (
            'E1121 05:12:13.021382 1 server.cc:241] "CudaDriverHelper has not been initialized."',
            None,
        ),
        ('W1121 05:12:13.021382 1 a.cc:1] "low disk"', "warning: low disk"),
        (
            'E1121 05:12:13.021382 1 a.cc:1] "no\\n\\nAt:\\n  <frozen importlib> x\\n  m.py(1)"',
            "error: no",
        ),
        ("+-------+---------+", None),
        ("", None),
        ("a model printed this", "a model printed this"),
    ],
)
def test_the_log_as_it_reads(line: str, shown: str | None) -> None:
    found = reader.Reader().read(line + "\n")
    if shown is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(shown)
        assert "<frozen" not in found


def test_a_tail_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = reader.Tail(path)
    assert tail.lines() == []
    path.write_text("one\ntw")
    assert tail.lines() == ["one"]
    with path.open("a") as file:
        file.write("o\n")
    assert tail.lines() == ["two"]


def test_old_logs_go_but_not_those_of_a_server_that_runs(tmp_path: Path) -> None:
    for age_s, name in enumerate(("server-1.log", "server-2.log", "server-3.log", "server-4.log")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age_s, 1000 - age_s))
    reader.prune(tmp_path, in_use=["4"], num_kept=2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "server-1.log",
        "server-2.log",
        "server-4.log",
    }


def test_callers_are_unloaded_before_what_they_call() -> None:
    graph = {
        "transcribe": {"decode_audio", "recognize"},
        "transcribe_stream": {"decode_audio", "recognize"},
        "decode_audio": set(),
        "recognize": {"whisper"},
        "whisper": set(),
    }
    assert api.waves(graph) == [
        ["transcribe", "transcribe_stream"],
        ["decode_audio", "recognize"],
        ["whisper"],
    ]


def test_a_cycle_and_a_model_that_is_not_there_end_too() -> None:
    assert api.waves({"a": {"b"}, "b": {"a"}}) == [["a", "b"]]
    assert api.waves({"a": {"gone"}, "b": {"b"}}) == [["a", "b"]]
    assert api.waves({}) == []


def test_what_a_configuration_says_of_calls() -> None:
    ensemble = {"ensemble_scheduling": {"step": [{"model_name": "a"}, {"model_name": "b"}]}}
    assert api.called(ensemble) == {"a", "b"}
    assert api.called({"parameters": {"calls": {"string_value": "a,b"}}}) == {"a", "b"}
    assert api.called({"parameters": {}}) == set()


def parsed(*flags: str, **environment: str) -> settings.Settings:
    parser = ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args(flags), environment)


def test_flags_win_over_the_environment() -> None:
    one = parsed("--http-port", "9000", HTTP_PORT="9100", GRPC_PORT="9101", ADDRESS="0.0.0.0")
    assert (one.http_port, one.grpc_port, one.metrics_port) == (9000, 9101, 8002)
    assert one.url == "http://127.0.0.1:9000"
    assert parsed().address == "127.0.0.1"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_no_port(port: str) -> None:
    with pytest.raises(ServerError, match="`HTTP_PORT` is"):
        parsed(HTTP_PORT=port)


def test_ports_differ() -> None:
    with pytest.raises(ServerError, match="three different"):
        parsed(HTTP_PORT="9000", GRPC_PORT="9000")


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "9" * 10])
def test_a_time_to_drain_that_is_no_time(text: str) -> None:
    with pytest.raises(ServerError, match=rf"`DRAIN_TIMEOUT` is `{text}`, wanted a whole number"):
        parsed(DRAIN_TIMEOUT=text)
    assert parsed(DRAIN_TIMEOUT="0").drain_timeout_s == 0


def test_warming_up_is_on_or_off() -> None:
    assert parsed().warmup
    assert not parsed(WARMUP="0").warmup
    with pytest.raises(ServerError, match="`WARMUP` is `no`, wanted 0 or 1"):
        parsed(WARMUP="no")


@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan"])
def test_a_time_to_wait_that_is_no_time(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEOUT", text)
    with pytest.raises(ServerError, match=f"`TIMEOUT` is `{text}`, wanted a number of seconds"):
        serve.main("wait", ["--http-port", "1"])


def test_a_time_to_wait_may_have_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(running, "wait", lambda settings, timeout_s: waited.append(timeout_s))
    monkeypatch.setenv("TIMEOUT", "2.5")
    serve.main("wait", [])
    monkeypatch.delenv("TIMEOUT")
    serve.main("wait", [])
    serve.main("wait", ["--timeout", "7"])
    assert waited == [2.5, running.WAIT_TIMEOUT_S, 7.0]


def test_the_command_line_names_the_plan_unless_it_is_the_default() -> None:
    assert not [
        flag for flag in launch.triton_command(parsed(), "s", CPU) if "model-config-name" in flag
    ]
    gpu = launch.triton_command(parsed(PLAN="rtx3090"), "s", CPU)
    assert "--model-config-name=rtx3090" in gpu


def test_triton_behind_the_door_listens_on_loopback_and_wants_the_secret_for_everything() -> None:
    inner = settings.Inner(1001, 1002, 1003)
    command = launch.triton_command(parsed(ADDRESS="0.0.0.0"), "s3cret", CPU, inner)
    for flag in ("http", "grpc", "metrics"):
        assert f"--{flag}-address=127.0.0.1" in command
    assert "--http-port=1001" in command
    assert "--grpc-port=1002" in command
    apis = "health,metadata,inference,shared-memory,model-config,model-repository,statistics"
    for flag in ("http-restricted-api", "grpc-restricted-protocol"):
        assert f"--{flag}={apis},trace,logging:onecard-control=s3cret" in command


def test_traces_go_to_the_collector_that_the_environment_names_and_nowhere_else() -> None:
    def flags(**environment: str) -> list[str]:
        command = launch.triton_command(parsed(), "s", CPU, environment=environment)
        return [flag for flag in command if "trace" in flag and "restricted" not in flag]

    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert flags() == []
    assert flags(**{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}) == []
    found = flags(**{endpoint: "http://c:4318/"})
    assert "--trace-config=mode=opentelemetry" in found
    assert "--trace-config=opentelemetry,url=http://c:4318/v1/traces" in found
    whole = flags(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://c/own", **{endpoint: "http://d"})
    assert "--trace-config=opentelemetry,url=http://c/own" in whole


def test_hosts_come_as_a_list() -> None:
    assert parsed(ALLOWED_HOSTS=" Speech.example, cpu,").allowed_hosts == ("speech.example", "cpu")
    assert parsed("--allowed-hosts", "a", ALLOWED_HOSTS="b").allowed_hosts == ("a",)
    assert parsed().allowed_hosts == ()


def test_regions_of_one_server_are_hidden_from_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "FOLDER", str(tmp_path))
    own, other, elsewhere = (tmp_path / name for name in ("own_1", "other_1", "elsewhere"))
    for path in (own, other, elsewhere):
        path.touch()
        path.chmod(0o644)
    (tmp_path / "own_link").symlink_to(elsewhere)
    regions.hide("own_")
    modes = [path.stat().st_mode & 0o777 for path in (own, other, elsewhere)]
    assert modes == [0o600, 0o644, 0o644]


def test_shared_memory_is_told_apart_by_checkout_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {settings.shm_prefix(8000), settings.shm_prefix(80), settings.shm_prefix(9000)}
    monkeypatch.setattr(paths, "ROOT", Path("/another/checkout"))
    assert settings.shm_prefix(8000) not in here
    assert len(here) == 3
    assert not any(a != b and a.startswith(b) for a in here for b in here)


def test_the_environment_keeps_pools_from_fighting() -> None:
    found = launch.triton_environment(CPU, {"PATH": "/usr/bin", "OMP_NUM_THREADS": "64"})
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
    assert found["PATH"] == f"{paths.VENV / 'bin'}:/usr/bin"


def test_numpy_of_the_environment_is_the_one_that_the_stub_can_handle() -> None:
    preflight.check_numpy(CPU)


def test_a_listener_that_does_not_exist_is_not_invented() -> None:
    assert processes.listener(1).startswith("a process")
