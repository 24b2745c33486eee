import numpy as np
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.country import industry_design
from pipelines.synthetic.enterprises import enterprise_waves
from pipelines.synthetic.fieldwork import Collected, Fieldwork
from pipelines.synthetic.parameters import Country
from pipelines.synthetic.population import Population
from pipelines.synthetic.sampling import Sampler
from pipelines.synthetic.streams import Streams


@pytest.fixture(scope="module")
def population(country: Country, library: ContractLibrary, seed: int) -> Population:
    waves = enterprise_waves(country, library, Streams(seed), last_wave=2022, scale=0.2)
    return {population.wave: population for population in waves}[2022]


@pytest.fixture(scope="module")
def sample(population: Population, country: Country) -> pl.DataFrame:
    return Sampler(industry_design(country.samples.industry, 0.2)).draw(population).filter("selected")


@pytest.fixture(scope="module")
def fieldwork(country: Country, library: ContractLibrary, seed: int) -> Fieldwork:
    return Fieldwork(country.fieldwork, library, library.surveys["industry"], Streams(seed))


@pytest.fixture(scope="module")
def collected(fieldwork: Fieldwork, population: Population, sample: pl.DataFrame) -> Collected:
    return fieldwork.collect(population, sample)


@pytest.fixture(scope="module")
def everybody(fieldwork: Fieldwork, population: Population) -> pl.DataFrame:
    """All units of the frame put through the field, with their dispositions."""
    return population.units.join(fieldwork.collect(population, population.units).dispositions, on="unit_id")


def test_every_selected_unit_has_a_disposition(collected: Collected, sample: pl.DataFrame) -> None:
    assert collected.dispositions["unit_id"].to_list() == sample["unit_id"].to_list()
    found = set(collected.dispositions["disposition"])
    assert found == {"1.1", "1.2", "2.1", "2.2", "2.3", "3.1", "3.2", "4.1", "4.2", "4.3"}


def test_out_of_scope_is_what_is_truly_out_of_scope(everybody: pl.DataFrame) -> None:
    outside = everybody.filter(pl.col("disposition").str.starts_with("4"))
    assert (outside["disposition"] == outside["out_of_scope"]).all()
    missed = everybody.filter(~pl.col("in_scope"), ~pl.col("disposition").str.starts_with("4"))
    # Out of scope but not located or not contacted: unknown, never non-response.
    assert set(missed["disposition"]) <= {"3.1", "3.2"}


def test_about_thirty_per_cent_of_the_eligible_do_not_answer(everybody: pl.DataFrame) -> None:
    eligible = everybody.filter(pl.col("disposition").str.head(1).is_in(["1", "2"])).with_columns(
        answered=pl.col("disposition").str.starts_with("1")
    )
    assert eligible["answered"].mean() == pytest.approx(0.69, abs=0.02)
    by_group = dict(eligible.group_by("ksic_group").agg(pl.col("answered").mean()).iter_rows())
    assert by_group["I"] < by_group["Q87"] - 0.05


def test_response_depends_on_adoption_only_through_industry_and_size(everybody: pl.DataFrame) -> None:
    classes = everybody.filter("in_scope").with_columns(
        answered=pl.col("disposition").str.starts_with("1"),
        size=pl.len().over("ksic_group", "size_class"),
    )
    within = classes.filter(pl.col("size") >= 20).with_columns(
        (pl.col(name) - pl.col(name).mean().over("ksic_group", "size_class")).alias(f"{name}_within")
        for name in ("answered", "ai_adoption")
    )
    # Correlation within weighting classes: zero but for chance, standard error 1 / sqrt(40,000) = 0.005.
    assert abs(np.corrcoef(within["answered_within"], within["ai_adoption_within"])[0, 1]) < 0.02


def test_answers_are_the_truth_where_they_are_answers(
    collected: Collected, population: Population, library: ContractLibrary
) -> None:
    bad = collected.bad_rows["unit_id"].implode()
    technologies = [f"tech_{code}" for code in population.technologies]
    rows = collected.responses.join(
        population.units, left_on="business_number", right_on="unit_id", suffix="_true"
    ).filter(~pl.col("business_number").is_in(bad))
    assert rows.height > 1000
    for name in technologies:
        asked = rows.filter(pl.col(name).is_in(["1", "2", "3", "4", "5"]))
        assert (asked[name].cast(pl.Int64) == asked[f"{name}_true"] + 1).all()
        assert set(rows[name].drop_nulls()) <= {"1", "2", "3", "4", "5", "8", "9"}
    assert collected.responses.columns == [
        column.name for column in library.deliveries["industry_response"].columns_for("list-2022")
    ]


