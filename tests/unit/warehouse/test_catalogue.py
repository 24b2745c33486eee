"""Headers are read, held against their statements, and put in an order."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.warehouse.catalogue import LAYERS, SqlCatalogue

UNITS = """-- core.units: one row per unit;
-- the latest answer
-- reads: staging.a,
-- core.frame
-- params: $survey, $wave
select a.unit_id
from staging.a as a
inner join core.frame as f on a.unit_id = f.unit_id
where a.wave = $wave and a.survey = $survey
"""


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        layer, stem = name.split("__")
        path = root / layer / f"{stem}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def codes(root: Path) -> list[str]:
    with pytest.raises(ViolationsError) as raised:
        SqlCatalogue(root)
    return [violation.code for violation in raised.value.violations]


def test_a_header_says_row_tables_and_parameters(tmp_path: Path) -> None:
    statement = SqlCatalogue(write(tmp_path, core__units=UNITS))["core.units"]
    assert statement.description == "one row per unit; the latest answer"
    assert statement.reads == ("staging.a", "core.frame")
    assert statement.params == ("survey", "wave")
    assert (statement.layer, statement.table) == ("core", "units")
    assert statement.severity is None
    assert statement.sql == UNITS


def test_words_in_comments_and_texts_are_not_tables_or_parameters(tmp_path: Path) -> None:
    text = """-- core.units: rows
-- reads: none
-- params: none
select 'from core.ghost; it''s $wave' as a -- from core.ghost, and $wave
"""
    assert SqlCatalogue(write(tmp_path, core__units=text))["core.units"].reads == ()


def test_a_layer_comes_in_the_order_of_reading_then_of_names(tmp_path: Path) -> None:
    def text(name: str, reads: str) -> str:
        source = "".join(f"\nfrom {reads}" for _ in [0] if reads != "none")
        return f"-- core.{name}: rows\n-- reads: {reads}\n-- params: none\nselect 1 as a{source}\n"

    root = write(
        tmp_path,
        core__a=text("a", "core.z"),
        core__b=text("b", "none"),
        core__c=text("c", "none"),
        core__z=text("z", "core.c"),
    )
    assert [statement.table for statement in SqlCatalogue(root).layer("core")] == ["b", "c", "z", "a"]


def test_statements_that_read_each_other_are_refused(tmp_path: Path) -> None:
    def text(name: str, reads: str) -> str:
        return f"-- core.{name}: rows\n-- reads: core.{reads}\n-- params: none\nselect 1 as a\nfrom core.{reads}\n"

    root = write(tmp_path, core__a=text("a", "b"), core__b=text("b", "a"))
    with pytest.raises(AxstatError, match=r"core\.a -> core\.b|core\.b -> core\.a"):
        SqlCatalogue(root)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("-- core.units: one row per unit;\n-- the latest answer\n", ""), "missing_header"),
        ((UNITS, "select 1\n"), "missing_header"),
        ((UNITS, ""), "missing_header"),
        (("-- core.units:", "-- core.people:"), "header_name"),
        (("-- core.units:", "-- staging.units:"), "header_name"),
        (("-- reads: staging.a,\n-- core.frame\n", ""), "incomplete_header"),
        (("-- params: $survey, $wave\n", ""), "incomplete_header"),
        (("staging.a,\n-- core.frame", "staging.a"), "header_reads"),
        (("staging.a,\n-- core.frame", "staging.a, core.frame, core.other"), "header_reads"),
        (("-- params: $survey, $wave", "-- params: $wave"), "header_params"),
        (("a.survey = $survey", "true"), "header_params"),
        (("$survey", "$region"), "unknown_parameter"),
        (("select a.unit_id", "select core.other.unit_id"), "table_as_qualifier"),
        (("-- params:", "-- severity: error\n-- params:"), "check_severity"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, change: tuple[str, str], code: str) -> None:
    assert code in codes(write(tmp_path, core__units=UNITS.replace(*change)))


def test_a_check_must_say_whether_it_stops_the_wave(tmp_path: Path) -> None:
    text = "-- checks.a: rows\n-- reads: none\n-- params: none\nselect 1 as what_to_do\n"
    assert codes(write(tmp_path / "without", checks__a=text)) == ["check_severity"]
    stated = text.replace("select", "-- severity: warning\nselect")
    assert SqlCatalogue(write(tmp_path / "with", checks__a=stated))["checks.a"].severity == "warning"


def test_a_file_outside_the_layers_is_refused(tmp_path: Path) -> None:
    assert codes(write(tmp_path, attic__units=UNITS)) == ["sql_layer"]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    root = write(tmp_path, core__a="select 1", core__b="select 2", marts__c="select 3")
    assert codes(root) == ["missing_header"] * 3


def test_unknown_names_are_refused_with_those_that_are_there(tmp_path: Path) -> None:
    catalogue = SqlCatalogue(write(tmp_path, core__units=UNITS))
    with pytest.raises(AxstatError, match=r"core\.units") as raised:
        catalogue["core.people"]
    assert raised.value.code == "unknown_statement"
    with pytest.raises(AxstatError) as raised:
        catalogue.layer("attic")
    assert raised.value.code == "unknown_layer"
    with pytest.raises(AxstatError) as raised:
        SqlCatalogue(tmp_path / "nowhere")
    assert raised.value.code == "no_sql_folder"


def test_the_projects_statements_go_layer_by_layer(catalogue: SqlCatalogue) -> None:
    layers = [statement.layer for statement in catalogue]
    assert layers == sorted(layers, key=list(LAYERS).index)
    assert len(catalogue) == len(layers)
    built: set[str] = set()
    for statement in catalogue:
        made_here = {name for name in statement.reads if name in catalogue}
        if statement.layer != "cells":
            assert made_here <= built, statement.name
        built.add(statement.name)
