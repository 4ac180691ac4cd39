"""The order of events, and that groups join to what one call would have given."""

import contextlib
import dataclasses
import json
import threading
import time

import numpy as np
import pytest

from onecard import audio, documents
from onecard.audio import spool, windows
from onecard.contract import pipeline
from onecard.errors import Cancelled, InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from onecard.streaming import transcription
from tests.spools import open_spools
from tests.waiting import PATIENCE_S

CONFIG = transcription.Config(
    max_streams=1, max_audio_bytes=1, windows_per_piece=4, chunks_per_piece=2,
    diarize_in_pieces=True, places=2, detect_places=1, recognize_places=2, align_places=1,
    diarize_places=1,
)  # fmt: skip
AUDIO = np.zeros(5 * audio.SAMPLE_RATE, np.int16)  # a window: one piece
LONG = np.zeros(20 * audio.SAMPLE_RATE, np.int16)  # 31 windows


def events(call, pcm=AUDIO, config=CONFIG, admission=None, **options):
    sent = spool.Spool()
    sent.write(pcm.tobytes())
    options = TranscribeOptions(**options)
    return transcription.events(call, sent, options, config, admission or config.admission())


def numbered(pcm):
    """SCORES of a part of a recording whose first sample says where it begins."""
    return pcm[0] + np.arange(windows.SEGMENTATION.count(len(pcm)), dtype=np.float32)


class Models:
    """Stands in for the other models: text is the chunk's number, so that order shows."""

    def __init__(self, num_chunks, fails=None):
        self.num_chunks = num_chunks
        self.fails = fails
        self.languages = []
        self.called = []
        self.lock = threading.Lock()

    def __call__(self, model, /, outputs=(), **inputs):
        if model == self.fails:
            raise InvalidRequest(f"{model} says no")
        assert set(inputs) <= {tensor.name for tensor in pipeline.PYTHON_MODELS[model].inputs}
        with self.lock:
            self.called.append((model, *outputs))
        found = getattr(self, model)(**inputs)
        return {name: found[name] for name in outputs or found}

    def array(self, tensor):
        return tensor

    def check(self):
        pass

    def stopping(self, stop):
        return contextlib.nullcontext()

    def decode_audio(self, AUDIO_FILE, PCM_FILE, OPTIONS):
        with spool.opened(AUDIO_FILE) as source, spool.opened(PCM_FILE) as target:
            target.write(source.read())
        return {"CLIP": "{}"}

    def detect_speech(self, OPTIONS, PCM=None, NUM_SAMPLES=None, SCORES_FILE=None):
        chunks = [{"start": float(n), "end": n + 0.5} for n in range(self.num_chunks)]
        scores = numbered(PCM) if SCORES_FILE is None else spool.rows(SCORES_FILE)
        return {"SPEECH": json.dumps({"chunks": chunks}), "SCORES": scores}

    def diarize(
        self, OPTIONS, PCM=None, NUM_SAMPLES=None, SCORES=None, SCORES_FILE=None,
        EMBEDDINGS_FILE=None,
    ):  # fmt: skip
        """An embedding is its window's score, so that what belongs together shows."""
        scores = spool.rows(SCORES_FILE) if SCORES is None else SCORES
        embeddings = scores if EMBEDDINGS_FILE is None else spool.rows(EMBEDDINGS_FILE)
        num_samples = len(PCM) if NUM_SAMPLES is None else NUM_SAMPLES[0]
        assert len(scores) == windows.SEGMENTATION.count(num_samples)
        assert np.array_equal(embeddings, scores)
        return {"TURNS": "{}", "EMBEDDINGS": embeddings}

    def recognize(self, PCM, SPEECH, OPTIONS):
        with self.lock:
            self.languages.append(json.loads(SPEECH).get("language"))
        segments = [{"text": str(chunk["start"])} for chunk in json.loads(SPEECH)["chunks"]]
        document = {"language": "fr", "segments": segments, "warnings": ["same"], "dropped": []}
        return {"SEGMENTS": json.dumps(document)}

    def align(self, PCM, SEGMENTS, OPTIONS):
        document = json.loads(SEGMENTS)
        cut = [{**segment, "tokens": [1], "token_letters": [1]} for segment in document["segments"]]
        aligners = {"ctc": len(cut)}
        return {"ALIGNED": json.dumps({**document, "segments": cut, "aligners": aligners})}

    def label(self, CLIP, SPEECH, ALIGNED, TURNS, OPTIONS):
        return {"RESULT": ALIGNED}


@pytest.mark.parametrize("num_chunks", [0, 1, 3, 4, 9])
def test_segments_arrive_in_order_and_add_up_to_the_result(num_chunks):
    models = Models(num_chunks)
    found = list(events(models))
    told = [s for e in found if e["event"] == "segments" for s in e["segments"]]
    assert {e["language"] for e in found if e["event"] == "segments"} == {"fr"}
    result = json.loads(found[-1]["result"])
    assert found[-1]["event"] == "result"
    assert told == [{"text": str(float(n)), "tokens": [1]} for n in range(num_chunks)]
    assert result["segments"] == [{**segment, "token_letters": [1]} for segment in told]
    assert result["warnings"] == ["same"]
    assert result["aligners"] == {"ctc": num_chunks}


