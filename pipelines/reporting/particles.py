"""Korean particles after words, numbers and Latin letters.

Belongs here: which form of a particle follows a piece of text, by how the text is read aloud. Does not belong
here: sentences.
"""

import re

from pipelines.errors import AxstatError

# After a final consonant / after a vowel
_PAIRS = {
    "은/는": ("은", "는"),
    "이/가": ("이", "가"),
    "을/를": ("을", "를"),
    "과/와": ("과", "와"),
    "으로/로": ("으로", "로"),
    "이며/며": ("이며", "며"),
    "이고/고": ("이고", "고"),
}

_BRACKETED_END = re.compile(r"\s*(\([^()]*\)|\[[^\[\]]*\])\s*$")
_NUMBER_END = re.compile(r"(\d[\d,]*)(\.\d+)?$")

# Final consonant of the digit's Sino-Korean name: 영 일 이 삼 사 오 육 칠 팔 구
_DIGIT_ENDS = {
    "0": "ㅇ",
    "1": "ㄹ",
    "2": "",
    "3": "ㅁ",
    "4": "",
    "5": "",
    "6": "ㄱ",
    "7": "ㄹ",
    "8": "ㄹ",
    "9": "",
}
# By number of trailing zeros: 십 백 천 만, 십만 백만 천만 억
_ZEROS_END = {
    1: "ㅂ",
    2: "ㄱ",
    3: "ㄴ",
    4: "ㄴ",
    5: "ㄴ",
    6: "ㄴ",
    7: "ㄴ",
    8: "ㄱ",
    9: "ㄱ",
    10: "ㄱ",
    11: "ㄱ",
}
# Letter names that end in a consonant: 엘 엠 엔 알
_LETTER_ENDS = {"l": "ㄹ", "m": "ㅁ", "n": "ㄴ", "r": "ㄹ"}
# Read as 퍼센트 and 퍼센트포인트
_VOWEL_SIGNS = ("%", "%p")


def final_sound(text: str) -> str:
    """The final consonant of `text` read aloud in Korean; empty when it ends in a vowel.

    Brackets at the end are skipped: the particle goes with the word before them. Hangul consonants other than
    ㄹ are returned as ``"*"``, since no particle tells them apart.

    Raises:
        AxstatError: the text has nothing that can be read.
    """
    bare = text.strip()
    while (shorter := _BRACKETED_END.sub("", bare)) != bare and shorter:
        bare = shorter
    bare = bare.rstrip(" .,;:!?+·'\"’”」』")
    if not bare:
        raise AxstatError(
            "particle",
            where=repr(text),
            expected="text that ends in a letter, a digit or a per cent sign",
            got="nothing to read",
            hint="correct the label or the text that uses it",
        )
    if bare.endswith(_VOWEL_SIGNS):
        return ""
    last = bare[-1]
    if "가" <= last <= "힣":
        coda = (ord(last) - ord("가")) % 28
        return "" if coda == 0 else "ㄹ" if coda == 8 else "*"
    if number := _NUMBER_END.search(bare):
        return _number_end(number.group(1).replace(",", ""), number.group(2))
    return _LETTER_ENDS.get(last.lower(), "")


def _number_end(whole: str, fraction: str | None) -> str:
    if fraction:
        # Decimals are read digit by digit
        return _DIGIT_ENDS[fraction[-1]]
    stripped = whole.rstrip("0")
    if not stripped:
        return _DIGIT_ENDS["0"]
    zeros = len(whole) - len(stripped)
    return _ZEROS_END.get(zeros, "") if zeros else _DIGIT_ENDS[whole[-1]]


def particle(text: str, pair: str) -> str:
    """The form of `pair` (such as ``"은/는"``) that follows `text`.

    Raises:
        AxstatError: unknown pair, or nothing to read in the text.
    """
    if pair not in _PAIRS:
        raise AxstatError(
            "particle",
            where=repr(text),
            expected=f"one of {', '.join(_PAIRS)}",
            got=pair,
            hint="correct the text, or add the pair here",
        )
    after_consonant, after_vowel = _PAIRS[pair]
    end = final_sound(text)
    if pair == "으로/로" and end == "ㄹ":
        return after_vowel
    return after_consonant if end else after_vowel


def with_particle(text: str, pair: str) -> str:
    """`text` with the right form of `pair` after it: ``with_particle("AX8", "은/는")`` is ``AX8은``."""
    return f"{text}{particle(text, pair)}"
