"""Which of the two processes of `make test` runs what: hooks of pytest and pytest-xdist.

One has the server of all. The other starts servers of its own, then runs file after file of the
rest. Who starts a server cleans up after every dead one of the checkout, so those who do stay
together; a file of tests is never divided.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from build_scripts import processes

# Whoever uses the fixture `server`.
SHARED = (
    "tests/model_repository/test_chat.py",
    "tests/model_repository/test_controls.py",
    "tests/model_repository/test_faults.py",
    "tests/model_repository/test_gauges.py",
    "tests/model_repository/test_hostile.py",
    "tests/model_repository/test_minutes.py",
    "tests/model_repository/test_parameters.py",
    "tests/model_repository/test_quality.py",
    "tests/test_readme.py",
    "tests/test_readme_python.py",
    "tests/model_repository/test_security.py",
    "tests/model_repository/test_triage.py",
    "tests/model_repository/test_uploads.py",
    "tests/backends/test_llm_server.py",
    "tests/backends/test_whisper_server.py",
    "tests/client/live/test_docs.py",
    "tests/client/live/test_live.py",
    "tests/client/live/test_live_llm.py",
    "tests/client/compatibility/test_compatibility.py",
    "tests/client/files/test_live.py",
    "tests/docker/test_proxy.py",
    "tests/gateway/test_docs.py",
    "tests/gateway/test_live.py",
    "tests/gateway/guards/test_live_access.py",
    "tests/gateway/page/test_page.py",
)
# Whoever starts another Triton. The last one leaves a dead server and looks what becomes of it: not
# while that of all starts.
OWN = (
    "tests/model_repository/test_rehearsal.py",
    "tests/model_repository/test_restarts.py",
    "tests/model_repository/test_encrypted.py",
    "tests/build_scripts/test_survival.py",
    "tests/build_scripts/server/monitoring/test_health.py",
    "tests/build_scripts/server/test_further_whispers.py",
    "tests/build_scripts/server/models/test_supervisor.py",
    "tests/build_scripts/server/models/test_warmup.py",
    "tests/build_scripts/commands/test_measure.py",
    "tests/build_scripts/server/test_lifecycle.py",
)
# Of the rest, what takes longest, which is whole models: begun first, so that both end together.
LONG = (
    "tests/onecard/recognition/test_recognizer.py",
    "tests/onecard/guides/test_versions.py",
    "tests/onecard/detection/test_segmentation.py",
    "tests/backends/test_llm_loop.py",
    "tests/onecard/diarization/test_diarizer.py",
    "tests/onecard/diarization/test_local_pipeline.py",
    "tests/backends/test_whisper_engine.py",
    "tests/onecard/alignment/test_documents.py",
)
# Whole models too, or the programs that ours are held against, which take seconds to import: files,
# and single tests of others.
WHOLE = (
    "tests/backends/test_llm_precision.py",
    "tests/build_scripts/engines/gguf/test_tokenizer.py",
    "tests/build_scripts/engines/test_diarize.py",
    "tests/build_scripts/measure/test_speech.py::test_whisper_is_timed_on_real_speech",
    "tests/evaluation/peers/test_speaker_embedding.py",
    "tests/onecard/alignment/test_ctc.py",
    "tests/onecard/detection/test_vad.py",
    "tests/onecard/diarization/test_clustering.py",
    "tests/onecard/diarization/test_reconstruction.py",
)
# Of what loads no model, the files and tests that take most processor time: hostile input by the
# megabyte, many examples, programs started again and again.
HEAVY = (
    "tests/build_scripts/commands/test_doctor.py",
    "tests/build_scripts/commands/test_lock.py",
    "tests/build_scripts/commands/test_measure.py",
    "tests/build_scripts/engines/gguf/test_llm.py",
    "tests/build_scripts/engines/test_runner.py",
    "tests/build_scripts/fetch/test_hub.py",
    "tests/build_scripts/measure/test_networks.py",
    "tests/client/conversation/test_conversation.py",
    "tests/client/files/test_resume.py",
    "tests/client/mailbox/html/test_text.py::test_hostile_documents_neither",
    "tests/client/mailbox/html/test_text.py::test_hostile_html_takes_no_time_to_speak_of",
    "tests/client/mailbox/html/test_text.py::test_what_is_repeated_takes_time_that_grows_with_its_length",
    "tests/client/mailbox/mime/test_bounds.py",
    "tests/client/verdicts/test_triage_large.py",
    "tests/client/verdicts/test_triage_resume.py",
    "tests/client/verdicts/test_watch.py",
    "tests/fuzz/test_fuzz.py",
    "tests/gateway/page/test_page.py",
    "tests/onecard/audio/decoding/test_decoder.py",
    "tests/onecard/guides/test_admission.py",
    "tests/onecard/json_schema/test_portable.py",
)
SLOW = {*LONG, *WHOLE, *HEAVY}
# Files of which every test has the mark.
MARKED = {**dict.fromkeys(SLOW, "slow"), "tests/model_repository/test_quality.py": "server"}
ORDER = {file: index for index, file in enumerate((*SHARED, *OWN, *LONG))}
# Every fixture that starts a Triton asks for this one, and so does whoever starts one in a test.
TRITON = "installed_triton"
# Of what takes longer, a line says how long while the run goes on.
SLOW_S = 30.0


class Halves(LoadScopeScheduling):
    """Hands out SHARED, OWN and then single files, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "shared" if file in SHARED else "own" if file in OWN else file

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker that dies ends the run: the other one ends its test and the next."""
        crashed: str | None = super().remove_node(node)
        if crashed:
            self.workqueue.clear()
            for other in self.nodes:
                waiting = self._waiting(other)
                if waiting:
                    other.send_steal(waiting)
            _end_started(node)
        return crashed

    def remove_pending_tests_from_node(self, node: WorkerController, indices: list[int]) -> None:
        """What a worker has given back is nobody's any more."""
        for index in indices:
            name = self.registered_collections[node][index]
            del self.assigned_work[node][self._split_scope(name)][name]

    def _waiting(self, node: WorkerController) -> list[int]:
        """The tests in a worker's queue, which are all but the one it runs and the next."""
        units = self.assigned_work[node].values()
        names = [name for unit in units for name, is_done in unit.items() if not is_done]
        position = {name: index for index, name in enumerate(self.registered_collections[node])}
        return [position[name] for name in names[2:]]


