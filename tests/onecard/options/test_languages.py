"""Languages by whatever people call them."""

import pytest

from onecard.errors import InvalidRequest
from onecard.options import languages
from onecard.options.transcribe import TranscribeOptions


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        (" en\n", "en"),
        ("en-US", "en"),
        ("en_GB", "en"),
        ("de_DE.UTF-8", "de"),
        ("de_DE@euro", "de"),
        ("zh-Hans", "zh"),
        ("zh_TW", "zh"),
        ("pt_BR", "pt"),
        ("sr-Latn-RS", "sr"),
        # ISO 639-2 and 639-3, of which one language may have two
        ("eng", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("fre", "fr"),
        ("chi", "zh"),
        ("may", "ms"),
        # codes that were replaced
        ("iw", "he"),
        ("jw", "jw"),
        ("jv", "jw"),
        ("in", "id"),
        ("ji", "yi"),
        ("mo", "ro"),
        ("sh", "sr"),
        # macro-languages, and what belongs to one
        ("nb", "no"),
        ("nn", "nn"),
        ("nb-NO", "no"),
        ("fil", "tl"),
        ("cmn", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("wuu", "zh"),
        ("arb", "ar"),
        ("arz", "ar"),
        ("ary", "ar"),
        ("pes", "fa"),
        ("swh", "sw"),
        ("zsm", "ms"),
        ("gsw", "de"),
        ("yue", "yue"),
        ("zh-yue", "yue"),
        # names, in English and in themselves
        ("German", "de"),
        ("GERMAN", "de"),
        ("Deutsch", "de"),
        ("allemand", "de"),
        ("日本語", "ja"),
        ("中文", "zh"),
        ("русский", "ru"),
        ("Español", "es"),
        ("Mandarin", "zh"),
        ("Mandarin Chinese", "zh"),
        ("Chinese (Simplified)", "zh"),
        ("Brazilian Portuguese", "pt"),
        ("English (United States)", "en"),
        ("Norwegian  Bokmål", "no"),
        ("Farsi", "fa"),
        ("Filipino", "tl"),
    ],
)
def test_tags_codes_and_names(text: str, code: str) -> None:
    assert languages.code(text) == code


@pytest.mark.parametrize("text", [None, "", "  ", "auto", "Auto", "None", "detect", "und"])
def test_words_for_detection(text: str | None) -> None:
    assert languages.code(text) is None


def test_every_code_of_whisper_is_itself() -> None:
    whisper = pytest.importorskip("whisperx.utils")
    assert set(languages.CODES) == set(whisper.LANGUAGES)
    assert [languages.code(known.upper()) for known in languages.CODES] == list(languages.CODES)
    for name, known in whisper.TO_LANGUAGE_CODE.items():
        assert languages.code(name.title()) == known


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("germn", "did you mean `de`"),
        ("englsh", "did you mean `en`"),
        ("fy", "did you mean `nl`"),  # West Frisian, which is not Whisper's
        ("xx", "which Whisper does not have"),
        ("12", "which Whisper does not have"),
        ("en;de", "which Whisper does not have"),
        ("\ud800", "which Whisper does not have"),
        ("x" * 10_000, "which Whisper does not have"),
        ("-" * 50, "which Whisper does not have"),
    ],
)
def test_what_is_no_language_is_refused_with_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match="`language` is") as caught:
        languages.code(text)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_model_without_a_language_has_a_nearest_one() -> None:
    assert languages.nearest("yue", ["en", "zh", "de"]) == "zh"
    assert languages.nearest("ja", ["en"]) is None


def test_options_hold_the_code() -> None:
    assert TranscribeOptions(language="pt_BR").language == "pt"
    assert TranscribeOptions.from_json('{"language": "Auto"}').language is None
    with pytest.raises(InvalidRequest, match="`language` is `xx`"):
        TranscribeOptions(language="xx")
