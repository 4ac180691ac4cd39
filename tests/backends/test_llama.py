"""llama.cpp behind the decoder interface, against llama-cpp-python's own `Llama` on a real GGUF."""

import ctypes
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorrtllm_cpu.contract.settings import SettingsError
from tensorrtllm_cpu.llm import llama_cpp as llama
from tensorrtllm_cpu.llm.llama_cpp import LlamaModel
from tensorrtllm_cpu.llm.model import Slice

from onecard import manifest

ROOT = Path(__file__).parents[2]
GGUF = next(
    (Path(path) for path in [os.environ.get("ONECARD_TEST_GGUF", "")] if path),
    next(iter(sorted(ROOT.glob("engines/*/llm/model.gguf"))), None),
)
NUM_CELLS = 256  # llama.cpp rounds up to multiples of this
NUM_NEW = 8
TEXTS = (
    "The capital of France is",
    "Water boils at 100 degrees. It freezes at",
    "Monday, Tuesday, Wednesday, Thursday,",
    "Once upon a time there was a little girl who lived in a village near the forest. Whenever "
    "she went out, she wore a red riding cloak, so everyone in the village called her",
)


@pytest.fixture(scope="module")
def reference():
    """llama-cpp-python's own generator."""
    llama_cpp = pytest.importorskip(
        "llama_cpp", reason=f"llama-cpp-python is not installed: `{llama.INSTALL}`"
    )
    if GGUF is None:
        pytest.skip("no GGUF: an engine for llama.cpp, or ONECARD_TEST_GGUF=model.gguf")
    made = llama_cpp.Llama(
        str(GGUF), n_ctx=NUM_CELLS, n_threads=1, n_threads_batch=1, flash_attn=True, verbose=False
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory, reference):
    """An engine directory with the GGUF in it."""
    made = tmp_path_factory.mktemp("llm")
    (made / "model.gguf").symlink_to(GGUF)
    stated = reference.metadata
    found = {key.partition(".")[2]: value for key, value in stated.items()}
    head_dim = int(found["embedding_length"]) // int(found["attention.head_count"])
    facts = {
        "vocab_size": reference.n_vocab(),
        "num_hidden_layers": int(found["block_count"]),
        "num_key_value_heads": int(found["attention.head_count_kv"]),
        "head_dim": int(found.get("attention.key_length", head_dim)),
        "max_position_embeddings": int(found["context_length"]),
    }
    (made / "config.json").write_text(json.dumps(facts))
    says = {"model": "the model", "precision": "its own", "backend": "llama.cpp"}
    manifest.write(made, manifest.scan(made, name="llm", licence="?", **says))
    return made


def load(directory, max_kv_tokens=NUM_CELLS, **more):
    options = {"max_slots": 4, "max_step_tokens": 128, "num_threads": 1, **more}
    return LlamaModel(directory, max_kv_tokens=max_kv_tokens, **options)


@pytest.fixture(scope="module")
def loaded(directory):
    model = load(directory)
    yield model
    model.close()


@pytest.fixture
def model(loaded):
    """The one model of these tests, its cache empty."""
    for slot in range(4):
        loaded.release(slot)
    return loaded


@pytest.fixture(scope="module")
def prompts(reference):
    return [reference.tokenize(text.encode(), add_bos=False) for text in TEXTS]


def run_alone(model, prompt):
    """The likeliest continuation and the logits of each of its tokens."""
    held, tokens, new, rows = 0, list(prompt), [], []
    while len(new) < NUM_NEW:
        rows.append(model.forward([Slice(0, tokens, held)])[0])
        held += len(tokens)
        tokens = [int(rows[-1].argmax())]
        new += tokens
    model.release(0)
    return new, rows


@pytest.fixture(scope="module")
def alone(loaded, prompts):
    """What each prompt gives when nothing else runs."""
    return [run_alone(loaded, prompt) for prompt in prompts]


def assert_same(found, wanted):
    """llama.cpp rounds what goes into a product to 8 bits, so the order of its sums shows: by up
    to 0.04 here. A token that is lost or in the wrong place shows by several times that. (What is
    added to all logits alike changes nothing.)"""
    assert np.std(found - wanted) < 0.1 * np.std(wanted)


def test_continues_a_prompt_as_the_library_itself_does(reference, prompts, alone):
    for prompt, (found, _) in zip(prompts, alone, strict=True):
        generated = reference.generate(prompt, temp=0.0, repeat_penalty=1.0)
        assert found == [next(generated) for _ in range(NUM_NEW)]


def test_sequences_that_join_and_leave_give_what_each_gives_alone(model, prompts, alone):
    """The k-th joins at step 3k, in the others' steps, and leaves when it has its tokens."""
    held, done = [0] * len(prompts), [0] * len(prompts)
    for step in range(3 * len(prompts) + NUM_NEW):
        # The slots are not in the order of the slices.
        running = [k for k in range(len(prompts)) if 3 * k <= step and done[k] < NUM_NEW]
        if not running:
            break
        slices = [
            Slice(3 - k, [alone[k][0][done[k] - 1]] if done[k] else prompts[k], held[k])
            for k in running
        ]
        logits = model.forward(slices)
        assert logits.shape == (len(running), model.vocab_size)
        assert logits.dtype == np.float32
        for row, one, k in zip(logits, slices, running, strict=True):
            assert_same(row, alone[k][1][done[k]])
            held[k] += len(one.tokens)
            done[k] += 1
            if done[k] == NUM_NEW:
                model.release(one.slot)
    assert done == [NUM_NEW] * len(prompts)


