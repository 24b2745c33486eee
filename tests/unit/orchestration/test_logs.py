"""The lines that a run logs as JSON, of runs with assets of the test's own."""

import json

import dagster as dg
import pytest

from pipelines.errors import Violation, ViolationsError
from pipelines.orchestration.logs import JSON_LOGGER, json_logger

ANSWER = "an answer of a respondent"
WAVES = dg.StaticPartitionsDefinition(["2025"])


def lines(capfd: pytest.CaptureFixture[str], *assets: dg.AssetsDefinition) -> list[dict[str, object]]:
    """Those of a run of the assets for wave 2025."""
    job = dg.define_asset_job("wave", config={"loggers": {JSON_LOGGER: {}}})
    definitions = dg.Definitions(assets=assets, jobs=[job], loggers={JSON_LOGGER: json_logger})
    definitions.resolve_job_def("wave").execute_in_process(partition_key="2025", raise_on_error=False)
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def of_kind(found: list[dict[str, object]], kind: str) -> dict[str, object]:
    [line] = [one for one in found if one.get("kind") == kind]
    return line


def test_each_line_has_run_job_wave_and_step(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.asset(key=["industry", "core"], partitions_def=WAVES)
    def core(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.debug("of no interest")
        context.log.warning("응답.csv 두 행")
        return dg.MaterializeResult(metadata={"dagster/row_count": 7, "seconds": 0.5, "first rows": ANSWER})

    found = lines(capfd, core)
    assert len({line["run"] for line in found}) == 1
    assert {(line["job"], line["wave"]) for line in found} == {("wave", 2025)}
    assert {line["level"] for line in found} == {"info", "warning"}
    assert all(str(line["time"]).endswith("Z") for line in found)
    [message] = [line for line in found if "kind" not in line]
    assert (message["event"], message["step"], message["level"]) == ("응답.csv 두 행", "industry__core", "warning")
    made = of_kind(found, "ASSET_MATERIALIZATION")
    assert (made["asset"], made["row_count"], made["seconds"]) == ("industry/core", 7, 0.5)
    assert isinstance(of_kind(found, "STEP_SUCCESS")["seconds"], float)
    assert ANSWER not in json.dumps(found)


def test_a_failure_is_told_by_code_and_place_and_never_by_what_was_found(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.asset(partitions_def=WAVES)
    def core(context: dg.AssetExecutionContext) -> None:
        violation = Violation("unknown_code", "answers.csv", "a code", ANSWER, "correct it", (3,))
        context.log.warning(str(violation))
        raise ViolationsError("deliveries", [violation])

    found = lines(capfd, core)
    [message] = [line for line in found if "kind" not in line]
    assert message["event"] == "[unknown_code] answers.csv, rows 3"
    assert of_kind(found, "STEP_FAILURE")["findings"] == ["core: [unknown_code] answers.csv, rows 3"]
    assert ANSWER not in json.dumps(found)


def test_a_check_is_told_without_the_units_that_it_found(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.asset(partitions_def=WAVES, check_specs=[dg.AssetCheckSpec("weights", asset="core")])
    def core() -> dg.MaterializeResult:
        check = dg.AssetCheckResult(passed=False, check_name="weights", description=ANSWER)
        return dg.MaterializeResult(check_results=[check])

    found = lines(capfd, core)
    line = of_kind(found, "ASSET_CHECK_EVALUATION")
    assert (line["event"], line["passed"], line["severity"]) == ("Check weights did not pass.", False, "error")
    assert ANSWER not in json.dumps(found)