def test_the_result_arrives_as_label_wrote_it():
    """Spaces that no writer of ours makes show that nobody reads it and writes it again."""
    text = '{"text" :  "Stra\u00dfe \u20ac",\n "score": 1.50}'

    class Labelled(Models):
        def label(self, **_):
            return {"RESULT": text}

    last = list(events(Labelled(1)))[-1]
    assert documents.write(last) == '{"event": "result", "result": ' + text + "}"


def test_the_first_group_tells_the_others_the_language():
    models = Models(6)
    list(events(models))
    assert models.languages == [None, "fr", "fr"]


def test_each_group_goes_on_from_the_text_of_the_one_before():
    before = []

    class Remembering(Models):
        def recognize(self, PCM, SPEECH, OPTIONS):
            asked = json.loads(SPEECH)
            before.append(asked.get("previous"))
            document = json.loads(super().recognize(PCM, SPEECH, OPTIONS)["SEGMENTS"])
            document["previous"] = [len(before)]
            return {"SEGMENTS": json.dumps(document)}

    list(events(Remembering(8), condition_on_previous_text=True))
    assert before == [None, [1], [2], [3]]


def test_segments_of_separate_channels_have_their_speaker_and_its_times():
    class Separate(Models):
        def decode_audio(self, AUDIO_FILE, PCM_FILE, OPTIONS):
            super().decode_audio(AUDIO_FILE, PCM_FILE, OPTIONS)
            return {"CLIP": '{"duration_s": 1.0, "num_separate": 2}'}

        def align(self, PCM, SEGMENTS, OPTIONS):
            document = json.loads(super().align(PCM, SEGMENTS, OPTIONS)["ALIGNED"])
            for segment in document["segments"]:
                segment |= {"start": 32.25, "end": 32.5, "words": []}
            return {"ALIGNED": json.dumps(document)}

    found = list(events(Separate(1), channels="separate"))
    (told,) = (e["segments"] for e in found if e["event"] == "segments")
    assert (told[0]["start"], told[0]["end"], told[0]["speaker"]) == (0.25, 0.5, "SPEAKER_01")


def test_progress_counts_up_to_the_number_of_chunks():
    found = events(Models(5))
    done = [e["done"] for e in found if e["event"] == "progress" and e["stage"] == "recognize"]
    assert done == [0, 2, 4, 5]


@pytest.mark.parametrize("fails", ["decode_audio", "diarize", "align", "label"])
def test_what_a_model_refuses_reaches_the_caller(fails):
    with pytest.raises(InvalidRequest, match=f"{fails} says no"):
        list(events(Models(3, fails)))


def test_a_long_recording_goes_through_in_pieces_that_join():
    """What `numbered` gives the pieces is what it gives the whole: one window follows the other."""
    models = Models(1)
    pcm = LONG.copy()
    pcm[:: windows.SEGMENTATION.step] = np.arange(40)  # at the start of each window, its number
    list(events(models, pcm))
    assert models.called.count(("detect_speech", "SCORES")) == 8
    assert models.called.count(("detect_speech", "SPEECH")) == 1
    assert models.called.count(("diarize", "EMBEDDINGS")) == 8
    assert models.called.count(("diarize", "TURNS")) == 1


@pytest.mark.parametrize(
    ("pcm", "config", "options"),
    [
        (AUDIO, CONFIG, {}),
        (LONG, CONFIG, {"diarize": False}),
        (LONG, dataclasses.replace(CONFIG, diarize_in_pieces=False), {}),
    ],
    ids=["short", "not wanted", "of another pipeline"],
)
def test_otherwise_it_is_told_apart_as_a_whole(pcm, config, options):
    models = Models(1)
    list(events(models, pcm, config, **options))
    assert [call for call in models.called if call[0] == "diarize"] == [("diarize", "TURNS")]


@pytest.mark.parametrize("fails", ["recognize", "diarize"])
def test_when_one_branch_fails_the_other_begins_nothing_more(fails):
    """The one that fails does so when the other is under way."""
    other = {"recognize": "diarize", "diarize": "recognize"}[fails]
    models = Models(40)
    is_under_way = threading.Event()

    def call(model, /, outputs=(), **inputs):
        if model == fails:
            assert is_under_way.wait(PATIENCE_S)
            raise InvalidRequest("no")
        if model == other:
            is_under_way.set()
            time.sleep(0.05)
        return models(model, outputs, **inputs)

    call.array, call.check, call.stopping = models.array, models.check, models.stopping
    with pytest.raises(InvalidRequest, match="no"):
        list(events(call, np.tile(LONG, 5)))
    assert sum(called[0] == other for called in models.called) < 8


