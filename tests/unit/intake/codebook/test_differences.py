"""Each kind of difference between two codebooks, and how grave it is."""

import time
from dataclasses import replace

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.intake.codebook.differences import Comparison, Difference, changed_words, compare
from pipelines.intake.codebook.made import codebook_of_contract
from pipelines.intake.codebook.model import Codebook, CodebookKind, Variable, code_keys, plain

YES_NO = {"1": ("예",), "2": ("아니오",)}
ASKED = Variable(names=("AIUSE",), column="ai_use", questions=("인공지능을 이용합니까?",), codes=YES_NO)


def book(*variables: Variable, kind: CodebookKind = "wave", version: str | None = "v1") -> Codebook:
    return Codebook(source=kind, kind=kind, variables=variables, question_version=version)


def against(old: Variable | Codebook, new: Variable | Codebook) -> Comparison:
    sides = [side if isinstance(side, Codebook) else book(side) for side in (old, new)]
    return compare(*sides, measured={"ai_use"})


def told(comparison: Comparison) -> list[tuple[str, str, str]]:
    return [(one.kind, one.gravity, one.name) for one in comparison.differences]


def one(comparison: Comparison) -> Difference:
    [difference] = comparison.differences
    return difference


def test_the_same_in_other_widths_spaces_and_punctuation_is_the_same() -> None:
    found = against(ASKED, replace(ASKED, names=("ａｉｕｓｅ",), questions=("인공지능을  이용 합니까",)))
    assert found.differences == ()
    assert (found.paired, found.texts, found.codes) == (1, 1, 1)


def test_a_reworded_question_of_a_measure_asks_for_a_new_segment() -> None:
    found = one(against(ASKED, replace(ASKED, questions=("생성형 인공지능을 이용합니까?",))))
    assert (found.kind, found.gravity) == ("question_changed", "serious")
    assert found.similarity is not None
    assert 0.7 < found.similarity < 1
    assert [(run.state, run.text) for run in found.words] == [("added", "생성형"), ("same", "인공지능을 이용합니까?")]


def test_under_a_new_question_version_it_is_expected() -> None:
    changed = replace(ASKED, questions=("다음 중 이용하는 기술은?",))
    found = against(book(ASKED), book(changed, version="v2"))
    assert told(found) == [("text_changed", "note", "AIUSE")]
    assert found.new_version
    # Without a word on the version it is not
    assert told(against(book(ASKED, version=None), book(changed, version="v2")))[0][0] == "question_changed"


def test_a_reworded_variable_that_no_measure_rests_on_is_looked_at() -> None:
    size = Variable(names=("EMP",), column="employees", texts=("종사자 수",))
    assert told(against(size, replace(size, texts=("상용 근로자 수",)))) == [("text_changed", "look", "EMP")]


def test_questions_are_compared_with_questions_and_labels_with_labels() -> None:
    label = replace(ASKED, texts=("AI 이용",))
    assert against(replace(label, questions=()), replace(ASKED, texts=())).texts == 0
    # The same question under another label is a note
    assert told(against(label, replace(label, texts=("활용 여부",)))) == [("text_changed", "note", "AIUSE")]


def test_swapped_codes_are_the_gravest() -> None:
    found = against(ASKED, replace(ASKED, codes={"1": ("아니오",), "2": ("예",)}))
    assert told(found) == [("code_reused", "serious", "AIUSE")] * 2
    assert [(d.code, d.before, d.after) for d in found.differences] == [("1", "예", "아니오"), ("2", "아니오", "예")]


@pytest.mark.parametrize(
    ("label", "kind", "gravity"),
    [("예.", None, None), ("예, 이용함", "code_relabelled", "note"), ("해당 없음", "code_reused", "serious")],
)
def test_labels_of_one_code(label: str, kind: str | None, gravity: str | None) -> None:
    old = replace(ASKED, codes={"1": ("예, 이용",), "2": ("아니오",)}) if kind == "code_relabelled" else ASKED
    found = against(old, replace(old, codes={**old.codes, "1": (label,)}))
    assert [(d.kind, d.gravity) for d in found.differences] == ([(kind, gravity)] if kind else [])


