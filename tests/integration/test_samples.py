"""Real files of other offices, read by contracts written for them, against what is known of them.

The files are not part of the project: they lie beside the checkout (../shared/samples). Without them the tests skip.
"""

from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.precheck.reading import FileReading, read_file

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT.parent / "shared" / "samples"
CONTRACTS = ROOT / "tests" / "fixtures" / "contracts"
# Every sample and the contract it is read by
FILES = {
    "eu_ai_by_country": "eu_ai_adoption_small/database_ia.csv",
    "eu_ai_by_nace": "eu_ai_adoption_small/database_ia_nace.csv",
    "eu_ai_europe": "eu_ai_adoption_small/database_ia_europe.csv",
    "eu_ict_specialists": "eu_ai_adoption_small/database_employees.csv",
    "eurostat_ai": "eurostat_isoc_eb_ai/isoc_eb_ai_batch_1.json",
    "eurostat_codebook": "eurostat_isoc_eb_ai/codebook.json",
    "kr_crime_in_seoul": "kr_public_raw_quirks/crime_in_Seoul.csv",
    "ksic_10_to_9": "ksic_r/ksic_10_to_9.csv",
    "ksic_9_to_10": "ksic_r/ksic_9_to_10.csv",
    "ksic_codes": "ksic_r/ksicDB.csv",
    "ksic_tree": "ksic_r/ksicTreeDB.csv",
    "us_abs_ai_by_industry": "us_abs_ai_ncses/11545_data.csv",
    "us_abs_ai_by_size": "us_abs_ai_ncses/11546_data.csv",
    "us_abs_ai_sample": "us_abs_ai_ncses/9848_data.csv",
    "us_btos_state": "us_btos_state/State.csv",
    "us_fed_ai_inventory": "us_fed_ai_inventory_2025/individually_reported_ai_use_cases.csv",
}
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples lie beside the checkout: ../shared/samples")


@pytest.fixture(scope="module")
def readings() -> dict[str, FileReading]:
    library: ContractLibrary = load_library(ROOT / "data_contracts")
    return {name: read_file(SAMPLES / file, CONTRACTS / f"{name}.yaml", library) for name, file in FILES.items()}


@pytest.fixture(scope="module")
def typed(readings: dict[str, FileReading]) -> dict[str, pl.DataFrame]:
    return {name: found.typed for name, found in readings.items()}


def test_every_sample_has_a_contract() -> None:
    there = {str(path.relative_to(SAMPLES)) for path in SAMPLES.glob("*/*") if path.is_file()}
    assert there == set(FILES.values())
    assert {path.stem for path in CONTRACTS.glob("*.yaml")} == set(FILES)


def test_every_row_is_typed(readings: dict[str, FileReading]) -> None:
    assert {name: found.verdict for name, found in readings.items()} == dict.fromkeys(FILES, "accept")
    dropped = {name: found.dropped_rows for name, found in readings.items() if found.dropped}
    # An empty line and the note on the source below the table, unless the reader knows a note when it sees one
    assert dropped.pop("us_btos_state", (4400, 4401)) == (4400, 4401)
    # Headings of groups
    assert dropped == {"us_abs_ai_by_size": (2, 5, 8, 11)}
    for found in readings.values():
        assert found.typed.height + found.dropped == found.records


def test_use_cases_of_the_us_government(typed: dict[str, pl.DataFrame]) -> None:
    cases = typed["us_fed_ai_inventory"]
    assert cases.shape == (3611, 35)
    assert cases.filter(pl.col("is_high_impact") == "High-impact").height == 445
    assert cases["agency"].n_unique() == 41
    assert cases["development_stage"].null_count() == 338
    by = {(agency, stage): rows for agency, stage, rows in cases.group_by("agency", "development_stage").len().rows()}
    assert (by["USDA", "Deployed"], by["USDA", "Pilot"]) == (39, 47)
    assert (by["DOE", "Deployed"], by["DOE", "Pilot"]) == (119, 57)
    features = cases["demographic_features"]
    assert features.null_count() == 0
    assert (features.list.len() == 0).sum() == 2507
    assert ["b) Sex", "c) Age"] in features.to_list()
    assert cases["problem_solved"].str.contains("\n").any()
    assert cases["has_pii"].value_counts().sort("has_pii", nulls_last=True).rows() == [
        (False, 1151),
        (True, 360),
        (None, 2100),
    ]


def test_eurostat_as_a_spreadsheet_user_saves_it(typed: dict[str, pl.DataFrame]) -> None:
    countries = typed["eu_ai_by_country"]
    assert countries.height == 27 * 4
    assert countries.filter(country="Belgium").select("year", "share").rows() == [
        (2021, 0.1032),
        (2023, 0.1381),
        (2024, 0.2471),
        (2025, 0.3454),
    ]
    assert typed["eu_ai_europe"]["share"].to_list() == [0.0804, 0.1348, 0.1995]
    sections = typed["eu_ai_by_nace"]
    assert sections["activity"].n_unique() == 11
    water = "Water supply; sewerage, waste management and remediation activities"
    assert sections.filter(activity=water)["share"].to_list() == [0.0565, 0.0838, 0.1312]
    assert typed["eu_ict_specialists"].filter(country="Sweden", year=2025).height == 1


