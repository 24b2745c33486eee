import pytest

from pipelines.reporting.fonts import text_width
from pipelines.reporting.page_tables import (
    ACROSS,
    INSET,
    SMALLEST_TYPE,
    TYPE_SIZE,
    UPRIGHT,
    lines,
    needs_width,
    table_values,
)
from pipelines.reporting.tables import Cell, Column, Kind, Table


def _table(columns: list[tuple[str, Kind]], rows: list[list[str]]) -> Table:
    return Table(
        "made_up",
        "Title",
        tuple(Column(heading, kind) for heading, kind in columns),
        tuple(tuple(Cell(None, text) for text in row) for row in rows),
    )


_SMALL = _table([("Domain", "label"), ("n", "count")], [["Seoul", "12,345"], ["Jeju", "1"]])
_FIGURES = _table([("Domain", "label"), *[("Estimate", "share")] * 18], [["Seoul", *["100.0"] * 18]])
_WORDS = _table(
    [("Domain", "label"), ("Reason", "text"), ("n", "count")],
    [["Legal, accounting and professional services", "words " * 60, "123,456"]],
)
_HASH = _table([("File", "code"), ("SHA-256", "code")], [["a.csv", "0123456789abcdef" * 12]])


@pytest.mark.parametrize("table", [_SMALL, _FIGURES, _WORDS, _HASH])
def test_no_table_runs_over_the_margin_and_no_figure_is_broken(table: Table) -> None:
    across = needs_width(table)
    made = table_values(table, across=across)
    assert sum(made["widths"]) <= (ACROSS if across else UPRIGHT) + 1e-6
    for row in made["rows"]:
        for cell, width, column in zip(row, made["widths"], table.columns, strict=True):
            if column.kind in ("share", "count"):
                assert len(cell) == 1
            longest = max(text_width(word, made["size"]) for line in cell for word in line.split(" "))
            assert longest + 2 * INSET <= width + 1e-6


def test_what_fits_stands_upright_at_its_own_width() -> None:
    assert not needs_width(_SMALL)
    made = table_values(_SMALL, across=False)
    assert made["size"] == TYPE_SIZE
    assert sum(made["widths"]) < 120


def test_many_figures_stand_across() -> None:
    # 18 columns of at least the word "Estimate" (its advances at 7 points) with both insets
    assert 18 * (text_width("Estimate", TYPE_SIZE) + 2 * INSET) > UPRIGHT
    assert needs_width(_FIGURES)


def test_long_tables_stand_across_rather_than_on_twice_the_lines() -> None:
    reason = "word " * int(UPRIGHT / text_width("word ", TYPE_SIZE))
    row = ["Legal, accounting and professional services", reason, "1"]
    columns: list[tuple[str, Kind]] = [("Domain", "label"), ("Reason", "text"), ("n", "count")]
    assert [needs_width(_table(columns, [row] * rows)) for rows in (10, 200)] == [False, True]


def test_type_is_set_smaller_where_even_a_page_across_is_too_narrow() -> None:
    table = _table([("Estimate", "share")] * 24, [["1,234,567.0"] * 24])
    made = table_values(table, across=True)
    assert SMALLEST_TYPE <= made["size"] < TYPE_SIZE
    assert sum(made["widths"]) <= ACROSS + 1e-6


def test_words_wider_than_their_column_are_cut() -> None:
    assert lines("short", 100, 7) == ["short"]
    assert lines("two words", 25, 7) == ["two words"]
    cut = lines("0123456789" * 4, 60, 7)
    assert len(cut) > 2
    assert "".join(cut) == "0123456789" * 4
    assert all(text_width(line, 7) <= 60 for line in cut)
    assert " ".join(lines("see 0123456789012345678901234567890123456789", 60, 7)).startswith("see 012")


def test_groups_of_headings_keep_their_columns() -> None:
    columns = (Column("Domain", "label"), Column("a", "share", "one"), Column("b", "share", "one"))
    made = table_values(Table("t", "T", columns, ((Cell(None, "x"),) * 3,)), across=False)
    assert made["groups"] == [("", 1), ("one", 2)]
