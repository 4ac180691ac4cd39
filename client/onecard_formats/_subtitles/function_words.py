# ruff: noqa: RUF001  (Russian has letters that look like English ones)
"""Words that begin a clause or belong to the next word, for breaks that keep sense together.

Closed classes of grammar, only for languages in which lines are broken at spaces; elsewhere
punctuation alone decides.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A line may well begin with these.
CONJUNCTIONS: dict[str, frozenset[str]] = {
    "en": _words(
        "and but or nor so yet because although though while whereas if unless until when whenever "
        "where which who whom whose that than then since"
    ),
    "de": _words(
        "und aber oder denn sondern doch weil obwohl während wenn falls als bis nachdem bevor dass "
        "daß ob wo wobei damit sodass"
    ),
    "fr": _words(
        "et mais ou donc or ni car parce que qui quand lorsque si comme puisque quoique dont où "
        "tandis afin"
    ),
    "es": _words("y e pero o u ni sino porque que cuando si aunque como mientras donde pues quien"),
    "it": _words("e ed ma o oppure né perché che quando se anche come mentre dove poiché cui"),
    "pt": _words("e mas ou nem porque que quando se embora como enquanto onde pois quem"),
    "nl": _words("en maar of want omdat hoewel terwijl als dat toen wanneer die waar zodat dus"),
    "pl": _words("i a ale lub albo bo ponieważ że kiedy gdy jeśli który która które gdzie żeby"),
    "ru": _words("и а но или потому что когда если хотя который которая которые где чтобы как"),
}
PREPOSITIONS: dict[str, frozenset[str]] = {
    "en": _words(
        "about above across after against along among around at before behind below beside between "
        "beyond by during for from in inside into near of off on onto over through to toward "
        "towards under upon with within without"
    ),
    "de": _words(
        "an auf aus bei durch für gegen hinter in im am zum zur beim vom mit nach neben ohne seit "
        "über um unter von vor zu zwischen"
    ),
    "fr": _words(
        "à au aux de du des dans en sur sous avec sans pour par chez vers entre depuis pendant "
        "contre après avant"
    ),
    "es": _words(
        "a al de del en con sin por para sobre entre desde hasta hacia contra según tras durante"
    ),
    "it": _words(
        "a al alla ai di del della dei delle in nel nella con senza per su sul sulla tra fra da "
        "dal dalla verso"
    ),
    "pt": _words(
        "a ao à de do da dos das em no na nos nas com sem por pelo pela para sobre entre desde até"
    ),
    "nl": _words("aan bij door in met na naar om onder op over tegen te tot uit van voor zonder"),
    "pl": _words("w we z ze na do od po przy pod nad przed za dla bez o u przez"),
    "ru": _words("в во на с со к ко у о об от до по за из под над при для без через перед"),
}
# Articles, possessives, subject pronouns and auxiliaries: a line should not end with these.
_OTHER_LEADS: dict[str, frozenset[str]] = {
    "en": _words(
        "a an the my your his her its our their this these those i you he she it we they am is are "
        "was were be been have has had do does did will would can could shall should may might "
        "must not very mr. mrs. ms. dr. prof. st."
    ),
    "de": _words(
        "der die das den dem des ein eine einen einem einer eines mein dein sein ihr unser ich du "
        "er sie es wir nicht sehr dr. hr. fr. prof."
    ),
    "fr": _words(
        "le la les un une ce cet cette ces mon ma mes ton ta tes son sa ses notre votre leur je tu "
        "il elle on nous vous ils elles ne m. mme"
    ),
    "es": _words("el la los las un una unos unas mi tu su sus este esta yo no se muy sr. sra. dr."),
    "it": _words("il lo la i gli le un uno una mio tuo suo questo questa io non si sig. dott."),
    "pt": _words("o os as um uma meu teu seu sua este esta eu não se muito sr. sra. dr."),
    "nl": _words("de het een mijn jouw zijn haar ons hun deze ik je jij hij zij we niet dhr. dr."),
    "pl": _words("ten ta to mój twój jego jej nie się bardzo pan pani dr."),
    "ru": _words("этот эта это мой твой его её не очень г. др."),
}
LEADS: dict[str, frozenset[str]] = {
    language: words | CONJUNCTIONS[language] | PREPOSITIONS[language]
    for language, words in _OTHER_LEADS.items()
}
