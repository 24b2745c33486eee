"""What each step took, and whether a fault in it is worth another try.

Belongs here: measuring a step, its row of `meta.run_step`, which faults pass by themselves and how long is waited for
that. Does not belong here: what a step does (assets), a run as a whole (runs.py).
"""

import errno
import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from pipelines.errors import AxstatError
from pipelines.warehouse.database import Warehouse

TABLE = "meta.run_step"
# Another program has the file, or had it; everything else that axstat words is for a person to mend
TRANSIENT_CODES = frozenset({"warehouse_locked"})
# A network share or host that is away for a moment
TRANSIENT_ERRNOS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
RETRIES = 5
FIRST_PAUSE_SECONDS = 15.0
# Metadata in which an asset says how many rows it wrote
_ROW_COUNTS = ("dagster/row_count", "dagster/partition_row_count")
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class _Taken:
    """What one try of a step took."""

    started_at: datetime
    seconds: float
    peak_memory_bytes: int | None


def recorded(step: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of an asset's function, which must have the warehouse among its resources.

    Each try is measured: its row in `meta.run_step` is written after the step's own transaction, also where it failed,
    and its results have seconds and memory as metadata. After a fault that passes by itself the step is tried again,
    with pauses that double; any other fault ends it at once.
    """
    # Dagster looks at the kind of function to know what it is given
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def run_generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from _run(lambda: list(step(*args, **kwargs)), kwargs["warehouse"])

        return run_generator

    @functools.wraps(step)
    def run_function(*args: Any, **kwargs: Any) -> Any:
        [result] = _run(lambda: [step(*args, **kwargs)], kwargs["warehouse"])
        return result

    return run_function


def is_transient(error: BaseException) -> bool:
    """Whether a fault passes by itself: the error itself, or one that it was raised from."""
    while True:
        if isinstance(error, AxstatError) and error.code in TRANSIENT_CODES:
            return True
        if isinstance(error, OSError) and error.errno in TRANSIENT_ERRNOS:
            return True
        if error.__cause__ is None:
            return False
        error = error.__cause__


def another_try(tries: int) -> dg.RetryRequested:
    """To be raised from a fault that passes; ``tries``: those again so far, after each of which the pause doubles."""
    return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=FIRST_PAUSE_SECONDS * 2**tries)


def _run(step: Callable[[], list[Any]], warehouse: Warehouse) -> list[Any]:
    context = dg.AssetExecutionContext.get()
    started_at, started = datetime.now(UTC), time.perf_counter()
    _reset_peak_memory()

    def taken() -> _Taken:
        return _Taken(started_at, time.perf_counter() - started, _peak_memory_bytes())

    try:
        results = step()
    except Exception as error:
        _record(context, warehouse, taken(), rows=None, error=error)
        if is_transient(error):
            raise another_try(context.retry_number) from error
        raise
    took = taken()
    _record(context, warehouse, took, rows=_rows(results), error=None)
    return [_with_metadata(result, took) for result in results]


def _record(
    context: dg.AssetExecutionContext, warehouse: Warehouse, took: _Taken, *, rows: int | None, error: Exception | None
) -> None:
    row = {
        "run_id": context.run.run_id,
        # Dagster's name of a step has underscores where the asset's key has parts
        "step": context.op_execution_context.op.name.replace("__", "/"),
        "wave": int(context.partition_key),
        "started_at": took.started_at.replace(tzinfo=None),
        "attempt": context.retry_number + 1,
        "seconds": took.seconds,
        "rows": rows,
        "peak_memory_bytes": took.peak_memory_bytes,
        "error": None if error is None else error.code if isinstance(error, AxstatError) else type(error).__name__,
    }
    if error is not None and is_transient(error):
        # The warehouse may be what cannot be reached; Dagster has the tries
        return
    try:
        with warehouse.session() as session:
            frame = pl.DataFrame([row], schema=session.table(TABLE, where={"run_id": row["run_id"]}).schema)
            session.replace(TABLE, frame, where={name: row[name] for name in ("run_id", "step")})
    except AxstatError as unrecorded:
        # The step stands as it is: what it took is worth no failure, and must not hide the one that was
        context.log.warning(f"not in {TABLE}: {unrecorded}")


def _rows(results: Sequence[Any]) -> int | None:
    """Rows that the results say were written, None where none says so."""
    counts = []
    for result in results:
        for name in _ROW_COUNTS:
            if isinstance(result, dg.MaterializeResult) and name in (result.metadata or {}):
                value = (result.metadata or {})[name]
                counts.append(int(value.value if isinstance(value, dg.MetadataValue) else value))
    return sum(counts) if counts else None


def _with_metadata(result: Any, took: _Taken) -> Any:
    if not isinstance(result, dg.MaterializeResult):
        return result
    metadata = {**(result.metadata or {}), "seconds": round(took.seconds, 3)}
    if took.peak_memory_bytes is not None:
        metadata["peak memory (MB)"] = round(took.peak_memory_bytes / 1e6)
    return result._replace(metadata=metadata)


def _reset_peak_memory() -> None:
    """Let Linux measure anew from here (proc(5), clear_refs); without effect elsewhere."""
    if sys.platform == "linux":
        try:
            (_PROCESS / "clear_refs").write_text("5")
        except PermissionError:
            # In a container that forbids it: the peak is then that of the process so far
            return


def _peak_memory_bytes() -> int | None:
    """Most memory since `_reset_peak_memory`, None where the system does not tell."""
    if sys.platform != "linux":
        return None
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
