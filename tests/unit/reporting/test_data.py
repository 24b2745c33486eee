import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.reporting.data import ReportData
from tests.unit.reporting.made_up import made_up_report

_TELLING = ["estimate", "se", "ci_low", "ci_high", "adopters", "adopters_se", "cv", "deff", "n_effective"]


def test_suppressed_estimates_are_blanked_on_the_way_in(report: ReportData) -> None:
    rates = report.marts["adoption_rate"]
    hidden = rates.filter(pl.col("reliability") == "suppress")
    shown = rates.filter(pl.col("reliability") != "suppress")
    assert hidden.height > 100
    assert all(hidden[name].null_count() == hidden.height for name in _TELLING)
    assert all(shown[name].null_count() == 0 for name in _TELLING)
    # What tells nothing stays, so that the reader sees on how little it rests
    assert hidden["n"].null_count() == 0


def test_progress_of_a_suppressed_estimate_tells_nothing(report: ReportData) -> None:
    key = ["survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting"]
    hidden = report.marts["adoption_rate"].filter(
        (pl.col("reliability") == "suppress") & (pl.col("base") == "answered")
    )
    rows = report.marts["progress"].join(hidden.select(key), on=key, how="semi")
    assert rows.height > 10
    for name in ("estimate", "gap_pp", "required_pp_per_year", "share_of_distance", "observed_pp_per_year"):
        assert rows[name].null_count() == rows.height, name
    assert rows["target"].null_count() == 0


def test_a_suppressed_baseline_takes_what_would_tell_it() -> None:
    whole = made_up_report()
    rates = whole.marts["adoption_rate"].with_columns(
        pl.when((pl.col("survey") == "industry") & (pl.col("domain_code") == "AX1") & (pl.col("wave") == 2022))
        .then(pl.lit("suppress"))
        .otherwise(pl.col("reliability"))
        .alias("reliability")
    )
    data = made_up_report(adoption_rate=rates)
    rate = next(rate for rate in data.rates("industry", "ax_industry") if rate.domain_code == "AX1")
    progress = data.progress(rate)
    assert progress is not None
    assert rate.is_shown
    assert progress["gap_pp"] is not None
    assert progress["baseline"] is None
    assert progress["observed_pp_per_year"] is None
    assert progress["share_of_distance"] is None


def test_a_suppressed_rate_gives_no_value(report: ReportData) -> None:
    hidden = next(rate for rate in report.rates("public", "public_sector") if not rate.is_shown)
    with pytest.raises(AxstatError, match="suppress"):
        hidden.value()


def test_previous_stays_inside_the_segment() -> None:
    data = made_up_report(wave=2022)
    assert data.previous(data.headline("industry")) is None
    later = made_up_report(wave=2023)
    earlier = later.previous(later.headline("industry"))
    assert earlier is not None
    assert earlier.wave == 2022


def test_later_waves_are_left_out() -> None:
    data = made_up_report(wave=2023)
    assert data.marts["adoption_rate"]["wave"].max() == 2023
    assert [rate.wave for rate in data.series("public")] == [2021, 2022, 2023]


def test_missing_mart_is_named(report: ReportData) -> None:
    values = {name: getattr(report, name) for name in report.__dataclass_fields__}
    values["marts"] = {name: frame for name, frame in report.marts.items() if name != "progress"}
    with pytest.raises(AxstatError, match="no progress"):
        ReportData(**values)


def test_missing_headline_is_refused() -> None:
    rates = made_up_report().marts["adoption_rate"].filter(pl.col("domain_type") != "total")
    with pytest.raises(AxstatError, match="one row for the headline"):
        made_up_report(adoption_rate=rates).headline("industry")


def test_unlabelled_domain_is_named() -> None:
    domains = made_up_report().marts["domain"].filter(pl.col("domain_code") != "AX4")
    with pytest.raises(AxstatError, match="none for AX4"):
        made_up_report(domain=domains).rates("industry", "ax_industry")
