"""Which of a server's Whispers a request means."""

from __future__ import annotations

import pytest

from onecard.errors import InvalidRequest
from onecard.whisper import models

FOUND = models.load(models.Config("base,tiny.en"), lambda name, suffix: (name, "whisper" + suffix))


def test_the_first_is_the_usual_one_and_others_have_their_name_behind_it() -> None:
    assert FOUND.of(None) == FOUND.of("base") == ("base", "whisper")
    assert FOUND.of("tiny.en") == ("tiny.en", "whisper_tiny.en")


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest) as raised:
        FOUND.of("large-v3")
    assert str(raised.value) == (
        "option `model` is `large-v3`, this server has base, tiny.en; choose one of them, or leave "
        "`model` out for `base`"
    )
