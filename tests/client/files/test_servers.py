"""Several servers: files go to the one with least left, and from one that dies to the others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import Archive, Desk
from cutter import Cutter
from fake_server import FINISHED, FakeServer, events

from onecard_client import Client
from onecard_client.__main__ import main
from onecard_client._files.recording import Recording
from onecard_client._files.servers import Server, Servers, Task
from onecard_client._transport.channel import Address

NAMES = tuple(f"{number}.wav" for number in range(12))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path, *NAMES)


def line(archive: Archive, *urls: str) -> list[str]:
    return [*archive.line(), *(part for url in urls for part in ("--url", url))]


def test_both_work(archive: Archive, fake: Any) -> None:
    desks = [Desk(fake), Desk(fake)]
    assert main(line(archive, *(desk.url for desk in desks))) == 0
    assert desks[0].done + desks[1].done == dict.fromkeys(NAMES, 1)
    assert all(desk.done for desk in desks)


def test_files_of_a_server_that_dies_go_to_the_other(
    archive: Archive, fake: Any, capsys: Any
) -> None:
    dying, other = Desk(fake), Desk(fake)
    network = Cutter(dying.server.port)
    dying.stop_after = 0  # what it has is under way when it dies
    threading.Thread(target=cut_amid_work, args=(network, dying)).start()
    assert main(line(archive, network.url, other.url)) == 0
    assert len(archive.results()) == len(NAMES)
    assert other.done == dict.fromkeys(NAMES, 1)
    assert capsys.readouterr().err.count("its recordings go to whoever is there") == 1


def cut_amid_work(network: Cutter, desk: Desk) -> None:
    pause = threading.Event()
    while desk.asked.total() < 3:  # as many as it can hold
        pause.wait(0.01)
    network.cut()


def test_a_server_that_was_not_there_gets_files_when_it_is(archive: Archive, fake: Any) -> None:
    first = Desk(fake)
    first.stop_after = 4
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    late: list[Desk] = []

    def start_late() -> None:
        pause = threading.Event()
        while first.asked.total() < 7:
            pause.wait(0.01)
        late.append(Desk(lambda step: fake(step, port=port)))

    threading.Thread(target=start_late).start()

    def release() -> None:  # the first goes on when the other had its share
        pause = threading.Event()
        while not late or late[0].done.total() < 3:
            pause.wait(0.01)
        first.server.stop()

    threading.Thread(target=release).start()
    assert main(line(archive, first.url, f"127.0.0.1:{port}")) == 0
    assert first.done + late[0].done == dict.fromkeys(NAMES, 1)


def test_no_server_at_all(archive: Archive, capsys: Any) -> None:
    assert main(line(archive, "no-such-host.invalid", "127.0.0.1:1")) == 3
    said = capsys.readouterr().err
    assert "no-such-host.invalid:8001" in said
    assert "127.0.0.1:1" in said
    assert archive.results() == []


def recording(name: str) -> Recording:
    return Recording(name, Path(), name)


def test_the_next_goes_to_the_one_with_least_audio_left() -> None:
    one, other = Server("a", Client("a"), 2), Server("b", Client("b"), 3)
    both = Servers([one, other], None)
    one.tasks.append(Task(recording("long"), one, left_s=600.0))
    other.tasks += [Task(recording(name), other, left_s=30.0) for name in ("c", "d")]
    assert both.free() is other
    one.tasks[0].share = 0.95
    assert both.free() is one
    one.tasks.append(Task(recording("e"), one, left_s=1.0))
    assert both.free() is other  # the first holds no more than two
    other.is_up = False
    assert both.free() is None


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("dns:///card", "dns:///card:8001"),
        ("dns:///card:9001", "dns:///card:9001"),
        ("dns://10.0.0.1/card:9001", "dns://10.0.0.1/card:9001"),
    ],
)
def test_addresses_that_gRPC_balances(url: str, target: str) -> None:
    assert Address.parse(url) == Address(target)
    assert Address.parse(url).is_balanced


@pytest.mark.parametrize("url", ["dns://card:8001", "dns:///", "dns:"])
def test_half_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="dns:///host:port"):
        Address.parse(url + ("//" if url == "dns:" else ""))


@pytest.fixture
def name_server() -> Iterator[str]:
    """A FAKE name server, for which each name has the addresses 127.0.0.1 and 127.0.0.2."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                question, client = server.recvfrom(512)
            except OSError:
                return
            server.sendto(answer(question), client)

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.close()


def answer(question: bytes) -> bytes:
    """Two A records; to a question of another type, none."""
    end = question.index(b"\0", 12) + 5
    is_a = question[end - 4 : end - 2] == b"\0\1"
    head = question[:2] + b"\x81\x80\0\1" + (b"\0\2" if is_a else b"\0\0") + b"\0\0\0\0"
    records = (
        b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)
        for address in ("127.0.0.1", "127.0.0.2")
    )
    return head + question[12:end] + (b"".join(records) if is_a else b"")


def test_gRPC_spreads_calls_over_the_addresses_of_a_name(name_server: str, fake: Any) -> None:
    one: FakeServer = fake(events(FINISHED))
    other: FakeServer = fake(events(FINISHED), port=one.port, host="127.0.0.2")
    with Client(f"dns://{name_server}/cards.test:{one.port}") as client:
        pause = threading.Event()
        for _ in range(200):  # both connections stand only after a while
            client.transcribe(b"audio")
            if one.requests and other.requests:
                break
            pause.wait(0.01)
    assert one.requests
    assert other.requests
