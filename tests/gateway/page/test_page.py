"""The page in a real browser: of a meeting with a script, and of real speech."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import ANSWER, events, hangs, says
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.gateway.page.meeting import BEGUN, LINES, MEETING, REST, recording
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[3]
SPEECH = ROOT / ".samples" / "jfk" / "jfk.wav"
FILE = {"name": "meeting.wav", "mimeType": "audio/wav", "buffer": recording()}
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
# Keeps the words that are marked: one that is played is marked for a moment only.
WATCH = """() => {
  window.seen = [];
  const look = ({ target }) => target.classList.contains("now") && seen.push(target.innerText);
  const settings = { subtree: true, attributes: true, attributeFilter: ["class"] };
  new MutationObserver((found) => found.forEach(look))
    .observe(document.getElementById("transcript"), settings);
}"""
QUOTE = {"event": "delta", "text": "The budget stays, says Ada [0:23]."}


class Meeting:
    """A server's step: the meeting, or a chat. It waits for `begin`, then `go_on`."""

    def __init__(self) -> None:
        self.begin, self.go_on = threading.Event(), threading.Event()
        self.begin.set()

    def __call__(self, request: Any, context: Any) -> Iterator[Any]:
        if request.model_name == "chat":
            yield from events(QUOTE, *ANSWER[2:])(request, context)
            return
        yield from events(*BEGUN[:3])(request, context)
        assert self.begin.wait(PATIENCE_S)
        yield from events(*BEGUN[3:])(request, context)
        assert self.go_on.wait(PATIENCE_S)
        yield from events(*REST)(request, context)


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    found = Meeting()
    yield found
    found.begin.set()
    found.go_on.set()


@pytest.fixture
def behind(fake: Any, meeting: Meeting) -> Any:
    one = fake(meeting)
    one.parameters |= {"max_seq_len": "8192", "max_tokens": "512"}
    return one


@pytest.fixture
def done(open_page: Any, gateway: Any, behind: Any, meeting: Meeting) -> Callable[..., Any]:
    """`done(...)` is a page with the meeting's transcript; keywords are the browser's."""

    def opened(**options: Any) -> Any:
        page = open_page(gateway(behind.url).url, **options)
        meeting.go_on.set()
        page.set_input_files("#file", FILE)
        page.wait_for_selector("#done")
        page.evaluate(WATCH)
        return page

    return opened


def model_config(behind: Any, plan: str) -> Any:
    """Has the fake tell the ledger of a plan, as the real server does; the ledger."""
    path = ROOT / "model_repository" / "transcribe" / "configs" / f"{plan}.pbtxt"
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    text = config.parameters["ledger"].string_value
    behind.parameters["ledger"] = text
    return json.loads(text)


def start_of(word: str) -> float:
    return next(one["start"] for one in MEETING["word_segments"] if one["word"] == word)


def gets_to(page: Any, seconds: float, word: str) -> None:
    """The word is marked, and the player there or later."""
    until(lambda: word in page.evaluate("window.seen"))
    assert page.evaluate("document.getElementById('player').currentTime") >= seconds - 0.05


def test_words_come_while_the_recording_is_transcribed(
    open_page: Any, gateway: Any, behind: Any, meeting: Meeting, picture: Any, verify_access: Any
) -> None:
    page = open_page(gateway(behind.url).url)
    verify_access(page)
    picture(page, "start")
    page.click("summary")
    page.fill("#hotwords", "Ada")
    meeting.begin.clear()
    page.set_input_files("#file", FILE)
    page.locator("#stages .now", has_text="Recognize words").wait_for()
    page.wait_for_timeout(3000)  # so long, from when half is done, the estimate is shown
    meeting.begin.set()
    page.get_by_text(re.compile(r"About \d.* left")).wait_for()
    page.wait_for_selector("#live p:nth-child(3)")
    page.get_by_text("50 %").wait_for()
    assert "Good morning" in page.inner_text("#live")
    assert "<b>forty thousand</b>" in page.inner_text("#live")
    stages = page.locator("#stages li").all_inner_texts()
    assert [stage.split("\n")[0] for stage in stages] == [
        "Upload",
        "Read the sound",
        "Find speech",
        "Recognize words",
        "Tell speakers apart",
    ]
    assert page.locator("#stages .over").count() == 3
    verify_access(page)
    picture(page, "working")
    meeting.go_on.set()
    page.wait_for_selector("#done")
    assert page.inner_text("#done-name") == "meeting.wav"
    assert behind.audio() == FILE["buffer"]
    assert behind.options()["hotwords"] == "Ada"
    assert behind.options()["diarize"] is True


