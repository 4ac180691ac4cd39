"""The wav2vec2 model that aligns each language: its repository, its commit, its size.

The choice is WhisperX's (whisperx/alignment.py). Its five torchaudio bundles are named here by the
hub's copies of the same fine-tuned weights, so that every model has one layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = Literal["base", "large", "1b"]  # memory/shapes.py has their parameters


@dataclass(frozen=True)
class AlignModel:
    """A wav2vec2 model on the Hugging Face hub."""

    repository: str
    size: Size = "large"
    revision: str = ""  # a commit; empty: what `main` is when it is fetched first


MODELS = {
    "en": AlignModel(
        "facebook/wav2vec2-base-960h", "base", revision="22aad52d435eb6dbaf354bdad9b0da84ce7d6156"
    ),
    "fr": AlignModel("facebook/wav2vec2-base-10k-voxpopuli-ft-fr", "base"),
    "de": AlignModel(
        "facebook/wav2vec2-base-10k-voxpopuli-ft-de",
        "base",
        revision="1cbaf198475e1af97cc479ca081ce4ddd2d6b5cf",
    ),
    "es": AlignModel("facebook/wav2vec2-base-10k-voxpopuli-ft-es", "base"),
    "it": AlignModel("facebook/wav2vec2-base-10k-voxpopuli-ft-it", "base"),
    "ja": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-japanese"),
    "zh": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn"),
    "nl": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-dutch"),
    "uk": AlignModel("Yehor/wav2vec2-xls-r-300m-uk-with-small-lm"),
    "pt": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-portuguese"),
    "ar": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-arabic"),
    "cs": AlignModel("comodoro/wav2vec2-xls-r-300m-cs-250"),
    "ru": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-russian"),
    "pl": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-polish"),
    "hu": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-hungarian"),
    "fi": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-finnish"),
    "fa": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-persian"),
    "el": AlignModel("jonatasgrosman/wav2vec2-large-xlsr-53-greek"),
    "tr": AlignModel("mpoyraz/wav2vec2-xls-r-300m-cv7-turkish"),
    "da": AlignModel("saattrupdan/wav2vec2-xls-r-300m-ftspeech"),
    "he": AlignModel("imvladikon/wav2vec2-xls-r-300m-hebrew"),
    "vi": AlignModel("nguyenvulebinh/wav2vec2-base-vi-vlsp2020", "base"),
    "ko": AlignModel("kresnik/wav2vec2-large-xlsr-korean"),
    "ur": AlignModel("kingabzpro/wav2vec2-large-xls-r-300m-Urdu"),
    "te": AlignModel("anuragshas/wav2vec2-large-xlsr-53-telugu"),
    "hi": AlignModel("theainerd/Wav2Vec2-large-xlsr-hindi"),
    "ca": AlignModel("softcatala/wav2vec2-large-xlsr-catala"),
    "ml": AlignModel("gvs/wav2vec2-large-xlsr-malayalam"),
    "no": AlignModel("NbAiLab/nb-wav2vec2-1b-bokmaal-v2", "1b"),
    "nn": AlignModel("NbAiLab/nb-wav2vec2-1b-nynorsk", "1b"),
    "sk": AlignModel("comodoro/wav2vec2-xls-r-300m-sk-cv8"),
    "sl": AlignModel("anton-l/wav2vec2-large-xlsr-53-slovenian"),
    "hr": AlignModel("classla/wav2vec2-xls-r-parlaspeech-hr"),
    "ro": AlignModel("gigant/romanian-wav2vec2"),
    "eu": AlignModel("stefan-it/wav2vec2-large-xlsr-53-basque"),
    "gl": AlignModel("ifrz/wav2vec2-large-xlsr-galician"),
    "ka": AlignModel("xsway/wav2vec2-large-xlsr-georgian"),
    "lv": AlignModel("jimregan/wav2vec2-large-xlsr-latvian-cv"),
    "tl": AlignModel("Khalsuu/filipino-wav2vec2-l-xls-r-300m-official"),
    "sv": AlignModel("KBLab/wav2vec2-large-voxrex-swedish"),
    "id": AlignModel("cahya/wav2vec2-large-xlsr-indonesian"),
}
