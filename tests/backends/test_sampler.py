"""The next token from given logits: bans, penalties and draws against plain definitions."""

import llm_calls as calls
import numpy as np
import pytest
from tensorrtllm_cpu.contract import request, settings
from tensorrtllm_cpu.contract.refusal import Refusal
from tensorrtllm_cpu.llm.sampler import Sampler, ends_with

VOCAB = 3000


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(5).normal(0, 3, VOCAB).astype(np.float32)


def sampler(prompt=(5, 6, 7), **asked):
    asked.setdefault("end_id", 2)
    outputs = frozenset({"output_ids", "sequence_length", "output_log_probs"})
    inputs = calls.tensors(prompt, **asked)
    read = request.read(inputs, outputs, settings.read(calls.config(), 1))
    return Sampler(read, VOCAB, None)


def drawn(logits, count=4000, **asked):
    return np.bincount(
        [sampler(seed=s, **asked).next(logits)[0] for s in range(count)], minlength=VOCAB
    )


def softmax(scores):
    weights = np.exp(scores.astype(np.float64) - scores.max())
    return weights / weights.sum()


@pytest.mark.parametrize(
    "asked",
    [{}, {"runtime_top_k": 1, "temperature": 5.0}, {"temperature": 0.0, "runtime_top_p": 0.9}],
)
def test_without_a_draw_the_highest_logit_wins(logits, asked):
    assert sampler(**asked).next(logits)[0] == logits.argmax()


def nucleus(probabilities, top_p):
    order = np.argsort(-probabilities)
    return order[: np.searchsorted(probabilities[order].cumsum(), top_p) + 1]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"runtime_top_k": 5}, lambda p: np.argsort(-p)[:5]),
        ({"runtime_top_p": 0.4}, lambda p: nucleus(p, 0.4)),
        ({"runtime_top_k": 8, "runtime_top_p": 0.5}, None),
        ({"runtime_top_k": 5, "temperature": 2.0}, lambda p: np.argsort(-p)[:5]),
    ],
)  # fmt: skip
def test_draws_follow_the_probabilities_of_what_top_k_and_top_p_keep(logits, asked, kept):
    probabilities = softmax(logits / np.float32(asked.get("temperature", 1.0)))
    if kept is None:  # top-p counts within the top-k
        best = np.argsort(-probabilities)[:8]
        share = probabilities[best] / probabilities[best].sum()
        allowed = best[: np.searchsorted(share.cumsum(), 0.5) + 1]
    else:
        allowed = kept(probabilities)
    counts = drawn(logits, **asked)
    assert set(np.flatnonzero(counts)) <= set(allowed.tolist())
    expected = probabilities[allowed] / probabilities[allowed].sum()
    # Five standard deviations of a binomial count.
    bound = 5 * np.sqrt(counts.sum() * expected * (1 - expected)) + 1
    assert (np.abs(counts[allowed] - counts.sum() * expected) <= bound).all()


def test_the_whole_vocabulary_is_drawn_from_where_nothing_narrows_it():
    flat = np.zeros(VOCAB, np.float32)
    counts = drawn(flat, runtime_top_k=0, runtime_top_p=1.0)
    assert np.count_nonzero(counts) > 0.6 * VOCAB
    assert counts.max() <= 12


def test_equal_seeds_draw_equally_and_a_missing_one_is_seed_0(logits):
    def run(**asked):
        one = sampler(runtime_top_k=50, **asked)
        return [one.next(logits)[0] for _ in range(20)]

    assert run(seed=7) == run(seed=7)
    assert run(seed=7) != run(seed=8)
    assert run() == run(seed=0)
    assert run(seed=2**64 - 1) != run(seed=1)


def test_a_bias_is_added_to_the_logits(logits):
    bias = np.zeros(VOCAB, np.float32)
    bias[77] = 100
    assert sampler(embedding_bias=bias).next(logits)[0] == 77


def test_bad_words_are_never_completed(logits):
    first, second = np.argsort(-logits)[:2].tolist()
    assert sampler(bad_words_list=calls.words([first])).next(logits)[0] == second
    # of a longer word the beginning is free
    one = sampler(bad_words_list=calls.words([first, first]))
    assert [one.next(logits)[0] for _ in range(4)] == [first, second, first, second]
    # the prompt's end may be the word's beginning
    assert sampler((5, first), bad_words_list=calls.words([first, first])).next(logits)[0] == second


def test_the_end_comes_after_min_tokens_at_the_earliest():
    wants_end = np.zeros(VOCAB, np.float32)
    wants_end[[2, 9]] = 10, 5
    one = sampler(min_tokens=2)
    assert [one.next(wants_end)[0] for _ in range(4)] == [9, 9, 2, 2]
    assert sampler(min_tokens=2, end_id=-1).next(wants_end)[0] == 2  # no end token: an ordinary one


def test_penalties_count_the_prompt_and_what_was_generated():
    # token 5 is in the prompt twice, 8 nowhere
    level = np.full(VOCAB, -10, np.float32)
    level[[5, 8]] = 4.0, 3.0
    assert sampler((5, 5)).next(level)[0] == 5
    assert sampler((5, 5), presence_penalty=0.9).next(level)[0] == 5
    assert sampler((5, 5), presence_penalty=1.1).next(level)[0] == 8
    assert sampler((5, 5), frequency_penalty=0.6).next(level)[0] == 8  # 2 x 0.6
    assert sampler((5, 5), frequency_penalty=0.4).next(level)[0] == 5
    assert sampler((5, 5), repetition_penalty=1.4).next(level)[0] == 8  # 4 / 1.4 < 3
    one = sampler((9,), presence_penalty=1.1)
    assert [one.next(level)[0] for _ in range(3)] == [5, 8, 5]  # each lowered once, not again


def test_a_repetition_penalty_lowers_negative_logits_too():
    level = np.full(VOCAB, -10, np.float32)
    level[[5, 8]] = -1.0, -1.5
    assert sampler((5,), repetition_penalty=2.0).next(level)[0] == 8


def test_log_probabilities_are_the_models_own(logits):
    token, log_prob = sampler(return_log_probs=True, runtime_top_k=9, temperature=3.0).next(logits)
    assert log_prob == pytest.approx(np.log(softmax(logits)[token]), abs=1e-5)
    assert sampler().next(logits)[1] == 0  # nobody asked


def test_when_everything_is_banned_the_request_hears_of_it():
    only = np.full(VOCAB, -np.inf, np.float32)
    only[3] = 0
    with pytest.raises(Refusal, match="bans and guide exclude every token"):
        sampler(bad_words_list=calls.words([3])).next(only)


def test_logits_are_left_as_they_are(logits):
    before = logits.copy()
    sampler(presence_penalty=1.0, bad_words_list=calls.words([1]), runtime_top_k=4).next(logits)
    assert (logits == before).all()


def test_stop_words_are_found_at_the_end_alone():
    assert ends_with([1, 2, 3], [(2, 3)])
    assert not ends_with([2, 3, 1], [(2, 3)])
    assert not ends_with([3], [(2, 3)])
    assert not ends_with([], [(2,)])