def test_transcript(done: Any, picture: Any, verify_access: Any) -> None:
    page = done()
    title = page.title()
    text = page.locator("#transcript p").all_inner_texts()
    assert " ".join(text) == " ".join(line[3] for line in LINES)
    assert page.locator("#transcript img, #transcript b").count() == 0
    assert page.title() == title
    assert page.locator("#transcript .name").all_inner_texts()[:2] == ["Speaker 1", "Speaker 2"]
    unsure = page.locator("#transcript .unsure")
    assert " ".join(unsure.all_inner_texts()) == LINES[3][3]
    page.fill("#threshold", "0")
    assert unsure.count() == 0
    assert "1.6 s of 30 s have no text" in page.inner_text("#account")
    assert "the model repeats itself" in page.inner_text("#account")
    page.fill("#search", "budget")
    assert page.inner_text("#found") == "1 of 2"
    page.press("#search", "Enter")
    assert page.inner_text("#found") == "2 of 2"
    assert page.locator("#transcript .hit").all_inner_texts() == ["budget", "budget"]
    assert page.is_visible("#minutes")
    verify_access(page)
    picture(page, "transcript")


def test_words_seek_and_follow_the_player(done: Any) -> None:
    page = done()
    page.get_by_text("notice.", exact=True).click()
    gets_to(page, start_of("notice."), "notice.")
    gets_to(page, start_of("Morning."), "Morning.")  # which follows
    page.evaluate("document.getElementById('player').pause()")
    page.get_by_role("button", name="Play from 0:23").click()
    gets_to(page, start_of("Then"), "Then")
    page.focus("#transcript")
    page.keyboard.press(" ")
    assert page.evaluate("document.getElementById('player').paused")
    page.keyboard.press("ArrowUp")
    gets_to(page, 17.2, "<img")
    page.keyboard.press("ArrowRight")
    gets_to(page, 17.2, "src=x")
    assert page.inner_text("#spoken").startswith("src=x, 0:17")


def test_speakers_are_renamed_also_in_files(done: Any) -> None:
    page = done()
    page.get_by_label("Name of speaker 1").fill("Ada <1>")
    names = page.locator("#transcript .name").all_inner_texts()
    assert names == ["Ada <1>", "Speaker 2", "Ada <1>", "Speaker 2", "Ada <1>"]

    def downloaded(extension: str) -> str:
        with page.expect_download() as found:
            page.get_by_role("button", name=extension, exact=True).click()
        assert found.value.suggested_filename == f"meeting.{extension}"
        return Path(found.value.path()).read_text()

    assert downloaded("txt").splitlines()[:2] == [
        f"[Ada <1>]: {LINES[0][3]}",
        f"[SPEAKER_01]: {LINES[1][3]}",
    ]
    assert json.loads(downloaded("json"))["speakers"] == ["Ada <1>", "SPEAKER_01"]
    assert " --> " in downloaded("srt")
    assert downloaded("vtt").startswith("WEBVTT")
    assert downloaded("tsv").startswith("start\tend\ttext")
    assert "[[Ada <1>]]" in downloaded("aud")


