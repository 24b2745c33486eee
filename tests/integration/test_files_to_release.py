"""From delivered files to a release: what a statistician and an analyst would look at first."""

import json
from collections.abc import Callable

import duckdb
import polars as pl
import pytest

from pipelines.release.overview import latest_database, overview
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

KEY = ("survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting")

pytestmark = pytest.mark.xdist_group("country")


def test_every_wave_is_published_once(country) -> None:
    assert [run.release for run in country.runs] == ["2021.1", "2022.1", "2023.1"]
    assert all(run.new for run in country.runs)
    latest = country.settings.published_dir / "latest"
    assert latest.readlink().name == "2023.1"


def test_a_release_holds_every_form(country) -> None:
    folder = country.runs[-1].folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "axstat.duckdb", "axstat.xlsx", "codebook.xml", "csv", "jsonstat", "kosis", "manifest.json", "parquet",
        "provenance.json", "report.en.html", "report.en.pdf", "report.ko.html", "report.ko.hwpx", "report.ko.pdf",
        "sbom.cdx.json", "sdmx", "share.en.png", "share.ko.png",
    ]  # fmt: skip
    marts = sorted(name.split(".")[1] for name in country.library.marts)
    assert sorted(path.stem for path in (folder / "csv").glob("*.csv")) == marts
    assert sorted(path.stem for path in (folder / "parquet").iterdir()) == marts


def test_every_wave_has_its_weight_reports_which_are_not_published(country) -> None:
    folder = country.settings.weight_reports_dir
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{survey}-{wave}.html" for survey in ("industry", "public") for wave in (2021, 2022, 2023)
    ]
    page = (folder / "industry-2022.html").read_text(encoding="utf-8")
    assert "Not for publication" in page
    assert "Synthetic data" in page
    assert not folder.is_relative_to(country.settings.published_dir)


def test_the_manifest_accounts_for_inputs_and_outputs(country) -> None:
    manifest = json.loads((country.runs[-1].folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["synthetic"] is True
    assert manifest["made_with"]["contracts"] == dict(country.library.versions)
    assert {row["wave"] for row in manifest["deliveries"]} == {2021, 2022, 2023}
    for row in manifest["rows"]["balance"]:
        parts = row["core"] + row["quarantined"] + row["rejected"] + row["superseded"]
        assert row["rows_in"] == parts, row
    assert any(row["quarantined"] > 0 for row in manifest["rows"]["balance"])
    text = json.dumps(manifest, ensure_ascii=False)
    assert str(country.settings.home) not in text


def test_published_file_equals_parquet_and_csv_and_explains_itself(country) -> None:
    folder = country.runs[-1].folder
    with duckdb.connect(str(folder / "axstat.duckdb"), read_only=True) as connection:
        silent = connection.sql(
            "select table_name, column_name from duckdb_columns() where schema_name = 'mart' and comment is null"
        ).fetchall()
        tables = connection.sql("select table_name, comment from duckdb_tables()").fetchall()
        assert silent == []
        assert all("SYNTHETIC" in comment for _, comment in tables)
        for name, _ in tables:
            rows = connection.sql(f"select * from mart.{name}").pl()
            assert rows.equals(pl.read_parquet(folder / "parquet" / f"{name}.parquet")), name
            text = pl.read_csv(folder / "csv" / f"{name}.csv", schema=rows.schema)
            assert rows.equals(text), name


def test_outside_series_are_loaded_and_nothing_is_fetched(country) -> None:
    """Without a download there are the figures copied by hand; each run makes the table anew."""
    settings = country.settings
    assert not settings.benchmarks_dir.exists()
    with Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), country.library).session() as session:
        rows = session.table("core.benchmark")
    copied = {name: series for name, series in country.library.series.items() if series.values}
    assert rows.height == sum(len(series.values) for series in copied.values())
    assert set(rows["series"]) == set(copied)
    assert rows["is_latest"].all()


def test_no_unit_leaves_the_warehouse(country) -> None:
    with duckdb.connect(str(latest_database(country.settings)), read_only=True) as connection:
        columns = {row[0] for row in connection.sql("select column_name from duckdb_columns()").fetchall()}
    assert not columns & {"unit_id", "business_number", "institution_code", "permanent_random_number"}


def test_every_estimate_travels_with_its_uncertainty(country) -> None:
    rates = pl.read_parquet(country.runs[-1].folder / "parquet" / "adoption_rate.parquet")
    shown = rates.filter(pl.col("estimate").is_not_null())
    assert shown.height > 1000
    for column in ("n", "se", "df", "ci_low", "ci_high"):
        assert shown[column].null_count() == 0, column
    assert shown.filter((pl.col("ci_low") > pl.col("estimate")) | (pl.col("ci_high") < pl.col("estimate"))).is_empty()


