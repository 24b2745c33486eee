"""What of a failure may leave the run history: code and place of each finding.

Belongs here: reading them out of Dagster's events. Does not belong here: where they are told (notices.py, logs.py).
What was found may be an answer of a respondent; it stays in the run history, which its owner alone may read.
"""

import re
from dataclasses import dataclass

import dagster as dg

# The first line of an error of axstat: its code, and what it is about
_HEADLINE = re.compile(r"^(?:[\w.]+: )?\[(\w+)\] (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """Why a step failed. `code` is a check, a rule, or the name of an error without words of axstat."""

    step: str
    code: str
    where: str

    def __str__(self) -> str:
        return f"{self.step}: [{self.code}] {self.where}"


def findings(event: dg.DagsterEvent) -> list[Finding]:
    """Findings of a failed blocking check or a failed step; of any other event none."""
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
            return []
        return [Finding(check.asset_key.to_user_string(), check.check_name, "blocking check")]
    if not event.is_step_failure:
        return []
    error = event.step_failure_data.error
    # Dagster wraps what a step raised
    error = None if error is None else error.cause or error
    step = (event.step_key or "").replace("__", "/")
    if error is None or error.cls_name == "DagsterAssetCheckFailedError":
        # The check itself was a finding before
        return []
    found = [Finding(step, code, where) for code, where in _HEADLINE.findall(error.message)]
    return found or [Finding(step, str(error.cls_name), "an error without words of axstat")]