def test_questions_about_the_transcript(done: Any, behind: Any, picture: Any) -> None:
    page = done()
    page.get_by_label("Name of speaker 1").fill("Ada")
    page.fill("#ask textarea", "Does the budget stay?")
    page.keyboard.press("Enter")
    page.locator("#ask .said .time").click()
    gets_to(page, 23, LINES[4][3].split()[-1])  # [0:23] is a little before the next sentence
    system, question = behind.document()
    assert f"[0:00] Ada: {LINES[0][3]}" in system["content"]
    assert question == {"role": "user", "content": "Does the budget stay?"}
    page.fill("#search", "budget")
    picture(page, "questions")


def test_of_a_long_transcript_the_nearest_to_a_question(done: Any, behind: Any) -> None:
    behind.parameters |= {"max_seq_len": "660", "max_tokens": "400"}
    page = done()
    page.fill("#ask textarea", "Friday?")
    page.keyboard.press("Enter")
    page.locator("#ask .said .time").wait_for()
    system = behind.document()[0]["content"]
    assert "by Friday" in system
    assert "Good morning" not in system
    assert "of the 6 sentences" in page.inner_text("#ask")


def test_minutes(done: Any, open_page: Any, picture: Any) -> None:
    place = {"segments": [5], "start": 23.8, "end": 28.9}
    minutes = {
        "title": "Budget",
        "summary": "The budget stays.",
        "decisions": [{"text": "It stays.", **place}],
        "action_items": [{"what": "Write to the board", "who": "Ada", "due": None, **place}],
        "topics": [],
        "open_questions": [{"text": "<i>When?</i>", "citations": []}],
        "quotes": [],
    }
    page = done()
    asked: list[Any] = []

    def answer(route: Any) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json=minutes)

    page.route("**/v1/minutes", answer)
    page.evaluate("document.getElementById('minutes').hidden = false")
    page.click("#minutes-make")
    page.locator("#minutes .time").first.click()
    gets_to(page, 23.8, "Then")
    text = page.inner_text("#minutes")
    assert "Write to the board (Ada)" in text
    assert "<i>When?</i>" in text
    assert asked[0]["transcript"]["segments"][0]["text"].strip() == LINES[0][3]
    assert (asked[0]["template"], asked[0]["stream"]) == ("meeting", False)
    picture(page, "minutes")
    page.unroute("**/v1/minutes")
    page.route("**/v1/minutes", lambda route: route.fulfill(status=404))  # an older gateway's
    page.click("#minutes-make")
    page.wait_for_selector("#minutes", state="hidden")


def test_cancelled(open_page: Any, gateway: Any, behind: Any) -> None:
    page = open_page(gateway(behind.url).url)
    page.set_input_files("#file", FILE)
    page.wait_for_selector("#live p")
    page.click("#cancel")
    page.wait_for_selector("#drop")
    assert page.is_hidden("#failure")
    until(behind.cancelled.is_set)


def test_errors(open_page: Any, gateway: Any, fake: Any, picture: Any) -> None:
    refused = says("INVALID_ARG: the <b>audio</b> is no audio, must be; send some")
    page = open_page(gateway(fake(refused).url).url)
    page.set_input_files("#file", FILE)
    page.wait_for_selector("#failure")
    assert "the <b>audio</b> is no audio" in page.inner_text("#failure")
    assert page.is_visible("#drop")
    picture(page, "error")


def test_an_error_amid_the_work(open_page: Any, gateway: Any, fake: Any) -> None:
    broken = events(*BEGUN, then=says("INTERNAL: it broke"))
    page = open_page(gateway(fake(broken).url).url)
    page.set_input_files("#file", FILE)
    page.wait_for_selector("#failure")
    assert "it broke" in page.inner_text("#failure")


def test_microphone(open_page: Any, gateway: Any, behind: Any, meeting: Meeting) -> None:
    meeting.go_on.set()
    page = open_page(gateway(behind.url).url)
    page.click("#record")
    page.get_by_text(re.compile(r"Recording: \d+:(0[1-9]|[1-5]\d)")).wait_for()
    page.click("#record")
    page.wait_for_selector("#done")
    assert behind.audio().startswith(b"\x1aE\xdf\xa3")  # Matroska, of which WebM is a kind
    assert page.inner_text("#done-name").endswith(".webm")


