"""How findings of `sql/checks/` reach a person; the statements themselves are tested in tests/unit/sql."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.orchestration import step_records
from pipelines.orchestration.checks import boundary_checks
from pipelines.warehouse.catalogue import SqlCatalogue, Statement

MARTS = dg.AssetKey(["mart", "adoption_rate"])
CORE = dg.AssetKey(["public", "core"])


class FakeWarehouse:
    """A warehouse that holds nothing but the findings of its checks, by name."""

    def __init__(self, found: Mapping[str, pl.DataFrame]) -> None:
        self.found = found
        self.asked: list[tuple[str, str | None, int | None]] = []

    @contextmanager
    def session(self) -> Iterator["FakeWarehouse"]:
        yield self

    def check(self, name: str, *, survey: str | None = None, wave: int | None = None) -> pl.DataFrame:
        self.asked.append((name, survey, wave))
        return self.found.get(name, pl.DataFrame({"unit_id": []}))


@pytest.fixture(scope="module")
def checks(library: ContractLibrary, catalogue: SqlCatalogue) -> list[dg.AssetChecksDefinition]:
    return boundary_checks(library, catalogue)


@pytest.fixture(scope="module")
def statements(catalogue: SqlCatalogue) -> list[Statement]:
    return list(catalogue.layer("checks"))


def specs(checks: list[dg.AssetChecksDefinition]) -> list[dg.AssetCheckSpec]:
    return [spec for one in checks for spec in one.check_specs]


def evaluate(
    checks: list[dg.AssetChecksDefinition], asset: dg.AssetKey, warehouse: FakeWarehouse
) -> dict[str, dg.AssetCheckEvaluation]:
    """What the checks of one asset say after it was made for wave 2022, by name."""

    @dg.asset(key=asset, partitions_def=dg.StaticPartitionsDefinition(["2022"]))
    def made() -> None:
        """Stands for the step before the checks."""

    own = [one for one in checks if {spec.asset_key for spec in one.check_specs} == {asset}]
    result = dg.materialize(
        [made, *own], resources={"warehouse": warehouse}, partition_key="2022", raise_on_error=False
    )
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_each_statement_is_a_check_of_exactly_one_asset_a_survey(
    checks: list[dg.AssetChecksDefinition], statements: list[Statement], library: ContractLibrary
) -> None:
    wired = Counter(spec.name for spec in specs(checks))
    assert wired == {
        statement.table: len(library.surveys) if "survey" in statement.params else 1 for statement in statements
    }
    for statement in statements:
        places = [spec.asset_key for spec in specs(checks) if spec.name == statement.table]
        surveys = sorted(place.path[0] for place in places)
        assert surveys == (sorted(library.surveys) if "survey" in statement.params else [MARTS.path[0]])


def test_a_check_stands_behind_what_it_reads(
    checks: list[dg.AssetChecksDefinition], statements: list[Statement]
) -> None:
    steps = {spec.name: spec.asset_key.path[-1] for spec in specs(checks)}
    for statement in statements:
        reads = set(statement.reads)
        if any(table.startswith("mart.") for table in reads):
            assert steps[statement.table] == "adoption_rate", statement.name
        elif "core.weights" in reads:
            assert steps[statement.table] == "weights", statement.name
        elif "estimates.replicate_rate" in reads:
            assert steps[statement.table] == "replicates", statement.name
        else:
            assert steps[statement.table] == "core", statement.name


def test_errors_stop_the_wave_and_warnings_do_not(
    checks: list[dg.AssetChecksDefinition], statements: list[Statement]
) -> None:
    blocking = {spec.name: spec.blocking for spec in specs(checks)}
    assert blocking == {statement.table: statement.severity == "error" for statement in statements}
    assert set(blocking.values()) == {True, False}


def test_each_check_says_what_it_looks_for(checks: list[dg.AssetChecksDefinition], statements: list[Statement]) -> None:
    said = {statement.table: statement.description for statement in statements}
    for spec in specs(checks):
        assert spec.description
        assert spec.description == said[spec.name]


def test_a_finding_names_its_rows(checks: list[dg.AssetChecksDefinition]) -> None:
    rows = pl.DataFrame({"unit_id": [f"P{number}" for number in range(7)], "stratum": ["06*local"] * 7})
    warehouse = FakeWarehouse({"duplicate_units": rows})
    found = evaluate(checks, CORE, warehouse)
    broken = found.pop("duplicate_units")
    assert not broken.passed
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    assert broken.description is not None
    assert broken.description.split("\n") == [
        "public 2022: 7 offending row(s)",
        *(f"  unit_id=P{number}, stratum=06*local" for number in range(5)),
        "  and 2 more",
    ]
    assert broken.metadata["offending rows"].value == 7
    # Everything else ran too, for the same survey and wave: a person learns of all findings at once
    assert found
    assert all(other.passed and other.description == "no offending rows" for other in found.values())
    assert {place[1:] for place in warehouse.asked} == {("public", 2022)}


def test_a_warning_is_shown_as_one(checks: list[dg.AssetChecksDefinition]) -> None:
    rows = pl.DataFrame({"unit_id": ["P1"]})
    found = evaluate(checks, CORE, FakeWarehouse({"strata_disagree": rows}))["strata_disagree"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_checks_of_the_marts_are_of_both_surveys(checks: list[dg.AssetChecksDefinition]) -> None:
    warehouse = FakeWarehouse({"progress": pl.DataFrame({"survey": ["public"]})})
    found = evaluate(checks, MARTS, warehouse)["progress"]
    assert found.description is not None
    assert found.description.startswith("both surveys 2022: 1 offending row(s)\n  survey=public")
    assert {place[1:] for place in warehouse.asked} == {(None, 2022)}


def test_a_check_by_itself_says_that_it_needs_a_wave(checks: list[dg.AssetChecksDefinition]) -> None:
    with pytest.raises(AxstatError, match=r"(?s)check_without_wave.*materialise the asset for a wave"):
        dg.materialize(
            checks, selection=dg.AssetSelection.all_asset_checks(), resources={"warehouse": FakeWarehouse({})}
        )


class HeldWarehouse(FakeWarehouse):
    """One that another program holds for the first tries."""

    def __init__(self, tries: int) -> None:
        super().__init__({})
        self.tries = tries

    @contextmanager
    def session(self) -> Iterator["FakeWarehouse"]:
        if self.tries:
            self.tries -= 1
            raise AxstatError("warehouse_locked", where="w", expected="e", got="g", hint="h")
        yield self


def test_checks_wait_for_a_warehouse_that_is_held(
    checks: list[dg.AssetChecksDefinition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_records, "FIRST_PAUSE_SECONDS", 0.001)
    held = HeldWarehouse(3)
    found = evaluate(checks, CORE, held)
    assert held.tries == 0
    assert {one.passed for one in found.values()} == {True}
