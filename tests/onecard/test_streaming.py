"""The order of events, and that groups join to what one call would have given."""

import json
import threading
import time

import pytest

from onecard import streaming
from onecard.errors import InvalidRequest
from onecard.options import TranscribeOptions

GATES = streaming.Gates(streaming.Config(1, 2, 2, 1))


class Models:
    """Stands in for the other models: text is the chunk's number, so that order shows."""

    def __init__(self, num_chunks, fails=None):
        self.num_chunks = num_chunks
        self.fails = fails
        self.languages = []
        self.lock = threading.Lock()

    def __call__(self, model, /, **inputs):
        if model == self.fails:
            raise InvalidRequest(f"{model} says no")
        return getattr(self, model)(**inputs)

    def cut(self, pcm, first, last):
        return pcm

    def decode_audio(self, AUDIO, OPTIONS):
        return {"PCM": AUDIO, "CLIP": "{}"}

    def detect_speech(self, PCM, OPTIONS):
        chunks = [{"start": float(n), "end": n + 0.5} for n in range(self.num_chunks)]
        return {"SPEECH": json.dumps({"chunks": chunks}), "SCORES": None}

    def diarize(self, PCM, SCORES, OPTIONS):
        return {"TURNS": "{}"}

    def recognize(self, PCM, SPEECH, OPTIONS):
        with self.lock:
            self.languages.append(json.loads(OPTIONS)["language"])
        segments = [{"text": str(chunk["start"])} for chunk in json.loads(SPEECH)["chunks"]]
        document = {"language": "fr", "segments": segments, "warnings": ["same"], "dropped": []}
        return {"SEGMENTS": json.dumps(document)}

    def align(self, PCM, SEGMENTS, OPTIONS):
        document = json.loads(SEGMENTS)
        return {"ALIGNED": json.dumps({**document, "aligners": {"ctc": len(document["segments"])}})}

    def label(self, CLIP, SPEECH, ALIGNED, TURNS, OPTIONS):
        return {"RESULT": ALIGNED}


@pytest.mark.parametrize("num_chunks", [0, 1, 3, 4, 9])
def test_segments_arrive_in_order_and_add_up_to_the_result(num_chunks):
    models = Models(num_chunks)
    found = list(streaming.events(models, b"audio", TranscribeOptions(), 2, GATES))
    told = [s for e in found if e["event"] == "segments" for s in e["segments"]]
    result = found[-1]["result"]
    assert found[-1]["event"] == "result"
    assert told == result["segments"] == [{"text": str(float(n))} for n in range(num_chunks)]
    assert result["warnings"] == ["same"]
    assert result["aligners"] == {"ctc": num_chunks}


def test_the_first_group_tells_the_others_the_language():
    models = Models(6)
    list(streaming.events(models, b"audio", TranscribeOptions(), 2, GATES))
    assert models.languages == [None, "fr", "fr"]


def test_progress_counts_up_to_the_number_of_chunks():
    found = streaming.events(Models(5), b"audio", TranscribeOptions(), 2, GATES)
    done = [e["done"] for e in found if e["event"] == "progress" and e["stage"] == "recognize"]
    assert done == [0, 2, 4, 5]


@pytest.mark.parametrize("fails", ["decode_audio", "diarize", "align", "label"])
def test_what_a_model_refuses_reaches_the_caller(fails):
    with pytest.raises(InvalidRequest, match=f"{fails} says no"):
        list(streaming.events(Models(3, fails), b"audio", TranscribeOptions(), 2, GATES))


def test_a_long_recording_lets_a_short_one_pass():
    """The short one waits for what is under way, not for the rest of the long one."""
    gates = streaming.Gates(streaming.Config(2, 1, 1, 1))
    is_under_way, may_go_on = threading.Event(), threading.Event()
    order = []

    def transcribe(models, name):
        def call(model, /, **inputs):
            if model == "recognize":
                order.append(name)
                if len(order) == 3:
                    is_under_way.set()
                    may_go_on.wait(10)
            return models(model, **inputs)

        call.cut = models.cut
        list(streaming.events(call, b"audio", TranscribeOptions(), 1, gates))

    long = threading.Thread(target=transcribe, args=(Models(30), "long"))
    short = threading.Thread(target=transcribe, args=(Models(1), "short"))
    long.start()
    assert is_under_way.wait(10)
    short.start()
    while len(gates.recognize._waiting) < 3:  # two of the long one's, and the short one's
        time.sleep(0.001)
    may_go_on.set()
    for thread in (short, long):
        thread.join(10)
    assert len(order) == 31
    # The next turn, or the one after it where that was the turn of whoever had waited longest.
    assert order.index("short") <= 4
