"""Rows of a delivery after conversion, as small as a test needs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema, raw_table
from pipelines.contracts.library import ContractLibrary, load_library

ROOT = Path(__file__).resolve().parents[3]

# Valid rows, as sent and as staging types them.
SENT: Mapping[str, Mapping[str, str]] = {
    "business_frame": {
        "business_number": "120-81-47521",
        "ksic": "C26",
        "region": "11",
        "employees": "1,395",
        "selection_ksic_group": "CC",
        "selection_size_class": "250+",
        "selection_region": "11",
        "take_all": "Y",
    },
    "industry_sample": {
        "business_number": "1208147521",
        "selection_ksic_group": "CC",
        "selection_size_class": "250+",
        "selection_region": "11",
        "inclusion_probability": "0.25",
        "panel_since": "2023",
        "permanent_random_number": "0.5",
        "disposition": "1.1",
    },
    "industry_response": {
        "business_number": "1208147521",
        "ksic": "26",
        "region": "11",
        "employees": "1395",
        "tech_ml": "1",
        "tech_genai": "8",
    },
    "institution_frame": {
        "institution_code": "12345",
        "institution_type": "central",
        "main_sector": "P03",
        "fields": "P03; P01",
        "region": "11",
        "employees": "120",
        "selection_main_sector": "P03",
        "selection_institution_type": "central",
        "take_all": "N",
    },
}
TYPED: Mapping[str, Mapping[str, Any]] = {
    "business_frame": {"identifier": "1208147521", "ksic_division": "26", "employees": 1395, "take_all": True},
    "industry_sample": {
        "identifier": "1208147521",
        "inclusion_probability": 0.25,
        "panel_since": 2023,
        "permanent_random_number": 0.5,
    },
    "industry_response": {"identifier": "1208147521", "ksic_division": "26", "employees": 1395},
    "institution_frame": {
        "identifier": "0012345",
        "fields": ["P01", "P03"],
        "employees": 120,
        "take_all": False,
    },
}
RENAMED = {"business_number": "identifier", "institution_code": "identifier", "ksic": "ksic_division"}


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


Rows = Callable[..., tuple[pl.DataFrame, pl.DataFrame]]


@pytest.fixture
def rows(library: ContractLibrary) -> Rows:
    """Typed and raw frames of one contract: one row a change of the valid row.

    A change maps a contract column to what is sent, or to (what is sent, what staging makes of it) where the
    two differ.
    """

    def make(contract: str, *changes: Mapping[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
        names = library.deliveries[contract].column_names
        typed_rows, raw_rows = [], []
        for number, change in enumerate(changes, 1):
            sent: dict[str, Any] = dict(SENT[contract])
            typed = {RENAMED.get(name, name): value for name, value in sent.items()} | dict(TYPED[contract])
            for name, value in change.items():
                sent[name], typed[RENAMED.get(name, name)] = value if isinstance(value, tuple) else (value, value)
            raw_rows.append({"wave": 2025, "row_number": number, **sent})
            typed_rows.append({"wave": 2025, "row_number": number, **typed})
        staging = {"identifier": pl.String()} | polars_schema(library.tables[f"staging.{contract}"])
        typed_schema = {"wave": pl.Int32(), "row_number": pl.Int64()} | {
            (name := RENAMED.get(column, column)): staging[name] for column in names
        }
        raw_schema = {
            name: dtype
            for name, dtype in polars_schema(raw_table(library.deliveries[contract])).items()
            if name in ("wave", "row_number", *names)
        }
        return pl.DataFrame(typed_rows, schema=typed_schema), pl.DataFrame(raw_rows, schema=raw_schema)

    return make
