"""How much audio a run has, before anybody has decoded it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

from onecard_client._files.recording import Recording
from onecard_client._files.transcription import Done
from onecard_client._output.names import extension

# Of a recording as telephones and meetings make it, 16 kHz in 16 bits, until the first is done.
_BYTES_PER_S = 32000.0


class Estimate:
    """Learns from each recording that is done how many seconds its kind of file has in a byte."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.done_s = 0.0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._bytes: defaultdict[str, int] = defaultdict(int)

    def learn(self, done: Done) -> None:
        self.done_s += done.transcript.duration_s
        if done.recording.num_bytes:
            for kind in (extension(done.recording.file), ""):
                self._seconds[kind] += done.transcript.duration_s
                self._bytes[kind] += done.recording.num_bytes

    def seconds(self, recording: Recording) -> float:
        """Its seconds of audio, as far as one can tell."""
        for kind in (extension(recording.file), ""):
            if self._bytes[kind]:
                return recording.num_bytes * self._seconds[kind] / self._bytes[kind]
        return recording.num_bytes / _BYTES_PER_S

    def total_s(self, recordings: Iterable[Recording]) -> float:
        return sum(map(self.seconds, recordings))

    @property
    def is_sure(self) -> bool:
        """Whether anything was learnt."""
        return self.done_s > 0

    def speed(self) -> float:
        """Seconds of audio that are done in a second, since the run began."""
        return self.done_s / max(1e-3, time.monotonic() - self.started_s)
