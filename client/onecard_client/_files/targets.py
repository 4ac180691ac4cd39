"""Where the results of each file of a run go."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from onecard_client._files.recording import Recording, state
from onecard_client._files.selection import AudioFile
from onecard_client._output.names import STDIN, is_address, output_stems
from onecard_client._output.results import extensions


def recordings(
    audio_files: Sequence[AudioFile], output_dir: Path, output_format: str
) -> tuple[list[Recording], list[str]]:
    """A recording for each file, in their order, and notes on results with unusual names.

    Results lie below `output_dir` as the files do below what was named. Of files whose results go
    into one folder, none replaces another's.
    """
    stems: dict[AudioFile, str] = {one: one.stem for one in audio_files if one.stem is not None}
    notes: list[str] = []
    folders: defaultdict[Path, list[AudioFile]] = defaultdict(list)
    for one in audio_files:
        if one.stem is None:
            folders[one.below].append(one)
    for below, group in folders.items():
        files = [one.file for one in group]
        chosen, said = output_stems(files, output_dir / below, extensions(output_format))
        stems.update(zip(group, chosen, strict=True))
        notes += said
    made = [
        Recording(one.file, output_dir / one.below, stems[one], one.below, *state(one.file))
        for one in audio_files
    ]
    return made, notes


def once(files: Iterable[AudioFile]) -> list[AudioFile]:
    """The files without those that are given again, under whichever name."""
    first: dict[str, AudioFile] = {}
    for one in files:
        first.setdefault(identity(one.file), one)
    return list(first.values())


def identity(file: str) -> str:
    """The same for all names of one file."""
    return file if file == STDIN or is_address(file) else os.path.realpath(file)
