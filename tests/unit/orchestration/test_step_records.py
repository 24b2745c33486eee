"""A step's row in the warehouse, and which faults are worth another try; with an asset of the test's own."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.orchestration import step_records
from pipelines.orchestration.step_records import RETRIES, is_transient, recorded
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

WAVES = dg.StaticPartitionsDefinition(["2021"])
LOCKED = AxstatError("warehouse_locked", where="w", expected="e", got="g", hint="h")
DATA_FAULT = ViolationsError("file", [Violation("rows_differ", "file", "e", "g", "h")])


@pytest.fixture
def warehouse(settings: Settings, library: ContractLibrary, catalogue: SqlCatalogue) -> Warehouse:
    return Warehouse(settings.warehouse_file, catalogue, library, lock_timeout=0.2)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_records, "FIRST_PAUSE_SECONDS", 0.001)


def run(step: Callable[[], object], warehouse: Warehouse) -> dg.ExecuteInProcessResult:
    @dg.asset(key=["industry", "weights"], partitions_def=WAVES)
    @recorded
    def weights(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        return step()  # type: ignore[return-value]

    return dg.materialize([weights], partition_key="2021", resources={"warehouse": warehouse}, raise_on_error=False)


def rows(warehouse: Warehouse) -> list[dict[str, object]]:
    with warehouse.session() as session:
        return session.table("meta.run_step").to_dicts()


def failing(*errors: Exception | None) -> tuple[Callable[[], dg.MaterializeResult], list[object]]:
    """A step that raises these one after the other, None: ends well; and the list of its tries."""
    tries: list[object] = []

    def step() -> dg.MaterializeResult:
        error = errors[min(len(tries), len(errors) - 1)]
        tries.append(error)
        if error is not None:
            raise error
        return dg.MaterializeResult(metadata={"dagster/row_count": dg.MetadataValue.int(7)})

    return step, tries


def test_a_step_is_measured_in_its_metadata_and_in_the_warehouse(warehouse: Warehouse) -> None:
    step, _ = failing(None)
    done = run(step, warehouse)
    assert done.success
    [row] = rows(warehouse)
    assert (row["run_id"], row["step"], row["wave"], row["attempt"]) == (done.run_id, "industry/weights", 2021, 1)
    assert (row["rows"], row["error"]) == (7, None)
    [event] = done.get_asset_materialization_events()
    assert event.materialization.metadata["seconds"].value == pytest.approx(row["seconds"], abs=0.001)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak")
def test_the_peak_is_that_of_the_step_and_not_of_what_ran_before(warehouse: Warehouse) -> None:
    size = 200_000_000

    def large() -> dg.MaterializeResult:
        assert sum(bytearray(b"\1") * size) == size
        return dg.MaterializeResult()

    assert run(large, warehouse).success
    assert run(lambda: dg.MaterializeResult(), warehouse).success
    peaks = sorted(int(str(row["peak_memory_bytes"])) for row in rows(warehouse))
    assert peaks[1] - peaks[0] > size / 2


def test_a_generator_is_measured_as_a_whole(warehouse: Warehouse) -> None:
    @dg.multi_asset(name="marts", specs=[dg.AssetSpec(name, partitions_def=WAVES) for name in "ab"])
    @recorded
    def marts(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]):
        assert context.partition_key == "2021"
        for name in "ab":
            yield dg.MaterializeResult(asset_key=name, metadata={"dagster/partition_row_count": 5})

    done = dg.materialize([marts], partition_key="2021", resources={"warehouse": warehouse})
    assert all("seconds" in event.materialization.metadata for event in done.get_asset_materialization_events())
    [row] = rows(warehouse)
    assert (row["step"], row["rows"]) == ("marts", 10)


def test_a_fault_of_the_data_ends_the_step_at_once(warehouse: Warehouse) -> None:
    step, tries = failing(DATA_FAULT)
    assert not run(step, warehouse).success
    assert len(tries) == 1
    [row] = rows(warehouse)
    assert (row["error"], row["rows"], row["attempt"]) == ("rows_differ", None, 1)


def test_an_error_without_words_of_axstat_is_named(warehouse: Warehouse) -> None:
    step, tries = failing(ZeroDivisionError("secret"))
    assert not run(step, warehouse).success
    assert len(tries) == 1
    assert [row["error"] for row in rows(warehouse)] == ["ZeroDivisionError"]


def test_a_fault_that_passes_is_tried_again(warehouse: Warehouse) -> None:
    step, tries = failing(LOCKED, LOCKED, None)
    assert run(step, warehouse).success
    assert len(tries) == 3
    [row] = rows(warehouse)
    assert (row["attempt"], row["error"]) == (3, None)


def test_a_fault_that_does_not_pass_is_not_tried_for_ever(warehouse: Warehouse) -> None:
    step, tries = failing(LOCKED)
    done = run(step, warehouse)
    assert not done.success
    assert len(tries) == RETRIES + 1
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "warehouse_locked" in str(failure.step_failure_data.error)


def test_the_pauses_double(warehouse: Warehouse) -> None:
    step, _ = failing(LOCKED)
    done = run(step, warehouse)
    asked = [event.step_retry_data.seconds_to_wait for event in done.all_events if event.is_step_up_for_retry]
    assert asked == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016])


def chained(error: Exception) -> Exception:
    outer = AxstatError("unreadable", where="w", expected="e", got="g", hint="h")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (LOCKED, True),
        (OSError(errno.ESTALE, "share"), True),
        (ConnectionResetError(errno.ECONNRESET, "peer"), True),
        (chained(TimeoutError(errno.ETIMEDOUT, "share")), True),
        (DATA_FAULT, False),
        (OSError(errno.ENOSPC, "disk"), False),
        (PermissionError(errno.EACCES, "file"), False),
        (FileNotFoundError(errno.ENOENT, "file"), False),
        (chained(ValueError("x")), False),
        (MemoryError(), False),
    ],
)
def test_what_passes_by_itself(error: Exception, passes: bool) -> None:
    assert is_transient(error) is passes


def test_a_warehouse_that_cannot_take_the_row_does_not_hide_the_failure(warehouse: Warehouse, tmp_path: Path) -> None:
    path = warehouse.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database")
    step, _ = failing(DATA_FAULT)
    done = run(step, warehouse)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "rows_differ" in str(failure.step_failure_data.error)
    step, _ = failing(None)
    assert run(step, warehouse).success


def test_a_second_try_of_a_run_replaces_the_row(warehouse: Warehouse, library: ContractLibrary) -> None:
    step, _ = failing(None)
    run(step, warehouse)
    run(step, warehouse)
    found = pl.DataFrame(rows(warehouse))
    assert found.height == found["run_id"].n_unique() == 2