def test_codes_come_and_go() -> None:
    found = against(ASKED, replace(ASKED, codes={"1": ("예",), "3": ("검토 중",)}))
    assert [(d.kind, d.code, d.before, d.after) for d in found.differences] == [
        ("code_added", "3", None, "검토 중"),
        ("code_removed", "2", "아니오", None),
    ]


def test_leading_zeros_are_no_difference_unless_they_tell_codes_apart() -> None:
    padded = replace(ASKED, codes={"01": ("예",), "02": ("아니오",)})
    assert against(ASKED, padded).differences == ()
    assert code_keys(["1", "01"]) == {"1": "1", "01": "01"}


def test_renamed_by_column_text_or_codes() -> None:
    assert told(against(ASKED, replace(ASKED, names=("AI 이용여부",)))) == [("renamed", "note", "AI 이용여부")]
    moved = replace(ASKED, names=("Q7",), column=None)
    # The contract does not know the new name: a person must say so
    assert told(against(ASKED, moved)) == [("renamed", "look", "Q7")]
    assert told(against(ASKED, replace(moved, questions=()))) == [("renamed", "look", "Q7")]


def test_the_same_answers_do_not_make_two_questions_one() -> None:
    other = Variable(names=("Q9",), questions=("로봇을 만드십니까?",), codes=YES_NO)
    assert told(against(ASKED, other)) == [("vanished", "look", "AIUSE"), ("new", "look", "Q9")]


def test_columns_of_the_contract_are_never_paired_with_others() -> None:
    other = replace(ASKED, names=("OTHER",), column="employees")
    assert {d.kind for d in against(ASKED, other).differences} == {"vanished", "new"}


def test_a_variable_of_another_question_version_may_go() -> None:
    found = against(book(ASKED), book(Variable(names=("X",)), version="v2"))
    assert ("vanished", "note", "AIUSE") in told(found)


def test_changed_types() -> None:
    typed = replace(ASKED, type="number")
    assert told(against(typed, replace(ASKED, type="text"))) == [("type_changed", "look", "AIUSE")]
    assert against(typed, ASKED).differences == ()


def test_the_contract_has_several_words_for_one_thing(library: ContractLibrary) -> None:
    contract = library.deliveries["industry_response"]
    ours = codebook_of_contract(contract, question_version="list-2022")
    column = contract.column("tech_ml")
    english = Variable(
        names=("STG_ML",),
        column="tech_ml",
        texts=(column.label_en,),
        codes={code.value: (code.label_en,) for code in column.codes},
    )
    found = compare(ours, book(english, kind="labels"), measured={"tech_ml"})
    assert [d for d in found.differences if d.name == "STG_ML"] == []
    # A label of the contractor's own is a look, another code's label is another meaning
    codes = {**english.codes, "1": ("Zzz",), "4": ("Planned",)}
    found = compare(ours, book(replace(english, codes=codes), kind="labels"), measured={"tech_ml"})
    assert [(d.kind, d.gravity, d.code) for d in found.differences if d.code] == [
        ("code_reused", "serious", "4"),
        ("code_relabelled", "look", "1"),
    ]


def test_long_texts_are_compared_whole_and_in_time() -> None:
    long = "가나다라 " * 20_000
    assert against(replace(ASKED, questions=(long,)), replace(ASKED, questions=(long + " ",))).differences == ()
    assert (
        one(against(replace(ASKED, questions=(long,)), replace(ASKED, questions=(long + "끝",)))).kind
        == "question_changed"
    )


def test_a_long_list_of_codes_with_new_labels_takes_no_longer_than_it_must() -> None:
    """Five-digit industries have some 1,200 codes; a list in another language changes each label."""
    old = {f"{code:05}": (f"업종 {code}",) for code in range(3_000)}
    new = {f"{code:05}": (f"industry no. {code}",) for code in range(3_000)}
    started = time.process_time()
    found = against(replace(ASKED, codes=old), replace(ASKED, codes=new))
    assert time.process_time() - started < 10
    assert {d.kind for d in found.differences} == {"code_reused"}
    assert len(found.differences) == 3_000


def test_words() -> None:
    runs = [(run.state, run.text) for run in changed_words("귀사는 AI를 이용합니까?", "귀 기관은 AI를 이용합니까")]
    assert runs == [("removed", "귀사는"), ("added", "귀 기관은"), ("same", "AI를 이용합니까")]
    assert plain("※ …") != ""
