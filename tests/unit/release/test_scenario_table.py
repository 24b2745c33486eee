"""The scenarios as a small table, from a published file made up here."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError
from pipelines.release.scenario_table import scenario_table
from pipelines.warehouse.published import write_published

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="module")
def database(library: ContractLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = []
    for wave in (2024, 2025):
        for scenario in ("needed", "best_pace") if wave == 2025 else ("needed",):
            for code, share, now in (("AX2", 0.5, 0.2), ("AX1", 0.3, 0.4), ("rest", 0.2, 0.1), ("all", 1.0, 0.24)):
                rows.append(
                    {
                        "survey": "industry", "wave": wave, "scenario": scenario, "domain_type": "ax_industry",
                        "domain_code": code, "measure": "ai_adoption", "unit_weighting": "unit", "share": share,
                        "estimate": now, "pp_per_year": 9.21, "logit_per_year": 0.41234,
                        "in_target_year": now + 0.4611, "contribution_pp": 46.11 * share, "target": 0.7,
                        "target_year": 2030,
                    }
                )  # fmt: skip
    domains = pl.DataFrame(
        [
            {"survey": "industry", "domain_type": "ax_industry", "domain_code": code, "label_ko": ko, "label_en": en,
             "sort_order": place, "named_in_source": True, "source": "made up"}
            for code, ko, en, place in (("AX1", "제조", "Manufacturing", 1), ("AX2", "물류", "Logistics", 2))
        ]
    )  # fmt: skip
    path = tmp_path_factory.mktemp("published") / "axstat.duckdb"
    marts = {"mart.scenario": pl.DataFrame(rows), "mart.domain": domains}
    empty = {
        name: pl.DataFrame(schema=dict.fromkeys(table.column_names, pl.String))
        for name, table in library.marts.items()
        if name not in marts
    }
    write_published({**empty, **marts}, path, library, synthetic=True)
    return path


def test_a_row_a_part_in_the_order_of_the_code_list_and_the_whole_last(database: Path) -> None:
    table = scenario_table(database, survey="industry", unit_weighting="unit")
    assert table.columns == [
        "part", "share_pct", "now_pct", "needed_pp_per_year", "needed_logit_per_year", "needed_pct", "best_pace_pct"
    ]  # fmt: skip
    assert table["part"].to_list() == ["Manufacturing", "Logistics", "rest", "all"]
    assert table.row(1) == ("Logistics", 50.0, 20.0, 9.2, 0.412, 66.1, 66.1)


def test_a_scenario_that_a_wave_does_not_have_has_no_column(database: Path) -> None:
    table = scenario_table(database, survey="industry", unit_weighting="unit", wave=2024)
    assert table.columns[-1] == "needed_pct"


@pytest.mark.parametrize(
    ("survey", "weighting", "wave"),
    [("public", "unit", None), ("industry", "employment", 2025), ("industry", "unit", 2019)],
)
def test_nothing_of_that_kind_is_an_error(database: Path, survey: str, weighting: str, wave: int | None) -> None:
    with pytest.raises(AxstatError, match="no_scenario") as caught:
        scenario_table(database, survey=survey, unit_weighting=weighting, wave=wave)
    assert survey in caught.value.got
