"""The ledger watched on a fake NVML: refused before the start, after a model, and at the end."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from build_scripts import gpus
from build_scripts.errors import PlanError, ServerError
from build_scripts.gpus import Gpu
from build_scripts.memory.deployment import deploy
from build_scripts.memory.fit import fit_plan
from build_scripts.memory.ledger import compute_ledger
from build_scripts.plans import plan, topology
from build_scripts.plans.schema import Plan
from build_scripts.server import launch
from build_scripts.server.monitoring import vram, vram_report
from build_scripts.server.monitoring.vram import NoWatch, VramWatch
from tests.build_scripts.fake_nvml import GIB, FakeCard, FakeNvml
from tests.build_scripts.server.reference import MODELS, rtx3090

TOTAL = 24 * GIB
RESERVED = 300 * 2**20
SERVER, OTHER, ALIGN, DIARIZE, DESKTOP = 4001, 4002, 4004, 4005, 900
NAMES = {
    SERVER: "/opt/tritonserver/bin/tritonserver",
    ALIGN: "/opt/tritonserver/backends/python/triton_python_backend_stub",
    DESKTOP: "/usr/lib/xorg/Xorg",
}


class Machine:
    """A fake card whose processes a test changes; `said`: what the watch told."""

    def __init__(self, names: dict[int, str] | None = None, mute: bool = False) -> None:
        self.held: dict[int, int] = {}
        self.said: list[str] = []
        self._mute = mute  # the driver lists processes and not their bytes
        self._names = names or {}

    def read(self) -> list[Gpu]:
        used = RESERVED + sum(self.held.values())
        card = FakeCard(
            "NVIDIA GeForce RTX 3090", (8, 6), (TOTAL, TOTAL - used),
            computing={pid: None if self._mute else size for pid, size in self.held.items()},
        )  # fmt: skip
        return gpus.gpus(FakeNvml(card, names=self._names), {})


def made(machine: Machine, nvidia: Path, one: Plan, part: topology.Part = "all") -> VramWatch:
    started = launch.launch(one, MODELS, part, nvidia)
    found = vram.watch(deploy(one), started, machine.said.append, machine.read)
    assert isinstance(found, VramWatch)
    found._sleep = lambda seconds: None
    return found


def planned(one: Plan) -> dict[str, int]:
    return compute_ledger(one, {}).by_process()


def load_all(machine: Machine, watch: VramWatch, one: Plan) -> None:
    """Every process takes its share less 50 MiB, the server with one engine after the other."""
    shares, less = compute_ledger(one, {}).by_owner(), 50 * 2**20
    server = shares["tritonserver"] + shares["tritonserver, llm"] - less
    steps = {
        "llm": {SERVER: server},
        "whisper": {SERVER: server + shares["tritonserver, whisper"]},
        "align": {ALIGN: shares["align"] - less},
        "chat": {},
        "diarize": {DIARIZE: shares["diarize"] - less},
    }
    for model, held in steps.items():
        machine.held.update(held)
        watch.on_loaded(model)


@pytest.mark.parametrize("names", [NAMES, {}], ids=["named", "pids only"])
def test_what_is_planned_and_what_is_held_side_by_side(nvidia, names):
    one, machine = rtx3090(), Machine(names)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    table = watch.verify()
    rows = {row.process: row for row in table.rows}
    assert {name: row.planned_bytes for name, row in rows.items()} == planned(one)
    for process, size in planned(one).items():
        held = RESERVED if process == "driver" else size - 50 * 2**20
        assert rows[process].measured_bytes == held, process
    assert table.counted_bytes == compute_ledger(one, {}).total_bytes
    assert machine.said == []
    server = planned(one)["tritonserver"] / GIB
    wanted = ["tritonserver", f"{server:.2f}", "GiB", f"{server - 50 / 1024:.2f}", "GiB"]
    assert wanted in [line.split()[:5] for line in table.lines()]


def test_gauges_say_what_each_process_was_planned_and_has_now(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    watch.verify()
    machine.held[ALIGN] += 7
    machine.held[OTHER] = 11  # a model that was loaded again
    lines = watch.gauges().splitlines()
    align = planned(one)["align"]
    assert f'onecard_vram_planned_bytes{{process="align"}} {align}' in lines
    assert f'onecard_vram_used_bytes{{process="align"}} {align - 50 * 2**20 + 7}' in lines
    assert 'onecard_vram_used_bytes{process="new"} 11' in lines
    assert len([line for line in lines if line.startswith("# TYPE")]) == 2
    assert NoWatch().gauges() == ""


def test_without_bytes_a_process_is_what_the_card_grew_by(nvidia):
    one, machine = rtx3090(), Machine(mute=True)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    rows = {row.process: row.measured_bytes for row in watch.verify().rows}
    for process in ("tritonserver", "align", "diarize"):
        assert rows[process] == planned(one)[process] - 50 * 2**20


def test_others_that_hold_what_is_needed_are_named(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    machine.held[DESKTOP] = 6 * GIB
    with pytest.raises(ServerError, match=r"Xorg \(pid 900 of the host, 6\.00 GiB\); end them"):
        made(machine, nvidia, one).before()


def test_memory_that_is_given_back_in_time_is_waited_for(nvidia):
    one, machine = rtx3090(), Machine()
    machine.held[OTHER] = 15 * GIB  # of the Triton that has just ended
    watch = made(machine, nvidia, one)
    watch._sleep = lambda seconds: machine.held.clear()
    watch.before()
    assert machine.said == []


def test_a_desktop_within_the_headroom_is_only_told(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    machine.held[DESKTOP] = GIB
    watch = made(machine, nvidia, one)
    watch.before()
    assert len(machine.said) == 1
    assert "of 2 GiB of headroom" in machine.said[0]
    load_all(machine, watch, one)
    assert "Xorg" not in [row.process for row in watch.verify().rows]


def test_a_card_that_is_too_small_is_the_plans_error(nvidia):
    one, machine = rtx3090(), Machine()
    machine.read = lambda: gpus.gpus(  # type: ignore[method-assign]
        FakeNvml(FakeCard("NVIDIA RTX A4500", (8, 6), (20 * GIB, 19 * GIB))), {}
    )
    with pytest.raises(PlanError, match=r"set card\.vram_gib to 20\.0"):
        made(machine, nvidia, one).before()


def test_a_model_that_takes_its_share_and_the_headroom_is_refused_at_once(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    shares = compute_ledger(one, {}).by_owner()
    due = shares["tritonserver"] + shares["tritonserver, llm"]  # not what Whisper is to take
    machine.held = {SERVER: due + 2 * GIB}
    watch.on_loaded("llm")
    machine.held = {SERVER: due + 2 * GIB + 1}
    with pytest.raises(ServerError, match=r"model `llm`.* `tritonserver` holds"):
        watch.on_loaded("llm")


def test_less_than_the_headroom_too_much_is_told_and_refused_at_the_end(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    machine.held[SERVER] = planned(one)["tritonserver"] + GIB
    watch.on_loaded("triage")
    with pytest.raises(ServerError, match=r"(?s)does not become ready.*`tritonserver` needs"):
        watch.verify()


@pytest.mark.parametrize("context_mib", [500, 590])
def test_contexts_of_the_stated_range_become_ready(nvidia, context_mib):
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    contexts = [line for line in compute_ledger(one, {}).lines if line.name == "CUDA context"]
    counted = next(line.bytes for line in contexts if line.process == "tritonserver")
    machine.held[SERVER] = planned(one)["tritonserver"] - counted + context_mib * 2**20
    assert watch.verify().counted_bytes <= 22 * GIB


def test_the_cure_for_an_engine_makes_room_for_it_and_measures_nothing(nvidia):
    one, machine, more = rtx3090(), Machine(NAMES), 600 * 2**20
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    machine.held[SERVER] = planned(one)["tritonserver"] + more
    with pytest.raises(ServerError) as caught:
        watch.verify()
    cure = str(caught.value).splitlines()[0]
    assert "make measure" not in cure
    asked = re.search(r"VRAM_GIB=([\d.]+)`", cure)
    assert asked is not None
    given = fit_plan(plan.with_vram(one, float(asked[1])), {}).plan
    smaller = plan.with_vram(given, 24.0)
    assert compute_ledger(smaller, {}).total_bytes + more <= 22 * GIB
    headroom = re.search(r"card\.headroom_gib to ([\d.]+)", cure)
    assert headroom is not None
    assert compute_ledger(one, {}).total_bytes + more <= (24 - float(headroom[1])) * GIB


def test_what_make_measure_measures_is_told_to_be_measured():
    assert "make measure" in vram_report.cure("align")
    assert "make measure" not in vram_report.cure("tritonserver")


def test_what_is_still_to_come_must_be_free(nvidia):
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    load_all(machine, watch, one)
    held = sum(machine.held.values())
    machine.held[ALIGN] = 400 * 2**20  # the rest of its share comes with the first request
    first = watch._first
    assert first is not None
    watch._first = dataclasses.replace(
        first, processes=(gpus.GpuProcess(DESKTOP, "Xorg", TOTAL - held - RESERVED),)
    )
    machine.held[DESKTOP] = TOTAL - RESERVED - sum(machine.held.values()) - 2**20
    with pytest.raises(ServerError, match=r"still to be allocated.*Xorg"):
        watch.verify()


def test_in_one_process_an_engine_has_its_own_lines_only(nvidia):
    """The LLM may not take what Whisper needs, though both are the same process."""
    one, machine = rtx3090(), Machine(NAMES)
    watch = made(machine, nvidia, one)
    watch.before()
    machine.held = {SERVER: planned(one)["tritonserver"]}  # all of it, with Whisper still to come
    with pytest.raises(ServerError, match="after model `llm` was loaded `tritonserver` holds"):
        watch.on_loaded("llm")


def test_of_two_servers_each_counts_its_own_part_and_leaves_room_for_the_other(nvidia):
    machine, beams = Machine(NAMES), rtx3090("two_servers")  # of a greedy search it holds both
    one = dataclasses.replace(beams, speech=dataclasses.replace(beams.speech, beam_width=1))
    text = planned(one)["tritonserver (llm)"]
    machine.held[OTHER] = text  # the other server, which was started first
    watch = made(machine, nvidia, one, "speech")
    watch.before()
    machine.held[SERVER] = planned(one)["tritonserver (speech)"]
    watch.on_loaded("whisper")
    rows = {row.process: row.measured_bytes for row in watch.verify().rows}
    assert rows["tritonserver (speech)"] == machine.held[SERVER]
    assert rows["tritonserver (llm)"] is None
    machine.held[ALIGN] = planned(one)["align"] + GIB
    watch.on_loaded("align")
    with pytest.raises(ServerError, match="align"):
        watch.verify()


def test_pools_that_the_environment_turned_are_what_is_planned(nvidia):
    one = rtx3090()
    turned = {"MAX_TOKENS_IN_KV_CACHE": "6144", "MAX_ATTENTION_WINDOW_SIZE": "6144"}
    deployment = deploy(one, environment=turned)
    machine = Machine()
    started = launch.launch(one, MODELS, nvidia=nvidia)
    watch = vram.watch(deployment, started, machine.said.append, machine.read)
    assert isinstance(watch, VramWatch)
    less = planned(one)["tritonserver"] - watch._planned["tritonserver"]
    assert less == 2048 * 160 * 1024


def test_without_a_card_or_a_driver_nobody_watches(nvidia):
    cpu, one, said = plan.load("cpu"), rtx3090(), []
    without = vram.watch(deploy(cpu), launch.launch(cpu), said.append)
    assert isinstance(without, NoWatch)
    assert said == []
    started = launch.launch(one, MODELS, nvidia=nvidia)
    none = vram.watch(deploy(one), started, said.append, lambda: [])
    none.before()
    none.on_loaded("llm")
    assert none.verify() is None
    assert "NVML shows no GPU" in said[0]
