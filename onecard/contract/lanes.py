"""Channels that are transcribed separately: one behind the other, as one long recording.

Every model takes that recording like any other. Between two channels there is more silence than a
chunk may hold, so that nothing is cut across them. RESULT and events have the times of each channel
again, and its number as the speaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onecard.contract.whisper import CHUNK_S

Document = dict[str, Any]

GAP_S = float(CHUNK_S + 1)


@dataclass(frozen=True)
class Lanes:
    """The channels of a recording, `duration_s` each, with GAP_S between them."""

    num_channels: int
    duration_s: float

    @classmethod
    def of(cls, clip: Mapping[str, Any]) -> Lanes | None:
        """Those of a document CLIP; None where its channels are mixed."""
        num_channels = int(clip.get("num_separate") or 0)
        return cls(num_channels, float(clip["duration_s"])) if num_channels else None

    @property
    def end_s(self) -> float:
        """Where the last channel ends in the long recording."""
        return self.num_channels * (self.duration_s + GAP_S) - GAP_S

    @property
    def total_s(self) -> float:
        """The seconds of all channels, without the silence between them."""
        return self.num_channels * self.duration_s

    def channel(self, time_s: float) -> int:
        """The channel, from 0, that is heard at a time of the long recording."""
        found = int(max(0.0, time_s) // (self.duration_s + GAP_S))
        return min(found, self.num_channels - 1)

    def speaker(self, time_s: float) -> str:
        return f"SPEAKER_{self.channel(time_s):02d}"

    def placed(self, item: Mapping[str, Any], origin_s: float) -> Document:
        """An item with its `start` and `end` in the channel that is heard at `origin_s`."""
        first_s = self.channel(origin_s) * (self.duration_s + GAP_S)
        times = {key: item[key] for key in ("start", "end") if item.get(key) is not None}
        inside = {
            key: round(min(max(0.0, time_s - first_s), self.duration_s), 3)
            for key, time_s in times.items()
        }
        return {**item, **inside}

    def spoken(self, segments: Iterable[Mapping[str, Any]]) -> list[Document]:
        """Segments at their times in their channels, with the channel as speaker of every word."""
        found = []
        for segment in segments:
            start_s = float(segment["start"])
            speaker = self.speaker(start_s)
            placed = {**self.placed(segment, start_s), "speaker": speaker}
            words = [self.placed(word, start_s) for word in segment.get("words") or []]
            placed["words"] = [{**word, "speaker": speaker} for word in words]
            if segment.get("chars"):
                placed["chars"] = [self.placed(char, start_s) for char in segment["chars"]]
            found.append(placed)
        return found

    def reported(self, entries: Iterable[Mapping[str, Any]]) -> list[Document]:
        """Entries of `retried` and `dropped`, whose reasons name the channel."""
        return [
            {
                **self.placed(entry, float(entry["start"])),
                "reason": f"channel {self.channel(float(entry['start']))}: {entry['reason']}",
            }
            for entry in entries
        ]

    def turns(self, regions: Iterable[tuple[float, float]]) -> list[Document]:
        """Speech in each channel as the turns of a speaker, in order of time."""
        found = [
            {
                **self.placed({"start": start, "end": end}, start),
                "speaker": self.speaker(start),
            }
            for start, end in regions
        ]
        return sorted(found, key=lambda turn: (turn["start"], turn["end"]))
