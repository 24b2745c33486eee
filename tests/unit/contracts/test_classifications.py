"""The published lists: eight industries, eighteen sectors, KSIC, and the models that hold them."""

import csv
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.contracts.classifications import Classification, Item, MeasureFile, MeasureTemplate
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError

SAMPLES = Path(__file__).parents[4] / "shared" / "samples"

# Sections A to S without O: what the enterprise survey covers (method of the survey, section 1)
SURVEYED = set("ABCDEFGHIJKLMNPQRS")


def test_eight_industries_and_eighteen_sectors(library: ContractLibrary) -> None:
    assert library.classifications["ax_industries"].codes == tuple(f"AX{n}" for n in range(1, 9))
    assert library.classifications["public_sectors"].codes == tuple(f"P{n:02d}" for n in range(1, 19))


def test_only_what_the_strategy_names_is_not_a_proposal(library: ContractLibrary) -> None:
    # MSIT, 26 September 2024: "manufacturing, finance, and healthcare"; "safety, disaster response, and
    # health"
    named = {
        name: {item.code for item in library.classifications[name].items if item.named_in_source}
        for name in ("ax_industries", "public_sectors")
    }
    assert named == {"ax_industries": {"AX1", "AX2", "AX3"}, "public_sectors": {"P01", "P02", "P03"}}
    for name in named:
        listed = library.classifications[name]
        assert listed.proposal
        assert listed.note_ko
        assert listed.note_en
        for item in listed.items:
            assert item.source.startswith("Proposal" if not item.named_in_source else "National AI strategy")


def test_nothing_else_claims_to_be_named_by_the_strategy(library: ContractLibrary) -> None:
    others = set(library.classifications) - {"ax_industries", "public_sectors"}
    claims = {name for name in others for item in library.classifications[name].items if item.named_in_source}
    assert claims == set()


def test_codes_are_unique_and_labelled_in_both_languages(library: ContractLibrary) -> None:
    for listed in library.classifications.values():
        assert len(set(listed.codes)) == len(listed.codes), listed.id
        assert len({item.label_ko for item in listed.items}) == len(listed.items), listed.id
        assert len({item.label_en for item in listed.items}) == len(listed.items), listed.id
        for item in listed.items:
            assert item.label_en.isascii() or "×" in item.label_en, item


def test_every_list_of_the_survey_has_korean_labels(library: ContractLibrary) -> None:
    hangul = re.compile("[가-힣]")
    without = {
        (name, item.code)
        for name in (
            "ax_industries",
            "public_sectors",
            "regions",
            "ai_technologies",
            "ai_stages",
            "obstacles",
        )
        for item in library.classifications[name].items
        if not hangul.search(item.label_ko)
    }
    assert without == set()


def test_no_division_stands_in_two_industries_of_a_revision(library: ContractLibrary) -> None:
    counts = Counter((row.revision, row.division) for row in library.ksic)
    assert {key for key, count in counts.items() if count > 1} == set()


def test_both_revisions_cover_the_same_77_divisions(library: ContractLibrary) -> None:
    divisions = {
        revision: {row.division for row in library.ksic if row.revision == revision} for revision in ("10", "11")
    }
    assert divisions["10"] == divisions["11"]
    assert len(divisions["10"]) == 77


def test_divisions_of_the_tenth_revision_are_those_of_statistics_korea(library: ContractLibrary) -> None:
    tree = SAMPLES / "ksic_r" / "ksicTreeDB.csv"
    if not tree.is_file():
        pytest.skip(f"the KSIC file is not beside this checkout ({tree})")
    with tree.open(encoding="utf-8", newline="") as file:
        official = {
            row["ksic2_cd"]: (row["ksic1_cd"], row["ksic2_nm"].replace("ㆍ", "·"))
            for row in csv.DictReader(file)
            if row["ksic_C"] == "C10"
        }
    ours = {row.division: (row.section, row.label_ko) for row in library.ksic if row.revision == "10"}
    assert ours == official


def test_divisions_in_scope_have_a_group_and_no_others(library: ContractLibrary) -> None:
    for row in library.ksic:
        assert (row.ksic_group is not None) == (row.section in SURVEYED), row


