"""A survey whose contract asks for imputation, from its delivered files to its release."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.orchestration.runs import WaveRun, run_waves
from pipelines.settings import Settings, load_settings
from pipelines.synthetic import country as made_up
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

# Seven of ten enterprises refuse one of the seven technologies; machine learning is imputed.
REFUSED = 0.7
RULE = """\
imputation:
  variables: [tech_ml]
  statuses: [refused]
  chain: [deductive, last_wave, hot_deck]
  deductions:
    - variables: [tech_ml]
      when: {tech_text: ['1'], tech_speech: ['1'], tech_vision: ['1'], obstacle: ['01']}
      value: '1'
  classes:
    parts: [ksic_group, size_class]
    collapse: [{part: ksic_group, into: ksic_sections}, {part: ksic_group}]
    min_respondents: 5
  max_uses: 3
  max_rate: 0.25
"""

pytestmark = pytest.mark.xdist_group("imputation")


@dataclass(frozen=True)
class Imputed:
    settings: Settings
    runs: list[WaveRun]

    def tables(self, *names: str) -> list[pl.DataFrame]:
        settings = self.settings
        library = load_library(settings.contracts_dir)
        with Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library).session() as session:
            return [session.table(name) for name in names]

    def published(self, mart: str) -> pl.DataFrame:
        return pl.read_parquet(self.runs[-1].folder / "parquet" / f"{mart}.parquet")


def with_rule(settings: Settings, folder: Path, old: str = "", new: str = "") -> Settings:
    """Settings whose contracts ask for imputation of the enterprises, and of nothing in the public sector."""
    shutil.copytree(settings.contracts_dir, folder)
    path = folder / "surveys" / "industry.yaml"
    text = path.read_text(encoding="utf-8") + RULE.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return replace(settings, contracts_dir=folder)


@pytest.fixture(scope="module")
def imputed(tmp_path_factory: pytest.TempPathFactory) -> Imputed:
    home = tmp_path_factory.mktemp("imputed")
    settings = with_rule(load_settings({"AXSTAT_HOME": str(home)}), home / "contracts")
    read = made_up.load_country

    def refusing(library):
        country = read(library)
        figures = country.fieldwork.model_copy(update={"one_refused": REFUSED})
        return country.model_copy(update={"fieldwork": figures})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_up, "load_country", refusing)
        write_deliveries(home, load_library(settings.contracts_dir), seed=20240926, waves=(2022, 2023), scale=0.05)
    return Imputed(settings, run_waves(settings, None, on_event=lambda text, *, finished: None))


def test_every_imputed_value_is_flagged_and_no_observed_one_is_touched(imputed: Imputed) -> None:
    cells, sent, measures = imputed.tables("core.imputed_value", "staging.industry_response", "core.unit_measure")
    assert cells.select("survey", "variable").unique().rows() == [("industry", "tech_ml")]
    assert cells["wave"].unique().sort().to_list() == [2022, 2023]
    key = ["wave", "unit_id"]
    answers = sent.select(*key, pl.col("tech_ml").alias("answer"))
    # what was imputed had been refused, and whatever was refused is imputed
    assert cells.join(answers, on=key)["answer"].unique().to_list() == ["9"]
    refused = answers.filter(pl.col("answer") == "9").join(measures.select(key).unique(), on=key)
    assert cells.height == refused.height > 30
    flagged = measures.filter(pl.col("measure") == "tech_ml", pl.col("survey") == "industry")
    assert flagged.filter("imputed").select(key).sort(key).equals(cells.select(key).sort(key))
    in_operation = flagged.filter(~pl.col("imputed")).join(answers, on=key)
    expected = in_operation["answer"].replace_strict(
        {"1": 0.0, "2": 0.0, "3": 0.0, "4": 1.0, "5": 1.0}, default=None, return_dtype=pl.Float64
    )
    assert in_operation["value"].equals(expected.alias("value"))
    assert flagged.filter("imputed")["answer_status"].unique().to_list() == ["answered"]
    assert not measures.filter(pl.col("survey") == "public")["imputed"].any()
    # the ladder of a unit rests on its imputed answer; other technologies do not
    others = measures.filter(pl.col("measure") == "tech_genai", pl.col("survey") == "industry")
    assert not others["imputed"].any()
    ladder = measures.filter(pl.col("measure") == "ai_adoption", "imputed")
    assert ladder.select(key).sort(key).equals(cells.select(key).sort(key))


def test_values_come_from_the_methods_they_name(imputed: Imputed) -> None:
    cells, sent, units = imputed.tables("core.imputed_value", "staging.industry_response", "core.units")
    answers = sent.select("wave", "unit_id", pl.col("tech_ml").alias("answer"))
    counts = dict(cells.group_by("method").len().iter_rows())
    assert set(counts) == {"deductive", "last_wave", "hot_deck"}
    from_donor = cells.filter(pl.col("method") == "hot_deck")
    given = from_donor.join(answers, left_on=["wave", "donor_id"], right_on=["wave", "unit_id"], how="left")
    deduced = cells.filter(pl.col("method") == "deductive").select("wave", "unit_id", pl.col("value").alias("deduced"))
    given = given.join(deduced, left_on=["wave", "donor_id"], right_on=["wave", "unit_id"], how="left")
    answer = pl.when(pl.col("answer") == "9").then("deduced").otherwise("answer")
    assert given.filter((answer != pl.col("value")).fill_null(True)).is_empty()
    assert from_donor.group_by("wave", "donor_id").len()["len"].max() <= 3
    before = cells.filter(pl.col("method") == "last_wave")
    assert before["wave"].unique().to_list() == [2023]
    same = before.join(answers.with_columns(pl.col("wave") + 1), on=["wave", "unit_id"], how="left")
    assert same["answer"].equals(same["value"].alias("answer"))
    size = units.filter(pl.col("survey") == "industry").select("wave", "unit_id", "size_class")
    classes = from_donor.join(size, on=["wave", "unit_id"]).join(
        size, left_on=["wave", "donor_id"], right_on=["wave", "unit_id"], suffix="_donor"
    )
    assert (classes["size_class"] == classes["size_class_donor"]).all()


def test_the_imputation_rate_is_published(imputed: Imputed) -> None:
    measures, weights = imputed.tables("core.unit_measure", "core.weights")
    indicators = imputed.published("quality_indicator").filter(pl.col("indicator").str.starts_with("A7"))
    assert indicators.height == 8
    found = {(row["survey"], row["wave"], row["indicator"]): row["value"] for row in indicators.iter_rows(named=True)}
    for wave in (2022, 2023):
        of_wave = (pl.col("survey") == "industry") & (pl.col("wave") == wave)
        used = measures.filter(of_wave, pl.col("measure") == "ai_adoption", pl.col("value").is_not_null())
        used = used.join(weights.filter(of_wave).select("unit_id", "weight"), on="unit_id")
        assert found["industry", wave, "A7_unweighted"] == pytest.approx(used["imputed"].sum() / used.height)
        weighted = used.filter("imputed")["weight"].sum() / used["weight"].sum()
        assert found["industry", wave, "A7_weighted"] == pytest.approx(weighted)
        assert 0.02 < weighted < 0.2
        assert found["public", wave, "A7_unweighted"] == found["public", wave, "A7_weighted"] == 0.0
    report = (imputed.runs[-1].folder / "report.en.html").read_text(encoding="utf-8")
    assert "Imputation rate of the headline measure, weighted" in report


def test_the_bootstrap_that_imputes_anew_has_the_larger_standard_error(imputed: Imputed) -> None:
    [rates] = imputed.tables("estimates.replicate_rate")
    industry = rates.filter(
        pl.col("survey") == "industry", pl.col("domain_type") == "total", pl.col("unit_weighting") == "unit"
    )
    learning = industry.filter(pl.col("measure") == "tech_ml")
    assert learning.height == 2
    # A tenth imputed: 1/p + 1 - p of the variance, that is 1.10 of the SE, and less where some is of the last wave
    assert (learning["se_imputed"] / learning["se_bootstrap"]).is_between(1.01, 1.15).all()
    observed = rates.filter(pl.col("measure").is_in(["tech_genai", "tech_vision"]) | (pl.col("survey") == "public"))
    assert observed["se_imputed"].null_count() == observed.height
    headline = rates.filter(pl.col("domain_type").is_in(["total", "ax_total"]), pl.col("se_taylor") > 0)
    assert headline["status"].unique().to_list() == ["pass"]


def test_published_rates_say_that_imputed_values_count_as_observed(imputed: Imputed) -> None:
    rates = imputed.published("adoption_rate").filter(pl.col("domain_type") == "total")
    methods = dict(rates.filter(pl.col("survey") == "industry").select("measure", "variance_method").iter_rows())
    assert methods["tech_ml"] == methods["ai_adoption"] == "taylor_residual_as_observed"
    assert methods["tech_genai"] == "taylor_residual"
    assert set(rates.filter(pl.col("survey") == "public")["variance_method"]) == {"taylor_residual"}


def test_the_same_donors_are_drawn_again(imputed: Imputed, rerun: Callable) -> None:
    [before] = imputed.tables("core.imputed_value")
    [again] = rerun(imputed.settings, [2023])
    assert (again.release, again.new) == (imputed.runs[-1].release, False)
    [after] = imputed.tables("core.imputed_value")
    assert after.equals(before)


def test_a_wave_with_too_much_imputed_is_refused(imputed: Imputed, tmp_path: Path, rerun: Callable) -> None:
    home = tmp_path / "home"
    shutil.copytree(imputed.settings.deliveries_dir, home / "deliveries")
    settings = with_rule(
        load_settings({"AXSTAT_HOME": str(home)}), tmp_path / "contracts", "max_rate: 0.25", "max_rate: 0.01"
    )
    with pytest.raises(AxstatError) as caught:
        rerun(settings, [2022])
    text = str(caught.value)
    assert "too_much_imputed" in text or "at most 1.0%" in text
    assert "tech_ml" in text
    assert "industry 2022" in text
