"""The published file: same rows, same bytes; readable at any time, by old readers, without the microdata."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.contracts.compiler import column_comment, polars_schema, table_comment
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.published import (
    SYNTHETIC_REMARK,
    export_csv,
    export_parquet,
    publishable,
    query_marts,
    query_published,
    read_published,
    write_published,
)
from pipelines.warehouse.reference import reference_frames

READ = (
    "import sys, pathlib; from pipelines.warehouse.published import query_published;"
    "print(query_published(pathlib.Path(sys.argv[1]), 'select count(*) from mart.adoption_rate').item())"
)


@pytest.fixture(scope="module")
def marts(library: ContractLibrary, rates: pl.DataFrame) -> dict[str, pl.DataFrame]:
    empty = {name: pl.DataFrame(schema=polars_schema(contract)) for name, contract in library.marts.items()}
    return {**empty, "mart.adoption_rate": rates}


def test_rows_are_ordered_and_rounded_to_twelve_digits(library: ContractLibrary, rates: pl.DataFrame) -> None:
    contract = library.marts["mart.adoption_rate"]
    shuffled = rates.select(reversed(rates.columns))
    found = publishable(shuffled, contract)
    assert tuple(found.columns) == contract.column_names
    assert found["domain_code"].to_list() == ["AX1", "AX2", "AX3"]
    # 0.1 + 0.2 is 0.30000000000000004
    assert found["estimate"].to_list() == [0.3, 0.3, 0.3]
    assert found["se"].to_list() == [0.333333333333, None, 0.0]
    assert math.copysign(1.0, found["se"][2]) == 1.0


@pytest.mark.parametrize(
    ("value", "rounded"),
    # twelve digits wherever the point stands
    [(123456789012.5, 123456789012.0), (1.23456789012345e-7, 1.23456789012e-7), (2e300, 2e300), (0.0, 0.0)],
)
def test_digits_count_from_the_first_that_is_not_zero(
    library: ContractLibrary, rates: pl.DataFrame, value: float, rounded: float
) -> None:
    frame = rates.with_columns(population=pl.lit(value))
    found = publishable(frame, library.marts["mart.adoption_rate"])
    assert found["population"].to_list() == [rounded] * 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda frame: frame.with_columns(estimate=pl.lit(math.nan)), "not_finite"),
        (lambda frame: frame.with_columns(deff=pl.lit(math.inf)), "not_finite"),
        (lambda frame: pl.concat([frame, frame.head(1)]), "duplicate_key"),
        (lambda frame: frame.drop("se"), "columns_differ"),
        (lambda frame: frame.with_columns(unit_id=pl.lit("1")), "columns_differ"),
    ],
)
def test_rows_that_cannot_be_published_are_refused(
    library: ContractLibrary, rates: pl.DataFrame, change, code: str
) -> None:
    with pytest.raises(AxstatError) as raised:
        publishable(change(rates), library.marts["mart.adoption_rate"])
    assert raised.value.code == code


def test_every_table_and_column_has_its_comment(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> None:
    target = tmp_path / "axstat.duckdb"
    write_published(marts, target, library, synthetic=True)
    with duckdb.connect(str(target), read_only=True) as connection:
        tables = connection.execute("select schema_name || '.' || table_name, comment from duckdb_tables()").fetchall()
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name, comment from duckdb_columns() where not internal"
        ).fetchall()
    assert dict(tables) == {
        name: table_comment(contract, remark=SYNTHETIC_REMARK) for name, contract in library.marts.items()
    }
    assert {(table, column): comment for table, column, comment in columns} == {
        (name, column.name): column_comment(column)
        for name, contract in library.marts.items()
        for column in contract.columns
    }


def test_the_remark_on_synthetic_data_is_made_only_for_such(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> None:
    write_published(marts, tmp_path / "real.duckdb", library, synthetic=False)
    comments = query_published(tmp_path / "real.duckdb", "select comment from duckdb_tables()")["comment"]
    assert comments.null_count() == 0
    assert not comments.str.contains("SYNTHETIC").any()


def large_rates(rates: pl.DataFrame) -> pl.DataFrame:
    """Enough rows and odd numbers for every compression to be considered."""
    size = 9_000
    copies = pl.concat([rates.head(1)] * size)
    place = pl.int_range(size, eager=True)
    return copies.with_columns(
        domain_code=place.cast(pl.String),
        estimate=(place * 0.6180339887498949) % 1.0,
        reliability_reason=pl.format("n* {} < 30", (place * 7919) % 997),
        variance_method=pl.Series(f"{number}-{number * 31 % 17}" for number in range(size)),
    )


def test_the_same_rows_give_the_same_bytes(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame], rates: pl.DataFrame
) -> None:
    rows = large_rates(rates)
    digests = set()
    for run in range(6):
        shuffled = publishable(rows.sample(fraction=1.0, shuffle=True, seed=run), library.marts["mart.adoption_rate"])
        given = {**marts, "mart.adoption_rate": shuffled}
        target = tmp_path / f"{run}.duckdb"
        write_published(dict(reversed(given.items())), target, library, synthetic=True)
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_exports_have_the_same_rows_and_bytes(tmp_path: Path, library: ContractLibrary, rates: pl.DataFrame) -> None:
    contract = library.marts["mart.adoption_rate"]
    for run, rows in enumerate((rates, rates.reverse())):
        export_parquet(publishable(rows, contract), tmp_path / f"{run}.parquet")
        export_csv(publishable(rows, contract), tmp_path / f"{run}.csv")
    for form in ("parquet", "csv"):
        assert (tmp_path / f"0.{form}").read_bytes() == (tmp_path / f"1.{form}").read_bytes()
    expected = publishable(rates, contract)
    assert pl.read_parquet(tmp_path / "0.parquet").equals(expected)
    assert pl.read_csv(tmp_path / "0.csv", schema=polars_schema(contract)).equals(expected)
    assert (tmp_path / "0.csv").read_text(encoding="utf-8").startswith("survey,wave,")


def test_what_is_published_is_never_overwritten(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> None:
    target = tmp_path / "axstat.duckdb"
    write_published(marts, target, library, synthetic=True)
    before = target.read_bytes()
    with pytest.raises(AxstatError) as raised:
        write_published(marts, target, library, synthetic=True)
    assert raised.value.code == "already_published"
    assert target.read_bytes() == before


def test_a_failure_leaves_no_file_behind(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> None:
    broken = marts["mart.adoption_rate"].with_columns(survey=pl.lit(None, dtype=pl.String))
    with pytest.raises(duckdb.ConstraintException):
        write_published({**marts, "mart.adoption_rate": broken}, tmp_path / "a.duckdb", library, synthetic=True)
    assert list(tmp_path.iterdir()) == []


def test_only_marts_go_out(tmp_path: Path, library: ContractLibrary) -> None:
    units = pl.DataFrame(schema=polars_schema(library.tables["core.units"]))
    with pytest.raises(AxstatError, match="microdata"):
        write_published({"core.units": units}, tmp_path / "a.duckdb", library, synthetic=False)


def test_the_file_has_the_storage_format_of_the_first_stable_version(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> None:
    target = tmp_path / "a.duckdb"
    write_published(marts, target, library, synthetic=True)
    # bytes 12 to 19 of a DuckDB file: storage version; 64 is that of v1.0.0, which clients up to 1.2 read
    assert int.from_bytes(target.read_bytes()[12:20], "little") == 64
    assert not target.with_name(f"{target.name}.wal").exists()


def test_readers_in_other_processes_open_it_while_the_warehouse_is_written(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame], warehouse: Warehouse
) -> None:
    target = tmp_path / "axstat.duckdb"
    write_published(marts, target, library, synthetic=True)
    with warehouse.session() as session:
        session.append("mart.adoption_rate", marts["mart.adoption_rate"])
        with duckdb.connect(str(target), read_only=True):
            other = subprocess.run(
                [sys.executable, "-c", READ, str(target)], capture_output=True, text=True, check=True
            )
    assert other.stdout.split() == ["3"]


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, marts: dict[str, pl.DataFrame]
) -> Path:
    """One file for all questions; nothing can be written to it."""
    target = tmp_path_factory.mktemp("published") / "axstat.duckdb"
    write_published(marts, target, library, synthetic=True)
    return target


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select count(*) as n from mart.adoption_rate", [(3,)]),
        ("with a as (select 1 as x) select x from a;", [(1,)]),
        ("from mart.adoption_rate select domain_code order by 1 limit 1", [("AX1",)]),
        ("values (1), (2)", [(1,), (2,)]),
        ("select count(*) > 5 from (show all tables)", [(True,)]),
    ],
)
def test_questions_are_answered(published: Path, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert query_published(published, sql).rows() == rows


def test_a_table_can_be_described(published: Path, library: ContractLibrary) -> None:
    found = query_published(published, "describe mart.adoption_rate")
    assert tuple(found["column_name"]) == library.marts["mart.adoption_rate"].column_names


@pytest.mark.parametrize(
    "sql",
    [
        "delete from mart.adoption_rate",
        "drop table mart.adoption_rate",
        "create table mine as select 1",
        "copy mart.adoption_rate to 'out.csv'",
        "attach 'other.duckdb'",
        "set enable_external_access = true",
        "select 1; delete from mart.adoption_rate",
        "",
        "-- nothing",
    ],
)
def test_only_questions_are_let_through(published: Path, sql: str) -> None:
    before = published.read_bytes()
    with pytest.raises(AxstatError) as raised:
        query_published(published, sql)
    assert raised.value.code == "not_a_question"
    assert published.read_bytes() == before


@pytest.mark.parametrize("sql", ["selec 1", "select * from core.units", "select nothing from mart.domain"])
def test_a_question_that_cannot_be_answered_says_why(published: Path, sql: str) -> None:
    with pytest.raises(AxstatError, match="show all tables") as raised:
        query_published(published, sql)
    assert raised.value.code == "query_failed"


def test_a_question_reaches_no_other_file(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "secret.csv"
    other.write_text("a\n1\n", encoding="utf-8")
    for sql in (f"select * from read_csv('{other}')", f"from '{other}'", "select * from glob('*')"):
        with pytest.raises(AxstatError) as raised:
            query_published(published, sql)
        assert raised.value.code == "query_failed"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AxstatError, match="nowhere"):
        query_published(tmp_path / "nowhere.duckdb", "select 1")


def test_tables_can_be_asked_before_they_are_published() -> None:
    rates = pl.DataFrame({"wave": [2022, 2023], "n": [3, 4]})
    marts = {"mart.rates": rates, "mart.names": pl.DataFrame({"wave": [2023], "name": ["now"]})}
    sql = "select n.name, r.n from mart.rates as r inner join mart.names as n on r.wave = n.wave"
    assert query_marts(marts, sql).rows() == [("now", 4)]
    with pytest.raises(AxstatError, match="query_failed"):
        query_marts({"mart.rates": rates}, sql)


def test_all_tables_are_read_back(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame], rates: pl.DataFrame
) -> None:
    given = {**marts, "mart.adoption_rate": publishable(rates, library.marts["mart.adoption_rate"])}
    write_published(given, tmp_path / "a.duckdb", library, synthetic=False)
    found = read_published(tmp_path / "a.duckdb")
    assert {f"mart.{name}" for name in found} == set(given)
    assert all(frame.equals(given[f"mart.{name}"]) for name, frame in found.items())


def test_a_file_that_was_damaged_is_named(
    tmp_path: Path, library: ContractLibrary, marts: dict[str, pl.DataFrame], rates: pl.DataFrame
) -> None:
    target = tmp_path / "damaged.duckdb"
    rows = publishable(large_rates(rates), library.marts["mart.adoption_rate"])
    write_published({**marts, "mart.adoption_rate": rows}, target, library, synthetic=False)
    content = bytearray(target.read_bytes())
    # The first block after the three headers holds rows; its checksum no longer fits
    content[3 * 4096 + 100] ^= 0xFF
    target.write_bytes(content)
    with pytest.raises(AxstatError, match=r"damaged\.duckdb") as raised:
        read_published(target)
    assert raised.value.code == "published_file"


@pytest.fixture(scope="module")
def with_macros(
    tmp_path_factory: pytest.TempPathFactory,
    library: ContractLibrary,
    catalogue: SqlCatalogue,
    marts: dict[str, pl.DataFrame],
    rates: pl.DataFrame,
) -> Path:
    """A file with macros, examples and dictionary; the rates are those of adoption(), one of them suppressed."""
    target = tmp_path_factory.mktemp("macros") / "axstat.duckdb"
    reference = {name: frame for name, frame in reference_frames(library, last_wave=2025).items() if name in marts}
    headline = rates.with_columns(
        pl.lit("ai_adoption").alias("measure"),
        pl.lit("answered").alias("base"),
        pl.lit("unit").alias("unit_weighting"),
        pl.when(pl.col("domain_code") == "AX2")
        .then(pl.lit("suppress"))
        .otherwise(pl.lit("publish"))
        .alias("reliability"),
        pl.when(pl.col("domain_code") != "AX2").then("estimate"),
    )
    other = headline.with_columns(pl.lit("employment").alias("unit_weighting"))
    published = publishable(pl.concat([headline, other]), library.marts["mart.adoption_rate"])
    given = {**marts, **reference, "mart.adoption_rate": published}
    write_published(given, target, library, synthetic=True, macros=catalogue.layer("published"))
    return target


def test_a_macro_gives_the_headline_with_its_marks(with_macros: Path) -> None:
    found = query_published(with_macros, "select domain_code, estimate, reliability from adoption('industry', 2025)")
    assert found.rows() == [("AX1", 0.3, "publish"), ("AX2", None, "suppress"), ("AX3", 0.3, "publish")]
    series = query_published(with_macros, "select wave, se from adoption_series('industry', 'x', 'AX1')")
    assert series.rows() == [(2025, 0.333333333333)]
    assert query_published(with_macros, "from adoption('public', 2025)").is_empty()


def test_the_dictionary_can_be_asked_by_table(with_macros: Path, library: ContractLibrary) -> None:
    found = query_published(with_macros, "from columns_of('mart.progress')")
    assert tuple(found["column"]) == library.marts["mart.progress"].column_names


def test_every_macro_is_there_with_its_comment(with_macros: Path, catalogue: SqlCatalogue) -> None:
    found = query_published(
        with_macros,
        "select function_name, comment from duckdb_functions() where function_type = 'table_macro' and not internal",
    )
    expected = {each.table: f"{each.description} {SYNTHETIC_REMARK}" for each in catalogue.layer("published")}
    assert dict(found.rows()) == expected


def test_every_example_runs(with_macros: Path, library: ContractLibrary) -> None:
    examples = query_published(with_macros, "select id, sql from mart.example_query order by position")
    assert examples["id"].to_list() == [example.id for example in library.outputs.examples]
    found = {id_: query_published(with_macros, sql) for id_, sql in examples.rows()}
    assert found["industries"].columns[:2] == ["label_ko", "label_en"]
    assert found["meaning"].height == len(library.marts["mart.adoption_rate"].columns)


def test_a_macro_stays_out_of_a_file_without_its_tables(
    tmp_path: Path, library: ContractLibrary, catalogue: SqlCatalogue, marts: dict[str, pl.DataFrame]
) -> None:
    some = {name: frame for name, frame in marts.items() if name in ("mart.adoption_rate", "mart.domain")}
    target = tmp_path / "some.duckdb"
    write_published(some, target, library, synthetic=False, macros=catalogue.layer("published"))
    found = query_published(target, "select function_name as f from duckdb_functions() where not internal order by 1")
    assert found["f"].to_list() == ["adoption", "adoption_series"]


def test_the_same_macros_give_the_same_bytes(
    tmp_path: Path, library: ContractLibrary, catalogue: SqlCatalogue, marts: dict[str, pl.DataFrame]
) -> None:
    for run in ("a", "b"):
        write_published(marts, tmp_path / f"{run}.duckdb", library, synthetic=True, macros=catalogue.layer("published"))
    assert (tmp_path / "a.duckdb").read_bytes() == (tmp_path / "b.duckdb").read_bytes()


def test_an_older_client_reads_tables_comments_and_macros(
    with_macros: Path, library: ContractLibrary, catalogue: SqlCatalogue
) -> None:
    """Set OLD_DUCKDB_PYTHON to the Python of an environment with an older duckdb (`pip install duckdb==1.1.3`)."""
    python = os.environ.get("OLD_DUCKDB_PYTHON")
    if python is None:
        pytest.skip("OLD_DUCKDB_PYTHON names no Python with an older DuckDB client")
    script = Path(__file__).with_name("old_client.py")
    ran = subprocess.run([python, str(script), str(with_macros)], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert tuple(map(int, found["version"].split(".")[:2])) < tuple(map(int, duckdb.__version__.split(".")[:2]))
    assert found["codes"] == ["AX1", "AX2", "AX3"]
    assert found["tables"] == {
        name: table_comment(contract, remark=SYNTHETIC_REMARK) for name, contract in library.marts.items()
    }
    assert found["columns"] == {
        f"{name}.{column.name}": column_comment(column)
        for name, contract in library.marts.items()
        for column in contract.columns
    }
    assert set(found["examples"]) == {example.id for example in library.outputs.examples}
