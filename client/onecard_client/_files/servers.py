"""The servers of a run, what each has to do, and which of them gets the next recording."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from onecard_client._clients.blocking import Client
from onecard_client._errors import ConnectionFailed, DeadlineExceeded, OnecardError
from onecard_client._files.recording import Recording
from onecard_client._transport.channel import Address
from onecard_client._transport.retry import Backoff

# How long a server that is gone is left alone, from the first look to later ones.
_PATIENCE = Backoff(first_s=0.5, max_s=10.0)


@dataclass
class Task:
    """A recording at a server.

    Attributes:
        share: how much of it is recognized, from 0 to 1.
        left_s: seconds of audio that it was taken for when it was sent.
        is_alone: nothing else is under way, so that it alone can bring a server down.
    """

    recording: Recording
    server: Server
    left_s: float
    share: float = 0.0
    is_alone: bool = False


@dataclass(eq=False)
class Server:
    """A server, and what it works on.

    Attributes:
        capacity: how many recordings keep it busy.
        is_up: whether it gets recordings.
        num_failures: how often it was gone, or had no room, since it last was well.
        not_before_s: when it may be asked again.
    """

    url: str
    client: Client
    capacity: int = 1
    is_up: bool = True
    is_asked: bool = False
    num_failures: int = 0
    not_before_s: float = float("-inf")
    tasks: list[Task] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        """Seconds of audio that it has left to do."""
        return sum(task.left_s * (1.0 - task.share) for task in self.tasks)

    def rest(self) -> None:
        """Leaves it alone for a while, which grows."""
        self.num_failures += 1
        self.not_before_s = time.monotonic() + _PATIENCE.delay_s(self.num_failures)

    def is_well(self) -> None:
        self.num_failures = 0
        self.not_before_s = float("-inf")
        self.is_up = True


class Servers:
    """All servers of a run. Made by `servers`.

    Args:
        jobs: how many recordings are sent at once in all; None for what the servers can hold.
    """

    def __init__(self, all_servers: Sequence[Server], jobs: int | None) -> None:
        self.all = list(all_servers)
        self._jobs = jobs

    @property
    def num_jobs(self) -> int:
        """Recordings that may be under way at a time."""
        return self._jobs or sum(server.capacity for server in self.all)

    @property
    def tasks(self) -> list[Task]:
        return [task for server in self.all for task in server.tasks]

    def free(self) -> Server | None:
        """The server for the next recording: of those with room the one with least audio left."""
        if len(self.tasks) >= self.num_jobs:
            return None
        now_s = time.monotonic()
        free = [
            server
            for server in self.all
            if server.is_up
            and now_s >= server.not_before_s
            and (self._jobs or len(server.tasks) < server.capacity)
        ]
        return min(free, key=lambda server: (server.left_s, len(server.tasks)), default=None)

    def are_all_down(self) -> bool:
        return not any(server.is_up for server in self.all)

    def to_ask(self) -> list[Server]:
        """Those that were gone and may be asked whether they are back."""
        now_s = time.monotonic()
        return [
            server
            for server in self.all
            if not (server.is_up or server.is_asked) and now_s >= server.not_before_s
        ]


@contextmanager
def servers(
    urls: Sequence[str],
    jobs: int | None,
    say: Callable[[str], object],
    *,
    must_answer: bool = False,
) -> Iterator[Servers]:
    """Connects to servers and asks each how much it can hold.

    A single one is waited for by its client, as that of any call. Of several, the calls are not
    repeated by the client: what fails at one server goes to another.

    Args:
        must_answer: a single server has to be there now, as one of several always has.

    Raises:
        ConnectionFailed: none of the servers answers.
        ValueError: an address is none.
    """
    is_single = len(urls) == 1
    with ExitStack() as stack:
        all_servers = []
        for url in urls:
            waits = (lambda error: say(_waiting(error))) if is_single else None
            client = Client(url, max_retries=None if is_single else 0, on_outage=waits)
            all_servers.append(Server(url, stack.enter_context(client)))
        lost = [error for server in all_servers if (error := _ask(server)) is not None]
        if len(lost) == len(all_servers) and (must_answer or not is_single):
            raise ConnectionFailed("; ".join(map(str, lost)))
        if not is_single:
            for error in lost:
                say(f"{error}; the others go on, and it gets recordings when it is there")
            for server in all_servers:
                if not server.is_up:
                    server.rest()
        else:
            all_servers[0].is_up = True
        yield Servers(all_servers, jobs)


def _ask(server: Server) -> OnecardError | None:
    """Asks what a server can hold; the error where it is not there."""
    try:
        server.capacity = server.client.capacity() * _num_addresses(server.url)
    except (ConnectionFailed, DeadlineExceeded) as error:
        server.is_up = False
        return error
    except OnecardError:  # it is there, and does not say
        server.capacity = 1
    return None


def _num_addresses(url: str) -> int:
    """To how many servers gRPC spreads the calls to an address."""
    address = Address.parse(url)
    if not address.is_balanced:
        return 1
    host, _, port = address.target.rpartition("/")[2].rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError:  # a name that another name server knows
        return 1
    return max(1, len({entry[4] for entry in found if entry[0] == found[0][0]}))


def _waiting(error: OnecardError) -> str:
    return (
        "the server was there and is gone; waiting for it to come back for as long as --timeout-s "
        f"allows ({error})"
    )
