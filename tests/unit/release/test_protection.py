"""The audit of a release on made-up marts: leaks are planted, and found wherever they stand."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.release.protection import leaks, published_cells, visible_cells
from pipelines.stats.cell_protection import CellTies, protected_cells
from pipelines.stats.disclosure import DisclosureRules
from tests.unit.reporting.made_up import made_up_report

RULES = DisclosureRules(min_contributors=3, p_percent=10.0, two_largest_percent=85.0, protection_percent=10.0)
TIES = {"industry": CellTies(columns={"ax_total": (), "ax_industry": ("ax_industry",)}, sums=(), within={})}
KEY = ["survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting"]


def _of(frame: pl.DataFrame) -> pl.DataFrame:
    chosen = frame.filter(
        pl.col("domain_type").is_in(["ax_total", "ax_industry"]), survey="industry", measure="ai_adoption"
    )
    return chosen.filter(unit_weighting="unit")


@pytest.fixture(scope="module")
def marts() -> dict[str, pl.DataFrame]:
    """Two waves of an industry survey in which the rates of AX1 to AX8 make that of their total."""
    given = {
        name: frame.with_columns(pl.col("^wave$").cast(pl.Int32)) for name, frame in made_up_report().marts.items()
    }
    rates = _of(given["adoption_rate"]).filter(pl.col("wave").is_in([2024, 2025]), base="answered")
    parts = rates.filter(domain_type="ax_industry")
    assert parts.filter(wave=2025).height == 8
    adopters = parts.group_by("wave").agg((pl.col("estimate") * 100.0).sum().alias("sum"))
    rates = rates.join(adopters, on="wave").with_columns(
        population=pl.when(pl.col("domain_type") == "ax_total").then(800.0).otherwise(100.0),
        estimate=pl.when(pl.col("domain_type") == "ax_total").then(pl.col("sum") / 800.0).otherwise("estimate"),
        n=pl.when(pl.col("domain_type") == "ax_total").then(320).otherwise(40),
    ).drop("sum")  # fmt: skip
    rates = rates.with_columns((pl.col("estimate") * pl.col("population")).alias("adopters"))
    return {name: frame.clear() for name, frame in given.items()} | {"adoption_rate": rates}


@pytest.fixture(scope="module")
def protection(marts: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """AX3 has two contributors in 2025."""
    tables = []
    for wave in (2024, 2025):
        rates = marts["adoption_rate"].filter(wave=wave)
        of_few = (pl.col("domain_code") == "AX3") & (pl.col("wave") == 2025)
        cells = rates.select(
            *KEY,
            pl.when(of_few).then(2).otherwise("n").alias("n"),
            pl.col("n").alias("units"),
            pl.col("adopters").alias("numerator"),
            pl.col("population").alias("denominator"),
            pl.col("population").alias("whole"),
            pl.lit(False).alias("take_all"),
            *(
                pl.lit(size).alias(f"{name}_{part}")
                for part in ("having", "lacking", "all")
                for name, size in (("sum", 100.0), ("largest", 1.0), ("two_largest", 2.0))
            ),
        )
        made = protected_cells(cells, rates.select(*KEY, "reliability"), rules=RULES, ties=TIES["industry"])
        tables.append(made.with_columns(survey=pl.lit("industry"), wave=pl.lit(wave, dtype=pl.Int32)))
    return pl.concat(tables)


@pytest.fixture
def safe(marts: dict[str, pl.DataFrame], protection: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The marts as they may be published."""
    withheld = protection.filter(pl.col("conf_status") != "F").select(KEY)
    assert withheld.height == 2
    rates = marts["adoption_rate"].join(
        withheld.with_columns(hidden=pl.lit(True)), on=KEY, how="left", maintain_order="left"
    )
    shown = [pl.when(pl.col("hidden").is_null()).then(pl.col(name)).alias(name) for name in ("estimate", "adopters")]
    return marts | {"adoption_rate": rates.with_columns(shown).drop("hidden")}


