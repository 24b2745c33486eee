"""What a run logs as JSON: an object a line on standard error, with run, job, wave and asset.

Belongs here: the form of a line. Does not belong here: what is logged (the steps do, and Dagster), progress in a
terminal (runs.py). A line has the first line of a message, which says what it is about: what was found there may be an
answer of a respondent, and log files travel. The whole message is in the run history.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import dagster as dg
import structlog

from pipelines.orchestration.failures import findings

JSON_LOGGER = "json"
# Dagster's events of interest besides the messages of steps; its others are about its own plumbing
_EVENTS = frozenset(
    {
        "PIPELINE_START",
        "PIPELINE_SUCCESS",
        "PIPELINE_FAILURE",
        "PIPELINE_CANCELED",
        "STEP_START",
        "STEP_SUCCESS",
        "STEP_FAILURE",
        "STEP_UP_FOR_RETRY",
        "STEP_SKIPPED",
        "ASSET_MATERIALIZATION",
        "ASSET_OBSERVATION",
        "ASSET_CHECK_EVALUATION",
    }
)
_NUMBERS = ("dagster/row_count", "dagster/partition_row_count", "seconds", "peak memory (MB)")


@dg.logger(description="A JSON object a line on standard error.")
def json_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    """The logger of a run, for Dagster."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_of_interest)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                _of_run,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    # Dagster logs its events at this level
    logger = logging.Logger("axstat", level=logging.DEBUG)
    logger.addHandler(handler)
    return logger


def _is_of_interest(record: logging.LogRecord) -> bool:
    event = getattr(record, "dagster_event", None)
    return record.levelno >= logging.INFO if event is None else event.event_type_value in _EVENTS


def _of_run(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add where in which run the line was written, and what its event is about."""
    record: logging.LogRecord = line["_record"]
    meta: dict[str, Any] = getattr(record, "dagster_meta", {})
    event: dg.DagsterEvent | None = getattr(record, "dagster_event", None)
    line["event"] = str(meta.get("orig_message", line["event"])).split("\n", 1)[0]
    line |= {"run": meta.get("run_id"), "job": meta.get("job_name")}
    wave = (meta.get("job_tags") or {}).get("dagster/partition")
    line["wave"] = None if wave is None else int(wave)
    line["step"] = meta.get("step_key")
    if event is not None:
        line["kind"] = event.event_type_value
        if line["level"] == "debug":
            line["level"] = "info"
        line |= _of_event(event)
    return line


def _of_event(event: dg.DagsterEvent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if event.asset_key is not None:
        found["asset"] = event.asset_key.to_user_string()
    if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
        found["seconds"] = event.step_success_data.duration_ms / 1000
    elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        metadata = event.step_materialization_data.materialization.metadata
        found |= {name.split("/")[-1]: metadata[name].value for name in _NUMBERS if name in metadata}
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        # Its description lists units
        found["event"] = f"Check {check.check_name} {'passed' if check.passed else 'did not pass'}."
        found |= {"check": check.check_name, "passed": check.passed, "severity": check.severity.value.lower()}
    if why := findings(event):
        found["findings"] = [str(one) for one in why]
    return found
