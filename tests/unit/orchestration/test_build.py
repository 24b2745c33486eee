"""The asset graph as a whole: what a person finds in Dagster's UI."""

import dagster as dg
import pytest

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
