"""Recordings in several requests: in order, whole, and gone with whoever held them."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest

from onecard.audio import spool
from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.python_backend import uploads
from onecard.python_backend.uploads import Part, Uploads
from tests.spools import open_spools
from tests.waiting import PATIENCE_S


def part(number: int, is_last: bool = False, upload: str = "a") -> Part:
    return Part(upload, number, is_last)


def content(upload: uploads.Upload) -> bytes:
    return upload.spool.samples(0, 1000).tobytes()


def do_nothing() -> None:
    pass


def test_parts_join_in_order_while_somebody_waits() -> None:
    under_way = Uploads(max_bytes=100)
    upload = under_way.begin(part(0), b"ab")
    waiting = threading.Thread(target=upload.wait, args=(do_nothing,))
    waiting.start()
    under_way.add(part(1), b"cd")
    assert waiting.is_alive()
    under_way.add(part(2, is_last=True), b"ef")
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert content(upload) == b"abcdef"


def test_a_request_that_says_nothing_is_whole() -> None:
    for parameters in ("", "{}", '{"code_in_message": true}'):
        assert Part.from_parameters(parameters) == Part()
    upload = Uploads(max_bytes=100).begin(Part(), b"abcd")
    upload.wait(do_nothing)
    assert content(upload) == b"abcd"


def test_what_a_request_says_is_read() -> None:
    said = {"code_in_message": True, "upload": "a", "part": 3, "is_last": True}
    assert Part.from_parameters(json.dumps(said)) == Part("a", 3, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"upload": ""}, {"upload": 1}, {"part": -1}, {"part": True}, {"part": "0"}, {"is_last": 1},
        {"upload": None}, {"part": None}, {"is_last": None},
    ],
)  # fmt: skip
def test_half_of_what_is_to_be_said_is_refused(changed: dict[str, object]) -> None:
    said = {"upload": "a", "part": 0, "is_last": False, **changed}
    said = {name: value for name, value in said.items() if value is not None}
    with pytest.raises(InvalidRequest, match="or none of them"):
        Part.from_parameters(json.dumps(said))


@pytest.mark.parametrize("number", [2, 7])
def test_a_part_out_of_order_ends_the_upload(number: int) -> None:
    under_way = Uploads(max_bytes=100)
    upload = under_way.begin(part(0), b"ab")
    with pytest.raises(InvalidRequest, match=f"part {number} of the upload came, must be part 1"):
        under_way.add(part(number), b"cd")
    with pytest.raises(InvalidRequest, match="must be part 1"):
        upload.wait(do_nothing)


def test_an_empty_part_is_no_sign_of_life() -> None:
    under_way = Uploads(max_bytes=100)
    under_way_too = under_way.begin(part(0), b"ab")
    with pytest.raises(InvalidRequest, match="part 1 of the upload is empty"):
        under_way.add(part(1), b"")
    with pytest.raises(InvalidRequest, match="is empty"):
        under_way_too.wait(do_nothing)


def test_a_part_after_the_last_one_is_refused() -> None:
    under_way = Uploads(max_bytes=100)
    upload = under_way.begin(part(0), b"ab")
    under_way.add(part(1, is_last=True), b"cd")
    with pytest.raises(InvalidRequest, match="no upload `a` under way"):
        under_way.add(part(2), b"ef")
    upload.wait(do_nothing)
    assert content(upload) == b"abcd"


def test_more_than_is_served_is_refused_as_soon_as_it_is_more() -> None:
    before = open_spools()
    under_way = Uploads(max_bytes=3)
    with pytest.raises(InvalidRequest, match="more than 3 bytes"):
        under_way.begin(part(0), b"abcd")
    upload = under_way.begin(part(0), b"ab")
    with pytest.raises(InvalidRequest, match="more than 3 bytes"):
        under_way.add(part(1), b"cd")
    with pytest.raises(InvalidRequest, match="more than 3 bytes"):
        upload.wait(do_nothing)
    assert open_spools() == before


def test_an_upload_has_one_name_and_is_gone_with_its_holder() -> None:
    before = open_spools()
    under_way = Uploads(max_bytes=100)
    upload = under_way.begin(part(0), b"ab")
    other = under_way.begin(part(0, upload="b"), b"xy")
    with pytest.raises(InvalidRequest, match="`a` has begun already"):
        under_way.begin(part(0), b"cd")
    del upload
    with pytest.raises(InvalidRequest, match="no upload `a` under way"):
        under_way.add(part(1), b"cd")
    assert len(set(open_spools()) - set(before)) == 1
    assert content(other) == b"xy"


def test_who_goes_away_is_noticed_before_everything_came() -> None:
    def check() -> None:
        raise Cancelled("the caller cancelled the request")

    under_way = Uploads(max_bytes=100)
    upload = under_way.begin(part(0), b"ab")
    with pytest.raises(Cancelled):
        upload.wait(check)
    with spool.Spool() as other:  # which may have got the number of the one that was closed
        with pytest.raises(Cancelled):
            under_way.add(part(1), b"cd")
        assert other.read(0, 9) == b""


def test_what_failed_holds_nothing_of_the_request() -> None:
    data = bytes(range(200))
    before = sys.getrefcount(data)
    under_way = Uploads(max_bytes=5)
    upload = under_way.begin(part(0), b"ab")
    with pytest.raises(InvalidRequest):
        under_way.add(part(1), data)
    assert sys.getrefcount(data) == before
    with pytest.raises(InvalidRequest):
        upload.wait(do_nothing)


def test_who_sends_nothing_more_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(uploads, "PATIENCE_S", 0.2)
    upload = Uploads(max_bytes=100).begin(part(0), b"ab")
    started_s = time.monotonic()
    with pytest.raises(Unavailable, match=r"part 1 of the upload did not come within 0\.2 s"):
        upload.wait(do_nothing)
    assert time.monotonic() - started_s < 10


def test_who_drips_is_given_up_while_who_is_slow_is_not(monkeypatch) -> None:
    """Both send something all the time; what counts is the mean, after a while of grace."""
    monkeypatch.setattr(uploads, "MIN_BYTES_PER_S", 1_000.0)
    monkeypatch.setattr(uploads, "GRACE_S", 0.2)
    under_way = Uploads(max_bytes=10_000_000)
    slow = under_way.begin(part(0, upload="slow"), bytes(1_000_000))
    dripping = under_way.begin(part(0, upload="dripping"), b"a")
    numbers = iter(range(1, 10_000))

    def check() -> None:
        under_way.add(part(next(numbers), upload="dripping"), b"a")

    with pytest.raises(Unavailable, match=r"came in \d s, at least 1000 a second are wanted"):
        dripping.wait(check)
    assert dripping.spool.is_closed
    waiting = threading.Thread(target=slow.wait, args=(do_nothing,))
    waiting.start()
    under_way.add(part(1, is_last=True, upload="slow"), b"b")
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert slow.spool.size == 1_000_001


def test_an_upload_has_a_time_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_S", 0.2)
    upload = Uploads(max_bytes=100).begin(part(0), b"ab")
    with pytest.raises(Unavailable, match="the upload did not end within"):
        upload.wait(do_nothing)


def test_no_more_than_so_many_are_under_way(monkeypatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 2)
    under_way = Uploads(max_bytes=100)
    held = [under_way.begin(part(0, upload=name), b"ab") for name in "ab"]
    with pytest.raises(Unavailable, match="2 uploads are under way, which is the limit"):
        under_way.begin(part(0, upload="c"), b"ab")
    whole = under_way.begin(Part(), b"ab")  # which takes none of their places
    assert whole.is_over
    under_way.add(part(1, is_last=True, upload="a"), b"cd")
    assert under_way.begin(part(0, upload="c"), b"ab")
    assert [upload.is_over for upload in held] == [True, False]


def test_so_many_bytes_are_kept_of_all_together() -> None:
    before = open_spools()
    under_way = Uploads(max_bytes=10)
    held = [under_way.begin(part(0, upload=str(n)), bytes(10)) for n in range(3)]
    whole = under_way.begin(Part(), bytes(3))
    last = under_way.begin(part(0, upload="last"), bytes(4))
    with pytest.raises(Unavailable, match="have 37 bytes, at most 40 are kept; try again later"):
        under_way.begin(Part(), bytes(4))
    with pytest.raises(Unavailable, match="at most 40 are kept"):
        under_way.add(part(1, upload="last"), bytes(4))
    with pytest.raises(Unavailable, match="at most 40 are kept"):
        last.wait(do_nothing)
    held.pop().spool.close()
    assert under_way.begin(Part(), bytes(10))
    del held, last, whole
    assert open_spools() == before
