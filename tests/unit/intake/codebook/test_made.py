"""Codebooks as rows of the warehouse and back, wave after wave."""

from dataclasses import replace

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.intake.codebook.made import codebook_of_contract, codebook_of_rows, codebook_rows, completed
from pipelines.intake.codebook.model import Codebook, Variable

ASKED = Variable(
    names=("AIUSE",),
    column="ai_use",
    texts=("AI 이용",),
    questions=("이용합니까?",),
    codes={"1": ("예",), "2": ()},
    type="number",
)
MEMO = Variable(names=("MEMO",))


def stored(codebook: Codebook, wave: int) -> pl.DataFrame:
    rows = codebook_rows(replace(codebook, question_version=f"v{wave}"))
    return rows.with_columns(pl.lit("industry").alias("survey"), pl.lit(wave).alias("wave"))


def book(*variables: Variable) -> Codebook:
    return Codebook(source="f", kind="labels", variables=variables)


def test_rows_and_back() -> None:
    rows = stored(book(ASKED, MEMO), 2024)
    assert rows.select("variable", "code", "code_label").rows() == [
        ("AIUSE", "1", "예"),
        ("AIUSE", "2", None),
        ("MEMO", None, None),
    ]
    found = codebook_of_rows(rows.sample(fraction=1, shuffle=True, seed=1), before=2025)
    assert found is not None
    assert (found.source, found.kind, found.question_version) == ("industry 2024", "wave", "v2024")
    assert found.variables == (ASKED, MEMO)


def test_what_the_last_wave_does_not_say_is_taken_from_the_one_before() -> None:
    bare = Variable(names=("AI 이용여부",), column="ai_use")
    rows = pl.concat([stored(book(ASKED, MEMO), 2023), stored(book(bare), 2024), stored(book(MEMO), 2025)])
    found = codebook_of_rows(rows, before=2025)
    assert found is not None
    assert found.question_version == "v2024"
    [variable] = found.variables
    assert variable == replace(ASKED, names=("AI 이용여부",))
    assert codebook_of_rows(rows, before=2023) is None


def test_a_files_own_labels_come_first() -> None:
    sent = book(replace(ASKED, texts=("설명",)), Variable(names=("OTHER",)))
    [variable] = completed(book(replace(ASKED, questions=(), type=None)), sent).variables
    assert variable == ASKED


def test_a_contracts_columns_by_question_version(library: ContractLibrary) -> None:
    contract = library.deliveries["industry_response"]
    old, new = (codebook_of_contract(contract, question_version=version) for version in ("yn-2019", "list-2022"))
    assert {one.name for one in old.variables} - {one.name for one in new.variables} == {"ai_use"}
    by_name = {one.name: one for one in new.variables}
    assert by_name["employees"].type == "number"
    assert by_name["tech_ml"].type is None
    assert by_name["tech_ml"].codes["1"] == ("이용하지 않음", "Not used")
    assert by_name["interviewer"].optional