def test_who_goes_away_leaves_the_queue():
    admission = CONFIG.admission()
    with admission.turn("detect_speech", 0.0, lambda: None), pytest.raises(Cancelled):
        list(events(Gone(1), admission=admission))
    assert not admission._waiting
    assert [e["event"] for e in events(Models(1), admission=admission)][-1] == "result"


def test_the_files_of_a_recording_are_closed_with_it():
    before = open_spools()
    for models in (Models(1), Models(3, "align")):
        with contextlib.suppress(InvalidRequest):
            list(events(models))
    running = events(Models(9))
    next(running)
    running.close()
    assert open_spools() == before


class Left(Models):
    """Its caller leaves while a model works, which looks at the spools meanwhile."""

    def __init__(self, model):
        super().__init__(3)
        self.model = model
        self.has_left = False
        self.spools = None

    def __call__(self, model, /, outputs=(), **inputs):
        found = super().__call__(model, outputs, **inputs)
        if model == self.model and not self.has_left:
            self.has_left = True
            self.stop()
            self.spools = open_spools()
        return found

    def check(self):
        if self.has_left:
            raise Cancelled("the caller cancelled the request")

    @contextlib.contextmanager
    def stopping(self, stop):
        self.stop = stop
        yield


@pytest.mark.parametrize(
    "model", ["decode_audio", "detect_speech", "recognize", "align", "diarize"]
)
def test_who_leaves_gives_room_back_while_a_model_still_works(model):
    before = open_spools()
    models = Left(model)
    with pytest.raises(Cancelled):
        list(events(models, LONG))
    assert models.spools == before


class Gone(Models):
    def check(self):
        raise Cancelled("the caller cancelled the request")


@pytest.mark.parametrize("name", ["places", "align_places", "windows_per_piece"])
def test_a_configuration_without_places_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is `0`, must be at least 1"):
        dataclasses.replace(CONFIG, **{name: 0})


def test_progress_counts_the_pieces_of_diarization():
    models = Models(1)

    def call(model, /, outputs=(), **inputs):
        if model == "diarize":
            time.sleep(0.3)
        return models(model, outputs, **inputs)

    call.array, call.check, call.stopping = models.array, models.check, models.stopping
    found = [e for e in events(call, LONG) if e.get("stage") == "diarize"]
    assert len(found) > 1
    assert [e["done"] for e in found] == sorted({e["done"] for e in found})
    assert {e["total"] for e in found} == {8}


def test_progress_counts_the_pieces_of_detection():
    found = [e for e in events(Models(1), LONG) if e.get("stage") == "detect_speech"]
    assert [(e["done"], e["total"]) for e in found] == [(done, 8) for done in range(8)]


class Doors:
    """Holds every admitted piece until it is let on, and keeps the order of the pieces."""

    def __init__(self, admission):
        self.admission = admission
        self.order = []
        self.may_go_on = threading.Event()
        self.is_under_way = threading.Event()

    def transcribe(self, name, models, pcm):
        def call(model, /, outputs=(), **inputs):
            if model in ("detect_speech", "recognize"):
                self.order.append(name)
                if len(self.order) == 3:
                    self.is_under_way.set()
                    self.may_go_on.wait(PATIENCE_S)
            return models(model, outputs, **inputs)

        call.array, call.check, call.stopping = models.array, models.check, models.stopping
        list(events(call, pcm, admission=self.admission, diarize=False))

    def start(self, *args):
        thread = threading.Thread(target=self.transcribe, args=args)
        thread.start()
        return thread


@pytest.mark.parametrize("num_chunks", [1, 40], ids=["in detection", "in recognition"])
def test_a_long_recording_lets_a_short_one_pass(num_chunks):
    """The short one waits for what is under way, not for the rest of the long one."""
    doors = Doors(dataclasses.replace(CONFIG, places=1).admission())
    pcm = np.tile(LONG, 5) if num_chunks == 1 else AUDIO[: 4 * audio.SAMPLE_RATE]
    long = doors.start("long", Models(num_chunks), pcm)
    assert doors.is_under_way.wait(PATIENCE_S)
    short = doors.start("short", Models(1), AUDIO[: audio.SAMPLE_RATE])
    while not any(waiting.left == 1.0 for waiting in list(doors.admission._waiting.values())):
        time.sleep(0.001)
    doors.may_go_on.set()
    for thread in (short, long):
        thread.join(PATIENCE_S)
    assert len(doors.order) > 20
    # The next turn, or the one after it where that was the turn of whoever had waited longest.
    assert doors.order.index("short") <= 4


def test_what_loading_a_model_took_is_added_up_over_the_pieces():
    def part(**engine):
        told = {"choice": "small", **engine}
        return {"segments": [], "warnings": [], "aligners": {}, "engine": told}

    pieces = [part(model_load_s=1.25, model_wait_s=0.5), part(model_load_s=0.5, model_wait_s=0.0)]
    whole = transcription.join(pieces)
    assert whole["engine"] == {"choice": "small", "model_load_s": 1.75, "model_wait_s": 0.5}
    assert transcription.join([part()])["engine"] == {"choice": "small"}