def test_a_prompt_in_pieces_is_the_prompt(model, prompts):
    prompt = prompts[-1]
    whole = model.forward([Slice(0, prompt, 0)])[0]
    for begin in range(0, len(prompt), 5):
        pieces = model.forward([Slice(1, prompt[begin : begin + 5], begin)])[0]
    assert_same(pieces, whole)


def test_a_released_sequence_leaves_the_whole_cache_to_others(model, prompts):
    filling = (prompts[-1] * 20)[:100]
    wanted = model.forward([Slice(0, filling, 0)])[0]
    model.release(0)
    for first, second, third in [(0, 1, 2), (3, 2, 1)]:
        model.forward([Slice(first, filling, 0)])
        assert_same(model.forward([Slice(second, filling, 0)])[0], wanted)
        with pytest.raises(RuntimeError, match="no room"):
            model.forward([Slice(third, filling, 0)])
        model.release(first)
        assert_same(model.forward([Slice(third, filling, 0)])[0], wanted)
        model.release(second)
        model.release(third)


def test_a_step_that_does_not_fit_leaves_every_sequence_as_it_was(model, prompts, alone):
    prompt, (new, rows) = prompts[0], alone[0]
    filling = (prompts[-1] * 20)[:100]
    model.forward([Slice(0, prompt, 0), Slice(1, filling, 0)])
    model.forward([Slice(1, filling, 100)])
    with pytest.raises(RuntimeError, match=r"refused `101` tokens of `2` sequences.*no room"):
        model.forward([Slice(0, new[:1], len(prompt)), Slice(1, filling, 200)])
    # It holds no cell: both go on, and what was free takes as many tokens as before.
    left = NUM_CELLS - 200 - len(prompt) - 1
    logits = model.forward([Slice(0, new[:1], len(prompt)), Slice(1, filling[:left], 200)])
    assert_same(logits[0], rows[1])
    with pytest.raises(RuntimeError, match="no room"):
        model.forward([Slice(0, new[1:2], len(prompt) + 1)])
    model.release(1)
    assert_same(model.forward([Slice(0, new[1:2], len(prompt) + 1)])[0], rows[2])


def test_a_step_that_is_refused_changes_nothing(model, prompts, alone):
    prompt = prompts[1]
    last = Slice(0, prompt[-1:], len(prompt) - 1)
    model.forward([Slice(0, prompt[:-1], 0)])
    with pytest.raises(RuntimeError, match="not a valid one"):
        model.forward([last, Slice(1, [model.vocab_size], 0)])
    with pytest.raises(RuntimeError, match="`133` tokens, this context takes `132`"):
        model.forward([last, Slice(1, [1] * 132, 0)])
    assert_same(model.forward([last])[0], alone[1][1][0])


def test_a_step_that_breaks_off_holds_nothing(directory, prompts, alone):
    """llama.cpp computes 512 tokens at a time and keeps those of a step that ends in the second
    part; here it is told to abort there."""
    import llama_cpp

    model = load(directory, max_kv_tokens=768, max_step_tokens=520)
    prompt, filling = prompts[0], (prompts[-1] * 20)[:520]

    def in_second_part(_):
        return llama_cpp.llama_memory_seq_pos_max(model._memory, 1) >= 512

    abort = llama_cpp.ggml_abort_callback(in_second_part)
    llama_cpp.llama_set_abort_callback(model._context, abort, None)
    model.forward([Slice(0, prompt[:-1], 0)])
    with pytest.raises(RuntimeError, match="with `2`: it was told to abort"):
        model.forward([Slice(1, filling, 0)])
    for slot in (2, 3):
        model.forward([Slice(slot, filling[:370], 0)])
    last = model.forward([Slice(0, prompt[-1:], len(prompt) - 1)])
    assert_same(last[0], alone[0][1][0])
    model.close()


def test_counts_the_cache_as_the_library_does(directory, monkeypatch):
    said = []
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
        lambda _level, text, _: said.append(text.decode())
    )
    monkeypatch.setattr(llama, "_LOG", log)
    model = load(directory, max_kv_tokens=4096)
    monkeypatch.undo()
    load(directory).close()  # the library must not hold on to `log`
    found = re.search(r"kv_cache: size = +([\d.]+) MiB \( *(\d+) cells", "".join(said))
    assert float(found[1]) == pytest.approx(4096 * model.kv_bytes_per_token / 2**20, abs=0.005)
    assert int(found[2]) == 4096
    model.close()


def test_is_silent_and_says_what_it_is(directory, capfd):
    model = load(directory)
    model.forward([Slice(0, [1, 2, 3], 0)])
    assert capfd.readouterr() == ("", "")
    assert re.search(
        r"^llama.cpp \(llama-cpp-python [\d.]+\), the model from .*, its own, "
        r"(all layers|no layer) on (the|a) GPU, 1 thread\(s\), KV cache 256 tokens",
        model.description,
    )
    model.close()


def test_gives_its_memory_back(directory):
    def resident_mib():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def use():
        model = load(directory, max_kv_tokens=4096)
        model.forward([Slice(0, [1, 2, 3], 0)])
        size_mib = 4096 * model.kv_bytes_per_token / 2**20
        return size_mib  # without a call of close()

    size_mib = use()
    before = resident_mib()
    for _ in range(5):
        use()
    assert resident_mib() - before < 2 * size_mib


def test_a_file_that_is_no_model_is_named(tmp_path, directory, capfd):
    for name in ("config.json", manifest.FILENAME):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(SettingsError, match=r"cannot load `.*/model\.gguf`.*make engines"):
        load(tmp_path)
    assert "llama_model_load" in capfd.readouterr().err


def test_says_how_to_install_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(SettingsError, match=r"pip install llama-cpp-python.*GGML_CUDA"):
        load(tmp_path)