def test_eurostat_as_its_interface_gives_it(typed: dict[str, pl.DataFrame]) -> None:
    cells = typed["eurostat_ai"]
    assert cells["percent"].is_not_null().sum() == 15008
    assert dict(cells["status"].drop_nulls().value_counts().rows()) == {"u": 313, "b": 177, "bu": 27, "d": 8}
    rate = cells.filter(geo="EU27_2020", indic_is="E_AI_TANY", unit="PC_ENT").sort("year")
    for size, expected in (("GE10", [8.06, 13.48, 19.95]), ("GE250", [30.48, 41.17, 55.03])):
        assert rate.filter(size_emp=size)["percent"].to_list() == expected
    codes = typed["eurostat_codebook"]
    assert codes.filter(list="size_emp")["code"].sort().to_list() == ["10-49", "50-249", "GE10", "GE250"]
    for dimension in ("size_emp", "indic_is", "geo"):
        assert set(cells[dimension]) <= set(codes.filter(list=dimension)["code"])


def test_trends_of_us_business(typed: dict[str, pl.DataFrame]) -> None:
    answers = typed["us_btos_state"]
    assert answers.height == 4399 * 53
    assert answers["period"].n_unique() == 53
    assert answers["percent_flag"].eq("suppressed").sum() == 35_007
    assert answers.filter(pl.col("percent_flag").is_not_null())["percent"].null_count() == 35_007
    used_ai = answers.filter(question_id=7)
    assert used_ai["question"].unique().str.contains("Artificial Intelligence").to_list() == [True]
    assert used_ai.filter(state="AL", period="202519")["percent"].to_list() == [5.9, 84.8, 9.3]
    alaska = used_ai.filter(state="AK", period="202519", answer="Yes").row(0, named=True)
    assert (alaska["percent"], alaska["percent_flag"]) == (None, "suppressed")
    # The three answers to one question add up to all, where none of them is suppressed
    sums = (
        used_ai.filter(pl.col("percent").is_not_null())
        .group_by("state", "period")
        .agg(pl.col("percent").sum(), pl.len())
        .filter(pl.col("len") == 3)
    )
    assert sums.height > 1000
    assert sums["percent"].is_between(99.7, 100.3).all()


def test_sizes_weighted_by_companies_give_the_total(typed: dict[str, pl.DataFrame]) -> None:
    answers = ["a_lot", "somewhat", "a_little", "not_at_all"]
    table = typed["us_abs_ai_by_size"]
    total = table.filter(employment_size_hierarchy_depth=1)
    sizes = table.filter(employment_size_hierarchy_depth=3)
    assert sizes.height == 12
    assert sizes["employment_size_level_3"][0] == "1–4"
    # Each of the twelve is rounded by itself
    assert abs(sizes["companies"].sum() - total["companies"].item()) <= 6
    for answer in answers:
        weighted = (sizes[answer] * sizes["companies"]).sum() / sizes["companies"].sum()
        assert weighted == pytest.approx(total[answer].item(), abs=0.001)
    assert table.filter(employment_size_level_3="500–999")["a_lot_flag"].to_list() == ["r"]
    industries = typed["us_abs_ai_by_industry"]
    assert industries.height == 71
    assert industries["companies"][0] == 4_874_928
    flagged = {answer: industries[f"{answer}_flag"].eq("r").sum() for answer in answers}
    assert flagged == {"a_lot": 25, "somewhat": 10, "a_little": 7, "not_at_all": 0}
    sample = typed["us_abs_ai_sample"]
    assert sample.row(0, named=True)["population"] == 5_410_000
    parts = sample["noncertainties"] + sample["certainties"]
    # The office rounds each figure by itself
    assert ((parts - sample["sample"]).abs() <= 0.05 * sample["sample"] + 150).all()


def test_crime_in_seoul(typed: dict[str, pl.DataFrame]) -> None:
    cases = typed["kr_crime_in_seoul"]
    assert cases["station"].n_unique() == 31
    assert cases.filter(station="중부서", crime="절도").select("event", "cases").rows() == [
        ("발생", 1395),
        ("검거", 477),
    ]
    assert cases.filter(station="중부서", crime="폭력")["cases"].to_list() == [1355, 1170]


def test_korean_industries(typed: dict[str, pl.DataFrame]) -> None:
    codes = typed["ksic_codes"]
    tenth = codes.filter(revision="C10").group_by("digits").len().sort("digits")
    assert tenth["len"].to_list() == [21, 77, 232, 495, 1196]
    assert codes.filter(revision="C10", code="01")["name"].to_list() == ["농업"]
    tree = typed["ksic_tree"]
    last = set(codes.filter(digits=5).select("revision", "code").rows())
    assert set(tree.select("revision", "ksic5_cd").rows()) == last
    there, back = typed["ksic_10_to_9"], typed["ksic_9_to_10"]
    pairs = set(there.select("ksic10_cd", "ksic9_cd").rows())
    assert pairs == set(back.select("ksic10_cd", "ksic9_cd").rows())
    assert len(pairs) == 1377
    assert set(there["ksic10_cd"]) == set(codes.filter(revision="C10", digits=5)["code"])