def test_both_engines_agree_and_replicates_are_carried_over_the_waves(country) -> None:
    """500 replicates a wave; a panel unit keeps its signs as often as the covariance of the waves asks."""
    settings = country.settings
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), country.library)
    with warehouse.session() as session:
        rates = session.table("estimates.replicate_rate")
        drawn = session.table("core.replicate_unit", columns=("survey", "wave", "unit_id", "sampling_draw"))
        published = session.table("estimates.adoption_rate", columns=(*KEY, "estimate"))
    assert set(rates["status"].unique()) <= {"pass", "warn", "none"}
    headline = rates.filter(pl.col("domain_type").is_in(["total", "ax_total"]), pl.col("se_taylor") > 0)
    assert headline["status"].unique().to_list() == ["pass"]
    assert headline["replicates"].unique().to_list() == [500]
    joined = rates.join(published, on=KEY, suffix="_published")
    assert joined.height == rates.height
    assert joined["estimate"].to_numpy() == pytest.approx(joined["estimate_published"].to_numpy(), nan_ok=True)
    for survey in country.library.surveys:
        old, new = (drawn.filter(pl.col("survey") == survey, pl.col("wave") == wave) for wave in (2022, 2023))
        common = old.join(new, on="unit_id", suffix="_new")
        same = (common["sampling_draw"] == common["sampling_draw_new"]).mean()
        assert 0 < same < 1


def test_the_break_is_marked_and_not_crossed(country) -> None:
    folder = country.runs[-1].folder / "parquet"
    rates = pl.read_parquet(folder / "adoption_rate.parquet")
    marks = rates.filter(pl.col("domain_type") == "total").select("survey", "wave", "obs_status").unique()
    assert dict(marks.filter(pl.col("survey") == "industry").select("wave", "obs_status").iter_rows()) == {
        2021: "A", 2022: "b", 2023: "A",
    }  # fmt: skip
    progress = pl.read_parquet(folder / "progress.parquet").filter(pl.col("wave") == 2023)
    assert progress["baseline_wave"].unique().to_list() == [2022]
    assert progress["target"].null_count() == 0


def inside(country, *names: str) -> list[pl.DataFrame]:
    """Marts of the last wave as the warehouse holds them: of a small country much may not be printed."""
    catalogue = SqlCatalogue(country.settings.sql_dir)
    with Warehouse(country.settings.warehouse_file, catalogue, country.library).session() as session:
        return [session.table(f"mart.{name}", where={"wave": 2023}) for name in names]


def test_changes_stay_inside_a_segment_and_their_parts_add_up(country) -> None:
    folder = country.runs[-1].folder / "parquet"
    change = pl.read_parquet(folder / "change.parquet")
    assert change.select("survey", "wave_before", "wave").unique().sort("survey").rows() == [
        ("industry", 2022, 2023), ("public", 2022, 2023),
    ]  # fmt: skip
    rates = pl.read_parquet(folder / "adoption_rate.parquet").filter(pl.col("base") == "answered")
    key = ["survey", "domain_type", "domain_code", "measure", "unit_weighting"]
    # A domain that is on one wave's frame only has a row without an estimate, and no change
    joined = change.join(rates.filter(pl.col("wave") == 2023), on=key, how="left", suffix="_published")
    shown = joined.filter(pl.col("estimate_after").is_not_null())
    assert 0 < shown.height < joined.height
    assert shown["estimate_after"].to_numpy() == pytest.approx(shown["estimate"].to_numpy())
    # What may not be printed has no number, nor has the change of a rate that may not
    assert (joined.filter(pl.col("change_pp").is_null())["reliability"] == "suppress").all()
    assert joined.filter(pl.col("estimate").is_null())["change_pp"].is_null().all()
    assert set(change["direction"].drop_nulls()) <= {"rose", "fell", "about_the_same"}
    # The whole's change is the sum of its parts, whatever divides it
    decomposition, every_change, every_flow = inside(country, "decomposition", "change", "flow")
    sums = decomposition.filter(pl.col("domain_code") == "all")
    of_whole = every_change.rename({"domain_type": "whole_type"}).drop("domain_code")
    both = sums.join(of_whole, on=["survey", "wave", "wave_before", "whole_type", "measure", "unit_weighting"])
    assert both.height == sums.height == 12
    assert both["contribution_pp"].to_numpy() == pytest.approx(both["change_pp"].to_numpy(), abs=1e-9)
    assert both["contribution_se_pp"].to_numpy() == pytest.approx(both["se_pp"].to_numpy(), rel=1e-6)
    flows = every_flow.pivot("flow", index=key, values="share").drop_nulls()
    assert flows.height > 40
    four = flows.select(pl.sum_horizontal("adopted", "dropped", "stayed_adopter", "stayed_non_adopter")).to_series()
    assert four.to_numpy() == pytest.approx(1.0)
    assert flows["net"].to_numpy() == pytest.approx((flows["adopted"] - flows["dropped"]).to_numpy(), abs=1e-10)


