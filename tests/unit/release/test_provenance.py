"""Every published table says what makes it, and what it names is there."""

import hashlib
import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.release.provenance import provenance
from pipelines.warehouse.catalogue import SqlCatalogue

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def catalogue() -> SqlCatalogue:
    return SqlCatalogue(ROOT / "sql")


@pytest.fixture(scope="module")
def tables(library: ContractLibrary, catalogue: SqlCatalogue) -> dict:
    return provenance(library, catalogue)["tables"]


def test_every_mart_leads_back_to_what_was_delivered_or_to_contracts(tables: dict, library: ContractLibrary) -> None:
    assert set(library.marts) <= set(tables)
    assert {f"raw.{contract}" for contract in library.deliveries} <= set(tables)
    for name, table in tables.items():
        assert table["made_by"], name
        assert set(table["reads"]) <= set(tables), name
        assert table["contract_version"] == library.tables[name].version
    ends = {name for name, table in tables.items() if not table["reads"]}
    assert ends == {
        "core.benchmark", "core.classification_item", "core.ksic_scope", "core.survey_domain", "mart.dictionary",
        "mart.example_query", "mart.measure", "meta.delivery_file",
    }  # fmt: skip


def test_every_statement_and_function_that_is_named_exists_and_has_its_hash(tables: dict) -> None:
    for table, entry in tables.items():
        for maker in entry["made_by"]:
            file = ROOT / maker["file"]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == maker["sha256"], maker
            if maker["kind"] == "function":
                module, _, function = maker["name"].rpartition(".")
                assert callable(getattr(importlib.import_module(module), function)), (table, maker)


def test_functions_are_named_where_no_statement_makes_the_table_and_nowhere_else(
    library: ContractLibrary, catalogue: SqlCatalogue
) -> None:
    """Staging statements are asked, and their rows filtered by the rules; their file says it all the same."""
    twice = [name for name, table in library.tables.items() if table.made_by and name in catalogue]
    assert twice == []
    unknown = [one for table in library.tables.values() for one in table.reads if one not in library.tables]
    assert unknown == []


def test_what_is_known_of_one_chain(tables: dict) -> None:
    """Read off the code: the asset of estimates calls adoption_rates and writes what a statement makes a mart of."""
    assert tables["mart.adoption_rate"]["made_by"][0]["file"] == "sql/marts/adoption_rate.sql"
    assert tables["mart.adoption_rate"]["reads"] == [
        "estimates.adoption_rate", "estimates.disclosure", "core.wave_version",
    ]  # fmt: skip
    assert tables["mart.adoption_rate"]["key"][:2] == ["survey", "wave"]
    [maker] = tables["estimates.adoption_rate"]["made_by"]
    assert (maker["kind"], maker["name"]) == ("function", "pipelines.stats.rates.adoption_rates")


def test_a_table_without_a_maker_stops_the_release(library: ContractLibrary, catalogue: SqlCatalogue) -> None:
    def with_made_by(made_by: tuple[str, ...]) -> ContractLibrary:
        changed = replace(library.tables["mart.change"], made_by=made_by)
        return replace(library, tables={**library.tables, "mart.change": changed})

    with pytest.raises(AxstatError, match="maker_unknown"):
        provenance(with_made_by(()), catalogue)
    with pytest.raises(AxstatError, match="maker_missing"):
        provenance(with_made_by(("pipelines.stats.gone.away",)), catalogue)