def _nothing_before(published: Path, marts: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return published_cells(published, marts["adoption_rate"])


def _codes(found: list) -> list[str]:
    return [leak.cell.split()[1] for leak in found]


def test_a_safe_release_has_no_leak(
    tmp_path: Path, safe: dict[str, pl.DataFrame], marts: dict[str, pl.DataFrame], protection: pl.DataFrame
) -> None:
    assert leaks(protection, safe, _nothing_before(tmp_path, marts), ties=TIES) == []


def test_a_total_that_gives_a_cell_away_is_found(
    tmp_path: Path, safe: dict[str, pl.DataFrame], marts: dict[str, pl.DataFrame], protection: pl.DataFrame
) -> None:
    [secondary] = protection.filter(conf_status="D")["domain_code"]
    shown = marts["adoption_rate"].filter(pl.col("domain_code") == secondary, wave=2025)
    leaky = safe | {"adoption_rate": pl.concat([safe["adoption_rate"], shown])}
    found = leaks(protection, leaky, _nothing_before(tmp_path, marts), ties=TIES)
    assert _codes(found) == ["AX3"]
    assert not found[0].before
    assert found[0].high - found[0].low == pytest.approx(0.0, abs=1e-6)
    # What is told of the leak does not tell the cell
    value = marts["adoption_rate"].filter(domain_code="AX3", wave=2025)["adopters"][0]
    assert f"{value:.4g}" not in str(found[0])


@pytest.mark.parametrize(
    ("mart", "figure", "row"),
    [
        ("progress", "gap_pp", {"wave": 2025}),
        ("progress", "baseline", {"wave": 2026, "baseline_wave": 2025}),
        ("change", "estimate_after", {"wave": 2025, "wave_before": 2024}),
        ("change", "change_pp", {"wave": 2026, "wave_before": 2025}),
        ("decomposition", "estimate_before", {"wave": 2026, "wave_before": 2025}),
        ("small_area", "direct", {"wave": 2025}),
        ("scenario", "estimate", {"wave": 2025}),
        ("hindcast", "observed", {"wave": 2026, "year": 2025}),
        ("benchmark", "estimate", {"wave": 2026, "ref_year": 2025}),
    ],
)
def test_a_confidential_rate_is_found_in_every_mart(
    tmp_path: Path,
    safe: dict[str, pl.DataFrame],
    marts: dict[str, pl.DataFrame],
    protection: pl.DataFrame,
    mart: str,
    figure: str,
    row: dict[str, int],
) -> None:
    cell = {"survey": "industry", "domain_type": "ax_industry", "domain_code": "AX3", "measure": "ai_adoption"}
    weighted = {"unit_weighting": "unit"} if "unit_weighting" in safe[mart].columns else {}
    planted = pl.DataFrame([cell | weighted | row | {figure: 0.5}]).cast(
        {name: dtype for name, dtype in safe[mart].schema.items() if name in {*cell, *weighted, *row, figure}}
    )
    leaky = safe | {mart: pl.concat([safe[mart], planted], how="diagonal")}
    assert visible_cells(leaky).filter(domain_code="AX3", wave=2025, measure="ai_adoption").height == 1
    assert _codes(leaks(protection, leaky, _nothing_before(tmp_path, marts), ties=TIES)) == ["AX3"]


def _publish(published: Path, name: str, rates: pl.DataFrame) -> None:
    folder = published / name / "parquet"
    folder.mkdir(parents=True)
    rates.write_parquet(folder / "adoption_rate.parquet")


def test_an_earlier_vintage_and_this_release_together_tell_a_cell(
    tmp_path: Path, safe: dict[str, pl.DataFrame], marts: dict[str, pl.DataFrame], protection: pl.DataFrame
) -> None:
    [secondary] = protection.filter(conf_status="D")["domain_code"]
    shown = marts["adoption_rate"].filter(pl.col("domain_code") == secondary, wave=2025)
    _publish(tmp_path, "2025.1", shown)
    found = leaks(protection, safe, published_cells(tmp_path, marts["adoption_rate"]), ties=TIES)
    assert [(leak.cell.split()[1], leak.before) for leak in found] == [("AX3", False)]
    # Printed with another value it tells nothing of today's
    other = tmp_path / "other"
    _publish(other, "2025.1", shown.with_columns(pl.col("estimate") * 1.01))
    assert leaks(protection, safe, published_cells(other, marts["adoption_rate"]), ties=TIES) == []


def test_what_an_earlier_vintage_printed_itself_is_told_apart(
    tmp_path: Path, safe: dict[str, pl.DataFrame], marts: dict[str, pl.DataFrame], protection: pl.DataFrame
) -> None:
    _publish(tmp_path, "2025.1", marts["adoption_rate"].filter(domain_code="AX3", wave=2025))
    found = leaks(protection, safe, published_cells(tmp_path, marts["adoption_rate"]), ties=TIES)
    assert [(leak.cell.split()[1], leak.before) for leak in found] == [("AX3", True)]
    assert "earlier vintage" in str(found[0])


def test_published_cells_are_those_of_all_vintages(tmp_path: Path, marts: dict[str, pl.DataFrame]) -> None:
    rates = marts["adoption_rate"]
    first = rates.filter(wave=2024)
    _publish(tmp_path, "2024.1", first.with_columns(n=pl.col("n") - 1, estimate=pl.col("estimate") * 0.9))
    _publish(tmp_path, "2025.1", rates.with_columns(estimate=pl.when(pl.col("wave") == 2025).then("estimate")))
    found = published_cells(tmp_path, rates)
    of_rates = found.filter(measure="ai_adoption")
    assert dict(of_rates.group_by("wave").agg(pl.col("same").all()).iter_rows()) == {2024: False, 2025: True}
    assert set(of_rates.filter(wave=2024, domain_type="ax_industry")["n"]) == {39}
    assert set(found["measure"]) == {"ai_adoption", "population"}
