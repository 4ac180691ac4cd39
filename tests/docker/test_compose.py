"""What compose runs: which image, as whom, reachable from where, with what it may write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from build_scripts import child_process, paths
from build_scripts.server import preflight, settings
from build_scripts.server.temporary import free_ports
from onecard_gateway.settings import SettingsError, from_command_line
from tests.docker.conftest import DOCKER, ROOT, tool
from tests.waiting import until

SERVERS = ("serve", "cpu")
OURS = (*SERVERS, "engines", "gateway")


def volumes(service: dict[str, Any]) -> dict[str, bool]:
    """Path in the container -> whether it can be written."""
    return {one["target"]: not one.get("read_only", False) for one in service.get("volumes", [])}


@pytest.mark.parametrize("name", OURS)
def test_each_service_has_its_stage(compose, dockerfile, name):
    target = compose["services"][name]["build"]["target"]
    assert f" AS {target}\n" in dockerfile
    for argument, value in compose["services"][name]["build"].get("args", {}).items():
        (default,) = re.findall(rf"^ARG {argument}=(\S+)$", dockerfile, re.M)
        assert value == f"${{{argument}:-{default}}}"


@pytest.mark.parametrize("name", OURS)
def test_least_privilege(compose, name):
    service = compose["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].startswith("${ONECARD_UID:-1000}")
    assert service["init"] is True


def test_engines_are_written_where_they_are_built_and_nowhere_else(compose):
    services = compose["services"]
    assert volumes(services["engines"])["/opt/onecard/engines"]
    assert [path for path, written in volumes(services["serve"]).items() if written] == ["/var/tmp"]
    assert all(services[name]["read_only"] for name in SERVERS)


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_server_writes_is_memory(compose, name):
    mounted = compose["services"][name]["tmpfs"]
    for path in (paths.RUN, paths.LOG):
        inside = Path("/opt/onecard") / path.relative_to(paths.ROOT)
        assert any(str(inside).startswith(one) for one in mounted), path
    assert "/tmp" in mounted


@pytest.mark.parametrize("name", SERVERS)
def test_recordings_are_on_disk(compose, name):
    """`onecard.spool` writes them where TMPDIR says."""
    service = compose["services"][name]
    assert volumes(service)[service["environment"]["TMPDIR"]]
    assert service["environment"]["TMPDIR"] not in service["tmpfs"]


@pytest.mark.parametrize("name", SERVERS)
def test_ports_are_the_loopbacks(compose, name):
    ports = compose["services"][name]["ports"]
    assert all(one.startswith("${PUBLISH:-127.0.0.1}:") for one in ports)
    inside = [int(one.rpartition(":")[2]) for one in ports]
    assert inside == list(settings.DEFAULT_PORTS.values())


@pytest.mark.parametrize("name", SERVERS)
def test_limits_agree_with_what_serve_wants(compose, name):
    service = compose["services"][name]
    assert service["ulimits"]["stack"]["hard"] == settings.STACK_BYTES
    assert int(service["shm_size"].removesuffix("gb")) * 2**30 >= preflight.MIN_SHM_BYTES
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.DRAIN_TIMEOUT_S
    assert service["stop_signal"] == "SIGTERM"


@pytest.mark.parametrize("name", OURS)
def test_what_it_may_use_is_bounded(compose, name):
    service = compose["services"][name]
    assert 1000 < service["pids_limit"] < 32768
    options = service["logging"]["options"]
    assert set(options) == {"max-size", "max-file"}
    if name in SERVERS:
        assert service["mem_limit"] == service["memswap_limit"] == "${MEM_LIMIT:-32g}"
        assert service["ulimits"]["nofile"]["hard"] == child_process.MAX_FILES


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_started_again_however_often_it_ends(compose, name):
    assert compose["services"][name]["restart"] == "unless-stopped"


def test_the_gateway_asks_for_keys_and_keeps_what_it_has(compose):
    """As its container sees it: without a key it starts only when it is told in words."""
    service = compose["services"]["gateway"]
    assert service["restart"] == "unless-stopped"
    assert service["ports"] == ["${PUBLISH:-127.0.0.1}:${GATEWAY_PORT:-8080}:8080"]
    given = {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for name, value in service["environment"].items()
        if value is not None  # the host's own, which it may lack
    }
    with pytest.raises(SettingsError, match="keys add NAME"):
        from_command_line([], given)
    found = from_command_line([], {**given, "GATEWAY_ALLOW_ANYONE": "1"})
    assert found.urls == ("serve:8001",)
    kept = [path for path, written in volumes(service).items() if written]
    assert kept == ["/var/lib/onecard", given["TMPDIR"]]
    for path in (found.keys_file, found.jobs_folder, found.usage_file):
        assert Path(kept[0]) in path.parents
    assert int(service["stop_grace_period"].removesuffix("s")) > found.drain_s


@pytest.mark.parametrize("name", [*SERVERS, "gateway"])
def test_logs_and_traces_are_the_host_s_to_choose(compose, name):
    environment = compose["services"][name]["environment"]
    for variable in ("LOG_FORMAT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"):
        assert environment[variable] is None, variable


def test_only_gpu_services_ask_for_nvidias_runtime(compose):
    asking = {name for name, service in compose["services"].items() if "deploy" in service}
    assert asking == {"engines", "serve"}
    assert all("runtime" not in service for service in compose["services"].values())


def test_a_bare_up_starts_nothing(compose):
    assert all(service["profiles"] for service in compose["services"].values())


def test_the_health_of_a_gateway():
    """Its check, of a gateway whose server is not there, and of none."""
    check = str(DOCKER / "gateway-healthcheck")
    (port,) = free_ports(1)
    environment = {**os.environ, "GATEWAY_PORT": str(port), "ONECARD_URL": "127.0.0.1:1"}
    asked = {"env": environment, "capture_output": True, "text": True}
    assert "refused" in subprocess.run([sys.executable, check], **asked).stdout
    gateway = subprocess.Popen(
        [sys.executable, "-m", "onecard_gateway", "--keys-file", ""], env=environment
    )
    try:
        until(lambda: "503" in subprocess.run([sys.executable, check], **asked).stdout)
    finally:
        gateway.terminate()
        gateway.wait()


def test_mounted_files_exist(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume["type"] == "volume":
                continue
            assert (DOCKER / volume["source"]).resolve().exists() or volume["source"].endswith(
                "engines"
            ), volume


def test_compose_itself_accepts_it():
    """`docker compose config` where the client has the plugin; variables are filled in."""
    probe = subprocess.run([tool("docker"), "compose", "version"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this docker has no compose plugin")
    command = ["docker", "compose", "-f", str(DOCKER / "compose.yml"), "--profile", "*", "config"]
    ran = subprocess.run(
        [*command, "--format", "json"],
        cwd=ROOT, env={**os.environ, "HTTP_PORT": "8100"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    port = json.loads(ran.stdout)["services"]["serve"]["ports"][0]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "8100")