def _end_started(node: WorkerController) -> None:
    """Ends what a dead worker had started, which nobody else would."""
    by_it = processes.with_variable("PYTEST_XDIST_WORKER", node.gateway.id)
    in_run = processes.with_variable("PYTEST_XDIST_TESTRUNUID", node.workerinput["testrunuid"])
    processes.end(sorted({*by_it} & {*in_run}), patience_s=30)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Halves:
    config.option.loadscopereorder = False
    return Halves(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which `-m` wants no test: to find their tests they would be imported."""
    if not collection_path.is_relative_to(config.rootpath):
        return None
    mark = MARKED.get(collection_path.relative_to(config.rootpath).as_posix())
    return True if mark and f"not {mark}" in config.getoption("markexpr") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes longest; what needs a Triton is marked `server`, and SLOW `slow`."""
    for item in items:
        file, fixtures = _file(item), getattr(item, "fixturenames", ())
        if "server" in fixtures and file not in SHARED:
            raise pytest.UsageError(f"{item.nodeid} uses `server`: add its file to halves.SHARED")
        if TRITON in fixtures and file not in (*SHARED, *OWN):
            raise pytest.UsageError(f"{item.nodeid} starts a Triton: add its file to halves.OWN")
        if TRITON in fixtures:
            item.add_marker("server")
        if {file, item.nodeid.partition("[")[0]} & SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: ORDER.get(_file(item), len(ORDER)))


class Slow:
    """Says of every test that took long how long it took, on the process that prints."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.duration > SLOW_S:
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            now = time.strftime("%H:%M:%S")
            took = f"{now}  {report.duration:.0f} s  {report.nodeid} ({report.when})"
            terminal.write_line(took)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Slow(config))
        return
    number, count = int(config.workerinput["workerid"][2:]), config.workerinput["workercount"]
    if cores := own_cores(sorted(os.sched_getaffinity(0)), number, count):
        os.sched_setaffinity(0, cores)


def own_cores(cores: list[int], number: int, count: int) -> list[int]:
    """The cores of the worker `number` of `count`, and of all that it starts; none where too few.

    Every library has a thread a core, and a step ends with its last thread: with both halves at
    work on the same cores each thread waits for the other half's, and turns in place meanwhile.
    """
    return cores[number::count]


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
