"""The asset graph as a whole: what a person finds in Dagster's UI."""

import asyncio
import datetime

import dagster as dg
import pytest
from dagster._core.definitions import freshness_evaluator
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import CronFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.jobs import WAVE_JOB

GROUPS = {"deliveries", "staging", "weights", "estimates", "progress", "marts", "release"}


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs()}


def upstream(graph: dict[dg.AssetKey, dg.AssetSpec], key: dg.AssetKey) -> set[dg.AssetKey]:
    found: set[dg.AssetKey] = set()
    waiting = [key]
    while waiting:
        for dep in graph[waiting.pop()].deps:
            if dep.asset_key not in found:
                found.add(dep.asset_key)
                waiting.append(dep.asset_key)
    return found


def test_every_asset_has_group_description_and_kinds(graph: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in graph.values()} == GROUPS
    for key, spec in graph.items():
        name = key.to_user_string()
        assert spec.description, name
        assert spec.kinds, name
        assert isinstance(spec.partitions_def, dg.TimeWindowPartitionsDefinition), name


def test_a_release_rests_on_everything(graph: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    release = dg.AssetKey("release")
    assert upstream(graph, release) == set(graph) - {release}


def test_surveys_do_not_depend_on_each_other(graph: dict[dg.AssetKey, dg.AssetSpec], library: ContractLibrary) -> None:
    for survey in library.surveys:
        assert {key.path[0] for key in upstream(graph, dg.AssetKey([survey, "estimates"]))} == {survey}


def test_every_mart_of_the_contracts_is_an_asset(
    graph: dict[dg.AssetKey, dg.AssetSpec], library: ContractLibrary
) -> None:
    marts = {key.to_user_string().replace("/", ".") for key, spec in graph.items() if spec.group_name == "marts"}
    assert marts == set(library.marts)


def test_the_job_makes_every_asset_and_check_one_at_a_time(
    definitions: dg.Definitions, graph: dict[dg.AssetKey, dg.AssetSpec]
) -> None:
    job = definitions.resolve_job_def(WAVE_JOB)
    assert set(job.asset_layer.executable_asset_keys) == set(graph)
    assert job.executor_def == dg.in_process_executor
    # The warehouse file has one writer at a time, also across runs
    assert {tuple(node.definition.pools) for node in job.graph.nodes} == {("warehouse",)}


def test_the_definitions_load_as_dagster_loads_them(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_a_release_is_overdue_when_a_year_has_none(
    definitions: dg.Definitions, library: ContractLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster's daemon judges it, whatever day it is: the last day is the latest that the calendar has, and one."""
    graph = definitions.resolve_asset_graph()
    release = dg.AssetKey("release")
    moments = [library.calendar.publication_moment(wave) for wave in library.calendar.publication_dates]
    first, last = (pick(moment.replace(year=2000) for moment in moments) for pick in (min, max))
    with dg.DagsterInstance.ephemeral() as instance:

        def state(now: datetime.datetime) -> FreshnessState:
            monkeypatch.setattr(freshness_evaluator, "get_current_datetime", lambda _zone: now)
            judged = CronFreshnessPolicyEvaluator().evaluate_freshness(
                LoadingContextForTest(instance), graph.get(release)
            )
            return asyncio.run(judged)

        now = datetime.datetime.now(datetime.UTC)
        assert state(now) == FreshnessState.UNKNOWN
        instance.report_runless_asset_event(dg.AssetMaterialization(release, partition="2025"))
        deadlines = [last.replace(year=now.year + years) + datetime.timedelta(days=1) for years in range(3)]
        missed, missed_again = [deadline for deadline in deadlines if deadline > now][:2]
        minute = datetime.timedelta(minutes=1)
        assert state(now) == FreshnessState.PASS
        assert state(missed - minute) == FreshnessState.PASS
        in_time = now >= first.replace(year=missed.year)
        assert state(missed + minute) == (FreshnessState.PASS if in_time else FreshnessState.FAIL)
        assert state(missed_again + minute) == FreshnessState.FAIL
