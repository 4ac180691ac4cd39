"""The charset of text that names none, by the letters that its language uses most."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_SAMPLE_BYTES = 16_384
# Under this a reading is no better than chance.
MIN_SCORE = 0.3

_CHINESE = (
    "的一是不了在人有我他这個个中大来來上国國到说說们們为為子和你地出道也时時年得就那要下以生会會自着去之过過家学學对對"
    "可她里裡后後小么麼心多天而能好都然没沒日于於起还還发發成事只作当當想看文无無开開手十用主行方又如前所本见見经經头頭"
    "面公同三已老从從动動两兩长長知民样樣现現分将將外但身些与與高意进進法此实實回二理美点點月明其种種声聲全工己话話者向"
    "情部正名定女问問力机機给給等几幾很业業最间間新什打便位因重被走电電四第门門相次东東政海口使教西再平真听聽世气氣信北"
    "少关關并內内加化由却代军軍产產入先山五太水万萬市眼体體别別处處总總才场場师師书書比住员員九笑性通目华華报報立马馬命"
    "张張活难難神数數件安表原车車白应應路期叫死常提感金何更反合放做系計计或司利受光王果亲親界及今京务務制解各任至清物台"
    "象记記边邊共风風战戰干接它许許八特觉覺望直服毛林题題建南度统統色字请請爱愛让讓认認算论論百吃义義科怎元社术術结結六功"
    "指思非流每青管夫连連远遠资資队隊跟带帶花快条條院变變联聯付款票支贵貴附價价格单單您客户戶谢謝敬尊收货貨账帳号號"
)
_JAPANESE = (
    "".join(map(chr, range(0x3041, 0x30FD)))
    + "日本年月請求書様件名会社世話送支払金円確認注文番号株式御中時分見積連絡願致下記添付資料案内"
)
_KOREAN = (
    "이다는에의가을하고지한로사기스인요시세니해주어나도리대정를자서으일수은아구보여부전제상만그장안동공원과들"
    "있것면성게오소무우경비선신적계방까청결내실물회업용주당객님녕견산급금발확입문감합바개년월송"
)
_CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїє«»—–№"
# Python's codec: what its languages use most. The first of equals is taken.
_LETTERS = {
    "cp1252": "äöüßéèêàâçñóáíúãõåøæëïôûœîùòìÿ€–—“”’‘„…«»°§·®™¿¡£´",
    "cp1250": "ěščřžýáíéůťďňąęłćńśźżőűúóöüäßôľĺ–—“”„…",
    "cp1251": _CYRILLIC,
    "koi8_r": _CYRILLIC,
    "gb18030": _CHINESE + "，。！？：；（）、“”《》",
    "big5": _CHINESE + "，。！？：；（）、「」《》",
    "cp932": _JAPANESE,
    "euc_jp": _JAPANESE,
    "cp949": _KOREAN,
    "cp1253": "αοιετσνηυρπκμλςωάόήίέύώγδφχθβξζψ«»–",
    "cp1254": "ışğçöüâîû–“”’",
    "cp1255": "ויהלארתבמשנםכדחפקעגטסןצזךץף–",
    "cp1256": "اليمنرتبوسعدفهكحقجشةصأطىخءضذزغثئإآظ،؛؟",
    "cp874": "านรกเงอมยลวดทสตะปบคหแขพชจณธซผฐญศฟถษภ่้ิีำัุู็์ไใโืึฯๆ",
}
_NOT_IN_MAILS = [
    "utf_7",
    "utf_16",
    "utf_16_be",
    "utf_16_le",
    "utf_32",
    "utf_32_be",
    "utf_32_le",
    "cp1006",
    "johab",
]
_LATIN = ("cp1252", "cp1250", "cp1254")
# Alphabets of one byte a letter that share their bytes: how often each letter comes tells them apart.
_RANKED = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874")
_HIGH = re.compile(rb"[\x80-\xff]")
_LONG_RUN = re.compile(r"[^\x00-\x7f]{4,}")
_FROM_LOWER_TO_UPPER = re.compile(r"(?<=[а-я])[А-Я]")
_MIXED_WORD = re.compile(r"(?<=[A-Za-z])[^\W\d_A-Za-z]|[^\W\d_A-Za-z](?=[A-Za-z])")


def _weights(codec: str) -> dict[str, float]:
    letters = _LETTERS[codec]
    step = 0.8 / len(letters) if codec in _RANKED else 0.0
    return {letter: 1.0 - step * rank for rank, letter in enumerate(letters)}


_WEIGHTS = {codec: _weights(codec) for codec in _LETTERS}


@lru_cache(maxsize=256)
def codec_of_bytes(content: bytes) -> str:
    """Python's name of the likeliest charset of `content`; empty if none is likely."""
    sample = _sample(content)
    scores = {codec: _score(sample, codec) for codec in _LETTERS}
    best = max(scores, key=lambda codec: scores[codec])
    return best if scores[best] >= MIN_SCORE else _by_structure(sample)


def _sample(content: bytes) -> bytes:
    """From the first byte that is not ASCII, with a few before it."""
    first = _HIGH.search(content)
    start = max(0, first.start() - 64) if first else 0
    return content[start : start + MAX_SAMPLE_BYTES]


def _score(sample: bytes, codec: str) -> float:
    """1 if every letter beyond ASCII is a frequent one of the languages of `codec`."""
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3 or len(sample) < MAX_SAMPLE_BYTES:
            return -1.0
        text = sample[: error.start].decode(codec)  # the sample's end may cut a letter
    num_bytes = len(_HIGH.findall(sample)) or 1
    width = 1 if codec in _RANKED or codec in _LATIN else 2
    points = sum(_points(letter, codec) for letter in text if letter > "\x7f") * width
    if codec in _LATIN:
        points -= sum(len(run) for run in _LONG_RUN.findall(text)) * 1.5
    if codec in _RANKED:
        points -= len(_FROM_LOWER_TO_UPPER.findall(text)) + len(_MIXED_WORD.findall(text))
    return points / num_bytes


def _points(letter: str, codec: str) -> float:
    weights = _WEIGHTS[codec]
    if letter in weights:
        return weights[letter]
    if letter.lower() in weights:
        return 0.6 * weights[letter.lower()]
    if "\uff61" <= letter <= "\uff9f":  # katakana of half width, which nearly any bytes decode to
        return -0.5
    return 0.2 if letter.isalpha() else -0.5


def _by_structure(sample: bytes) -> str:
    """What `charset-normalizer` says, which reads many languages and needs long texts."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_exclusion=_NOT_IN_MAILS, enable_fallback=False).best()
    return best.encoding if best is not None else ""