def test_scope_of_the_industries(library: ContractLibrary) -> None:
    # The scope by division that the project decided; C21 (pharmaceuticals) goes to AX3 and not to AX1
    expected = {
        "AX1": {f"{n:02d}" for n in range(10, 35)} - {"21"},
        "AX2": {"64", "65", "66"},
        "AX3": {"86", "21"},
        "AX4": {"45", "46", "47"},
        "AX5": {"49", "50", "51", "52"},
        "AX6": {"58", "59", "60", "90"},
        "AX7": {"01", "02", "03"},
        "AX8": {"70", "71", "72", "73"},
    }
    for revision in ("10", "11"):
        scope: dict[str, set[str]] = {}
        for row in library.ksic:
            if row.revision == revision and row.ax_industry is not None:
                scope.setdefault(row.ax_industry, set()).add(row.division)
        assert scope == expected


def test_a_group_lies_within_one_section_and_one_industry(library: ContractLibrary) -> None:
    industries: dict[str, set[str | None]] = {}
    for row in library.ksic:
        if row.ksic_group is not None:
            industries.setdefault(row.ksic_group, set()).add(row.ax_industry)
    # So that a post-stratum of a group never mixes two domains
    assert {group for group, found in industries.items() if len(found) > 1} == set()
    assert set(industries) == set(library.classifications["ksic_groups"].codes)


def test_regions_fall_into_the_five_groups(library: ContractLibrary) -> None:
    regions = library.classifications["regions"]
    assert len(regions.items) == 17
    assert Counter(regions.parents.values()) == Counter(capital=3, chungcheong=4, honam=3, yeongnam=5, gangwon_jeju=2)


def test_stage_answers_climb_the_ladder(library: ContractLibrary) -> None:
    stages = library.classifications["ai_stages"]
    answers = library.classifications["stage_answers"]
    rank = {item.code: item.sort_order for item in stages.items}
    assert [rank[answers.parents[code]] for code in ("1", "2", "3", "4", "5")] == [0, 1, 2, 3, 4]
    assert [item.code for item in stages.items if item.properties["in_operation"] == "yes"] == [
        "deployed",
        "scaled",
    ]


def test_dispositions_have_a_group_by_their_first_digit(library: ContractLibrary) -> None:
    by_digit = {
        "1": "respondent",
        "2": "eligible_nonrespondent",
        "3": "unknown_eligibility",
        "4": "out_of_scope",
    }
    parents = library.classifications["dispositions"].parents
    assert parents == {code: by_digit[code[0]] for code in parents}
    assert len(parents) == 10


def test_bounds_of_the_size_classes_leave_no_gap(library: ContractLibrary) -> None:
    bounds = [item.properties for item in library.classifications["size_classes"].items]
    assert bounds[0]["min_employees"] == "10"
    for lower, upper in pairwise(bounds):
        assert int(lower["max_employees"]) + 1 == int(upper["min_employees"])
    assert "max_employees" not in bounds[-1]


def test_unknown_code_is_named_with_the_list() -> None:
    item = Item(code="a", label_ko="가", label_en="A", sort_order=1, source="test", named_in_source=False)
    listed = Classification(
        id="letters", version="1", label_ko="글자", label_en="Letters", proposal=True, items=(item,)
    )
    assert listed.item("a") is item
    with pytest.raises(AxstatError) as caught:
        listed.item("b")
    assert caught.value.code == "unknown_code"
    assert "letters" in caught.value.where


def test_an_unquoted_number_is_not_a_code() -> None:
    # YAML reads an unquoted 01 as a number, which would lose its zero
    with pytest.raises(ValidationError):
        Item.model_validate(
            {
                "code": 1,
                "label_ko": "가",
                "label_en": "A",
                "sort_order": 1,
                "source": "s",
                "named_in_source": False,
            }
        )


def test_template_makes_a_measure_an_entry() -> None:
    items = tuple(
        Item(code=code, label_ko=ko, label_en=en, sort_order=order, source="test", named_in_source=False)
        for code, ko, en, order in (("b", "나", "Second", 2), ("a", "가", "First", 1))
    )
    listed = Classification(id="x", version="1", label_ko="x", label_en="x", proposal=True, items=items)
    template = MeasureTemplate(
        prefix="x_",
        classification="x",
        label_ko="{label_ko}",
        label_en="{label_en}",
        definition_ko="비율: {label_ko}",
        definition_en="Share of {label_en} ({code})",
        sort_order=100,
    )
    made = template.expand(listed)
    assert [(measure.measure, measure.sort_order) for measure in made] == [("x_a", 100), ("x_b", 101)]
    assert made[0].definition_en == "Share of First (a)"
    with pytest.raises(ValidationError, match="share a prefix"):
        MeasureFile(
            id="measures",
            version="1",
            label_ko="x",
            label_en="x",
            measures=(),
            templates=(template, template),
        )
