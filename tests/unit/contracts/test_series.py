"""Contracts of outside series: what must be said, and what contradicts itself."""

from collections.abc import Callable

import pytest

from pipelines.contracts.library import ContractLibrary

PATH = "benchmarks/eurostat_ai_size.yaml"
COPIED = "benchmarks/spri_public_sector.yaml"
Edit = Callable[[str, str, str], None]


def test_each_series_is_fetched_or_copied(library: ContractLibrary) -> None:
    for name, series in library.series.items():
        assert f"benchmarks/{name}.yaml" in library.versions
        assert (series.request is None) == bool(series.values), name
        if series.request is not None:
            assert series.request.url.startswith("https://"), name


def test_every_copied_figure_says_where_it_was_read(library: ContractLibrary) -> None:
    for series in library.series.values():
        assert series.definition.wording_ko
        assert all(value.source for value in series.values), series.id


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (PATH, "request:", "values: [{measure: x, ref_year: 2024, percent: 1, published: '2024'}]\nrequest:"),
        (PATH, "geo: geo, ", ""),
        (PATH, "geo: geo,", "area: geo,"),
        (PATH, "size_class: {GE10: total", "size: {GE10: total"),
        (PATH, "unit: share", "unit: percent"),
        (PATH, "cells: {percent: implied}", "cells: {percents: implied}"),
        (PATH, "url: https://", "url: https://user:secret@"),
        (PATH, "url: https://", "url: ftp://"),
        (COPIED, "percent: 55.0", "percent: 550"),
        (COPIED, "percent: 55.0", "percent: 55.0\n    count: 3"),
        (COPIED, "published: '2023-09-24'", "published: 'last autumn'"),
    ],
)
def test_contradictions_are_found(edit: Edit, violations, path: str, old: str, new: str) -> None:
    edit(path, old, new)
    assert {(code, where.partition(":")[0]) for code, where in violations()} == {("invalid_contract", path)}