def test_phone(done: Any, picture: Any, verify_access: Any) -> None:
    page = done(**PHONE)
    page.fill("#search", "the")

    def width() -> int:
        return int(page.evaluate("document.documentElement.scrollWidth"))

    assert width() == 360
    verify_access(page)
    picture(page, "phone")
    page.click("#tab-chat")
    assert width() == 360
    page.click("#tab-card")
    page.locator("#models tr").first.wait_for()
    assert width() == 360
    verify_access(page)
    page.click("#tab-speech")
    page.click("#again")
    page.click("summary")
    assert width() == 360


def test_chat_and_its_end(
    open_page: Any, gateway: Any, fake: Any, picture: Any, verify_access: Any
) -> None:
    behind = fake(events(QUOTE, then=hangs))
    page = open_page(gateway(behind.url).url)
    page.focus("#tab-speech")
    page.keyboard.press("ArrowRight")
    page.fill("#chat textarea", "What is new?")
    page.keyboard.press("Enter")
    page.get_by_text(QUOTE["text"]).wait_for()
    verify_access(page)
    picture(page, "chat")
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("(stopped)").wait_for()
    until(behind.cancelled.is_set)


def test_card(
    open_page: Any, gateway: Any, behind: Any, tmp_path: Path, picture: Any, verify_access: Any
) -> None:
    ledger = model_config(behind, "rtx3090")
    page = open_page(gateway(behind.url, jobs_folder=tmp_path / "jobs").url)
    page.click("#tab-card")
    page.get_by_text("RTX 3090, plan rtx3090").wait_for()
    told = page.locator("#ledger li").all_inner_texts()
    names = {part["name"] for part in ledger["parts"]}
    assert len(told) == len(names) + 2
    assert [line for line in told if line.startswith("15.1 GiB llm (weights 13.5,")]
    assert told[-2] == "2.0 GiB kept free"
    widths = page.locator("#ledger .bar span").evaluate_all("all => all.map((e) => e.clientWidth)")
    assert max(widths) == widths[told.index(max(told, key=lambda line: float(line.split()[0])))]
    colours = page.locator("#ledger .bar span").evaluate_all(
        "all => all.map((e) => getComputedStyle(e).backgroundColor)"
    )
    assert len({*colours}) == len(told)
    verify_access(page)
    page.get_by_text("not ready").wait_for()
    page.get_by_text("answered").wait_for()
    page.locator("#queue th", has_text="queued").wait_for()
    assert page.inner_text("#models").count("ready") == 13
    picture(page, "card")


def test_a_key_is_asked_for_and_kept(
    open_page: Any, gateway: Any, behind: Any, meeting: Meeting, keys: Any, verify_access: Any
) -> None:
    key = keys.add("notes")
    meeting.go_on.set()
    page = open_page(gateway(behind.url, keys_file=keys.path).url)
    page.set_input_files("#file", FILE)
    page.wait_for_selector("#key[open]")
    verify_access(page)
    page.fill("#key-input", key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#done")
    assert page.evaluate("sessionStorage.getItem('onecard-key')") == key
    page.reload()
    page.set_input_files("#file", FILE)
    page.wait_for_selector("#done")


def test_real_speech(open_page: Any, live: Any) -> None:
    page = open_page(live.url)
    page.set_input_files("#file", SPEECH)
    page.wait_for_selector("#done")
    assert "what your country can do for you" in page.inner_text("#transcript").lower()
    assert "1 speaker" in page.inner_text("#facts")
    page.evaluate(WATCH)
    word = page.locator("#transcript .w", has_text="country").first
    word.click()
    until(lambda: word.inner_text() in page.evaluate("window.seen"))