def test_model_based_rates_add_up_to_the_direct_total(country) -> None:
    folder = country.runs[-1].folder / "parquet"
    areas = pl.read_parquet(folder / "small_area.parquet")
    # The wave asked by the old question has its own model, without a wave before
    assert areas["wave"].unique().sort().to_list() == [2021, 2022, 2023]
    with_last = areas.group_by("wave").agg(pl.col("covariates").str.contains("last_wave").any()).sort("wave")
    assert with_last["covariates"].to_list() == [False, False, True]
    assert areas.group_by("wave", "unit_weighting").len()["len"].to_list() == [18] * 6
    areas, rates = inside(country, "small_area", "adoption_rate")
    totals = rates.filter(
        pl.col("survey") == "public", pl.col("domain_type") == "total", pl.col("measure") == "ai_adoption",
        pl.col("base") == "answered",
    )  # fmt: skip
    sums = areas.group_by("wave", "unit_weighting").agg(
        (pl.col("benchmark_weight") * pl.col("estimate").fill_null(0.0)).sum().alias("sum")
    )
    both = sums.join(totals, on=["wave", "unit_weighting"])
    assert both["sum"].to_numpy() == pytest.approx(both["estimate"].to_numpy(), rel=1e-10)


def test_both_readings_of_the_target_are_there_and_two_waves_are_not_projected(country) -> None:
    folder = country.runs[-1].folder / "parquet"
    progress = pl.read_parquet(folder / "progress.parquet").filter(pl.col("wave") == 2023)
    readings = progress.filter(pl.col("survey") == "industry", pl.col("domain_type").is_in(["total", "ax_total"]))
    assert set(readings.select("domain_type", "unit_weighting").iter_rows()) == {
        (reading, weighting) for reading in ("total", "ax_total") for weighting in ("unit", "employment")
    }
    assert set(readings["status"]) == {"insufficient"}
    assert set(readings["status_reason"]) == {"few_points"}
    projection = pl.read_parquet(folder / "projection.parquet").filter(pl.col("wave") == 2023)
    assert set(projection["kind"]) == {"observed", "required"}
    assert set(projection["year"]) == set(range(2022, 2031))


def test_scenarios_add_up_to_the_published_total(country) -> None:
    scenario, rates = inside(country, "scenario", "adoption_rate")
    assert set(scenario["scenario"]) == {"needed", "observed_pace", "best_pace"}
    whole = scenario.filter(pl.col("domain_code") == "all")
    rates = rates.filter(pl.col("domain_type") == "total", pl.col("base") == "answered")
    both = whole.join(rates, on=["survey", "wave", "measure", "unit_weighting"], suffix="_published")
    assert both.height == whole.height == 12
    assert ((both["estimate"] - both["estimate_published"]).abs() < 1e-11).all()
    parts = scenario.filter(pl.col("domain_code") != "all").group_by("survey", "scenario", "unit_weighting").agg(
        pl.col("contribution_pp").sum()
    )  # fmt: skip
    both = whole.join(parts, on=["survey", "scenario", "unit_weighting"], suffix="_of_parts")
    assert ((both["contribution_pp"] - both["contribution_pp_of_parts"]).abs() < 1e-9).all()
    needed = whole.filter(pl.col("scenario") == "needed")
    assert ((needed["in_target_year"] - needed["target"]).abs() < 1e-9).all()


def test_headline_rates_are_near_the_truth(country) -> None:
    rates = pl.read_parquet(country.runs[-1].folder / "parquet" / "adoption_rate.parquet").filter(
        pl.col("base") == "answered", pl.col("measure") == "ai_adoption", pl.col("domain_type") == "total"
    )
    key = ["survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting"]
    both = rates.join(country.truth.rates.rename({"rate": "truth"}), on=key, how="left")
    assert both["truth"].null_count() == 0
    # 4 standard errors: a miss would be an error of the pipeline, not bad luck (6e-5 for each of 12 figures)
    off = both.filter((pl.col("estimate") - pl.col("truth")).abs() > 4 * pl.col("se"))
    assert off.is_empty(), off


def test_running_again_changes_nothing(country, rerun: Callable) -> None:
    [again] = rerun(country.settings, [2023])
    assert (again.release, again.new) == ("2023.1", False)


def test_overview_shows_each_wave(country) -> None:
    table = overview(country.settings)
    assert table.filter(pl.col("survey") == "industry")["wave"].to_list() == [2021, 2022, 2023]
    assert table["published"].to_list() == ["2021.1", "2021.1", "2022.1", "2022.1", "2023.1", "2023.1"]
    assert set(table["state"]) == {"whole"}
