import pytest

from pipelines.errors import AxstatError
from pipelines.reporting.particles import particle, with_particle


@pytest.mark.parametrize(
    ("text", "topic", "direction"),
    [
        # 제조 ends in a vowel, 금융 in ㅇ, 서울 in ㄹ (으로 becomes 로 after ㄹ)
        ("제조", "는", "로"),
        ("금융", "은", "으로"),
        ("서울", "은", "로"),
        # Digits by their Sino-Korean names: 일 이 삼 사 오 육 칠 팔 구 영
        ("AX1", "은", "로"),
        ("AX2", "는", "로"),
        ("AX3", "은", "으로"),
        ("AX6", "은", "으로"),
        ("AX8", "은", "로"),
        ("2025", "는", "로"),
        # 이천삼십, 백, 천, 만, 영
        ("2030", "은", "으로"),
        ("100", "은", "으로"),
        ("1,000", "은", "으로"),
        ("20,000", "은", "으로"),
        ("0", "은", "으로"),
        # Decimals digit by digit: 삼십일 점 이, 영 점 삼
        ("31.2", "는", "로"),
        ("0.3", "은", "으로"),
        # 퍼센트, 퍼센트포인트
        ("31.2\u00a0%", "는", "로"),
        ("38.8\u00a0%p", "는", "로"),
        # Letters by their names: 에이아이, 엘엘엠, 에이치알
        ("AI", "는", "로"),
        ("LLM", "은", "으로"),
        ("HR", "은", "로"),
        # The particle goes with the word before brackets, and over quotation marks
        ("공공질서·안전(치안·사법·소방)", "은", "으로"),
        ("‘확산’", "은", "으로"),
        ("농림 [e]", "은", "으로"),
    ],
)
def test_form_follows_the_sound(text: str, topic: str, direction: str) -> None:
    assert particle(text, "은/는") == topic
    assert particle(text, "으로/로") == direction


@pytest.mark.parametrize(
    ("pair", "after_consonant", "after_vowel"),
    [("이/가", "이", "가"), ("을/를", "을", "를"), ("과/와", "과", "와")],
)
def test_pairs(pair: str, after_consonant: str, after_vowel: str) -> None:
    assert with_particle("금융", pair) == f"금융{after_consonant}"
    assert with_particle("제조", pair) == f"제조{after_vowel}"


def test_unknown_pair_and_unreadable_text_are_refused() -> None:
    with pytest.raises(AxstatError, match="one of"):
        particle("금융", "께서")
    with pytest.raises(AxstatError, match="nothing to read"):
        particle(" . ", "은/는")
