import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.metadata import column_schema, rows_by_table, table_markdown


def lines(frame: pl.DataFrame) -> list[str]:
    text = table_markdown(frame).md_str
    assert text is not None
    return text.split("\n")


def test_numbers_stand_to_the_right_and_are_short() -> None:
    frame = pl.DataFrame({"name": ["a", None], "n": [1234567, 2], "rate": [1 / 3, None]})
    assert lines(frame) == [
        "| name | n | rate |",
        "|---|---:|---:|",
        "| a | 1234567 | 0.3333 |",
        "|  | 2 |  |",
    ]


def test_what_a_file_says_cannot_break_the_table() -> None:
    sent = ["a|b", "two\nlines", "<img src=x>", "AX1*10-49*서울", "back\\|slash", "[a](b)", "`c`"]
    shown = [line.removeprefix("| ").removesuffix(" |") for line in lines(pl.DataFrame({"sent": sent}))[2:]]
    assert shown == [
        "a\\|b",
        "two lines",
        "\\<img src=x>",
        "AX1\\*10-49\\*서울",
        "back\\\\\\|slash",
        "\\[a](b)",
        "\\`c\\`",
    ]


def test_a_long_table_is_cut_and_says_so() -> None:
    found = lines(pl.DataFrame({"n": range(33)}))
    assert found[2:32] == [f"| {number} |" for number in range(30)]
    assert found[32:] == ["", "3 more rows"]


def test_rows_add_up_over_tables() -> None:
    found = rows_by_table({"core.frame": 10, "core.units": 4})
    assert found["dagster/row_count"].value == 14
    assert "| core.units | 4 |" in str(found["rows"].value)


def test_every_column_of_a_mart_is_explained(library: ContractLibrary) -> None:
    for table in library.marts.values():
        columns = column_schema(table).columns
        assert [column.name for column in columns] == list(table.column_names)
        assert all(column.description and column.type for column in columns)
