"""The option that a caller meant by an unknown name: by meaning first, then by spelling."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

# Names in other programs (openai-whisper, faster-whisper, whisper.cpp, WhisperX, OpenAI's and
# Deepgram's services) of what is here by another one. Looked up without regard to `-`, `_`, case.
SAME: Mapping[str, str] = {
    "audio_channels": "channels",
    "audio_format": "encoding",
    "audio_stream": "audio_track",
    "audio_stream_index": "audio_track",
    "beams": "beam_size",
    "chunk_length": "chunk_size",
    "chunk_length_s": "chunk_size",
    "diarisation": "diarize",
    "diarization": "diarize",
    "diarise": "diarize",
    "entropy_thold": "compression_ratio_threshold",
    "entropy_threshold": "compression_ratio_threshold",
    "keywords": "hotwords",
    "keyterm": "hotwords",
    "lang": "language",
    "language_code": "language",
    "locale": "language",
    "log_prob_threshold": "logprob_threshold",
    "logprob_thold": "logprob_threshold",
    "max_speaker_count": "max_speakers",
    "max_speech_duration_s": "chunk_size",
    "min_speaker_count": "min_speakers",
    "neg_threshold": "vad_offset",
    "no_speech_prob": "no_speech_threshold",
    "no_speech_thold": "no_speech_threshold",
    "model_name": "model",
    "model_size": "model",
    "model_size_or_path": "model",
    "multichannel": "separate_channels",
    "multi_channel": "separate_channels",
    "output_format": "formats",
    "response_format": "formats",
    "num_beams": "beam_size",
    "num_speaker": "num_speakers",
    "prompt": "initial_prompt",
    "sample_rate_hertz": "sample_rate",
    "sampling_rate": "sample_rate",
    "source_language": "language",
    "split_channels": "separate_channels",
    "speaker_count": "num_speakers",
    "speaker_labels": "diarize",
    "speakers": "num_speakers",
    "speakers_expected": "num_speakers",
    "src_lang": "language",
    "target_language": "task",
    "temperature_inc": "temperature_increment_on_fallback",
    "threshold": "vad_onset",
    "timestamp_granularities": "align",
    "to_language": "task",
    "translate": "task",
    "vad": "vad_filter",
    "vad_threshold": "vad_onset",
    "vocabulary": "hotwords",
    "word_timestamps": "align",
    "words_timestamps": "align",
}
_PLAN = "the server's plan decides it, not a request"
_TIMES = "times come from alignment, not from the decoder"
_DETECTION = (
    "the speech detection has its own; `vad_onset`, `vad_offset` and `chunk_size` are there"
)
_FIRST = "the first chunk of speech tells the language, and two more where it is in doubt"
# What they have and is not here: why.
ABSENT: Mapping[str, str] = {
    "align_model": _PLAN,
    "append_punctuations": "punctuation stands with the word before it",
    "batch_size": _PLAN,
    "compute_type": _PLAN,
    "cpu_threads": _PLAN,
    "device": _PLAN,
    "diarize_model": _PLAN,
    "language_detection_segments": _FIRST,
    "language_detection_threshold": _FIRST,
    "max_initial_timestamp": _TIMES,
    "min_silence_duration_ms": _DETECTION,
    "min_speech_duration_ms": _DETECTION,
    "prepend_punctuations": "punctuation stands with the word before it",
    "prompt_reset_on_temperature": "a text that took a temperature above 0.5 is no text before",
    "speech_pad_ms": _DETECTION,
    "suppress_blank": "a chunk never begins with a blank",
    "vad_options": _DETECTION,
    "vad_parameters": _DETECTION,
}
# Two names are alike by difflib's ratio from here on; `max_new_tokens` and `max_speakers` are not.
_ALIKE = 0.75


def hint(name: str, known: Collection[str]) -> str:
    """Advice about the unknown option `name`, given the `known` ones."""
    meant = name[:100].lower().replace("-", "_")
    if SAME.get(meant) in known:
        return f"it is `{SAME[meant]}` here"
    if meant in ABSENT and "language" in known:
        return f"it has no counterpart: {ABSENT[meant]}; leave it out"
    near = difflib.get_close_matches(meant, known, n=1, cutoff=_ALIKE)
    return f"did you mean `{near[0]}`?" if near else f"known options: {', '.join(known)}"