def test_few_answers_are_missing_and_most_of_them_together(collected: Collected, population: Population) -> None:
    technologies = [f"tech_{code}" for code in population.technologies]
    kinds = collected.responses.select(
        unknown=pl.sum_horizontal(pl.col(technologies).eq("8").fill_null(value=False)),
        refused=pl.sum_horizontal(pl.col(technologies).eq("9").fill_null(value=False)),
        blank=pl.sum_horizontal(pl.col(technologies).is_null()),
    )
    total = collected.responses.height
    assert 0.005 < (kinds["unknown"] == 7).sum() / total < 0.03
    assert 0 < (kinds["refused"] == 7).sum() / total < 0.02
    assert 0 < (kinds["blank"] == 7).sum() / total < 0.03
    single = (kinds["unknown"] + kinds["refused"] + kinds["blank"]).is_between(1, 6).sum() / total
    assert 0 < single < 0.015
    obstacle = collected.responses["obstacle"]
    assert set(obstacle.drop_nulls()) == {"01", "02", "03", "04", "05", "06", "07", "98", "99"}
    # 2 % blank, and the 5 % partial answers, which stop before this question.
    assert 0.04 < obstacle.null_count() / total < 0.10


def test_who_answered_tends_to_answer_again(
    enterprises: dict[int, Population], country: Country, library: ContractLibrary, seed: int
) -> None:
    field = Fieldwork(country.fieldwork, library, library.surveys["industry"], Streams(seed))
    waves = [
        enterprises[wave]
        .units.join(field.collect(enterprises[wave], enterprises[wave].units).dispositions, on="unit_id")
        .filter("in_scope")
        .select("unit_id", answered=pl.col("disposition").str.starts_with("1"))
        for wave in (2023, 2024)
    ]
    both = waves[0].join(waves[1], on="unit_id")
    # Normal effects that correlate by 0.5, cut at about 69 %, give a correlation of about 0.32.
    assert 0.22 < np.corrcoef(both["answered"], both["answered_right"])[0, 1] < 0.42


def test_bad_rows_are_few_and_recorded(collected: Collected) -> None:
    bad, responses = collected.bad_rows, collected.responses
    assert bad.height == 7
    assert bad["kind"].n_unique() == 7
    rows = {
        kind: responses.row(number - 1, named=True) for kind, number in bad.select("kind", "row_number").iter_rows()
    }
    assert rows["negative_employees"]["employees"] < 0
    assert rows["absurd_employees"]["employees"] == 9_999_999
    assert rows["unknown_answer"]["tech_ml"] == "7"
    assert rows["unknown_ksic"]["ksic"] == "00"
    assert rows["unknown_region"]["region"] == "77"
    assert len(rows["digit_too_many"]["business_number"]) == 11
    numbers = responses["business_number"]
    repeated = numbers.filter(numbers.is_duplicated()).unique().to_list()
    assert repeated == bad.filter(pl.col("kind") == "repeated_row")["unit_id"].to_list()
    assert numbers[-1] == repeated[0]


def test_fields_are_blank_where_they_are_not_served(
    institutions: dict[int, Population], country: Country, library: ContractLibrary, seed: int
) -> None:
    survey = library.surveys["public"]
    population = institutions[2023]
    field = Fieldwork(country.fieldwork, library, survey, Streams(seed))
    collected = field.collect(population, population.units)
    rows = collected.responses.join(population.units, left_on="institution_code", right_on="unit_id", suffix="_true")
    for code in population.fields:
        name = f"field_{code}"
        assert (
            rows.filter(pl.col(f"{name}_true").is_null())[name].null_count()
            == rows.filter(pl.col(f"{name}_true").is_null()).height
        )
        known = rows.filter(pl.col(name).is_in(["1", "2"]))
        assert ((known[name] == "1") == known[f"{name}_true"]).all()
    fields = [f"field_{code}" for code in population.fields]
    given = set(rows.select(fields).unpivot()["value"].drop_nulls())
    assert given == {"1", "2", "8", "9"}
    assert collected.bad_rows["kind"].to_list() != []
    assert collected.bad_rows.height == 5


def test_the_yes_no_wave(
    enterprises: dict[int, Population], country: Country, library: ContractLibrary, seed: int
) -> None:
    field = Fieldwork(country.fieldwork, library, library.surveys["industry"], Streams(seed))
    population = enterprises[2021]
    collected = field.collect(population, population.units)
    assert "ai_use" in collected.responses.columns
    assert not [name for name in collected.responses.columns if name.startswith("tech_")]
    rows = collected.responses.join(population.units, left_on="business_number", right_on="unit_id")
    known = rows.filter(pl.col("ai_use").is_in(["1", "2"]))
    assert ((known["ai_use"] == "1") == known["ai_adoption"]).all()
    assert set(rows["ai_use"].drop_nulls()) == {"1", "2", "7", "8", "9"}
