"""The subset of SQL that means the same to DuckDB and to Spark, and the text for Spark."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue, Statement
from pipelines.warehouse.engines.portable import in_spark, parsed, portability_faults

CELLS = SqlCatalogue(Path(__file__).parents[4] / "sql").layer("cells")


def codes(sql: str) -> set[str]:
    return {fault.code for fault in portability_faults(sql, where="q")}


@pytest.mark.parametrize("statement", CELLS, ids=lambda statement: statement.name)
def test_every_statement_of_the_cells_is_in_the_subset(statement: Statement) -> None:
    assert portability_faults(statement.sql, where=statement.name) == []


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select a / b as c from t", "bare_division"),
        ("select a / nullif(b, 1) as c from t", "bare_division"),
        ("select a / nullif(b, 0) / c as c from t", "bare_division"),
        ("select a // nullif(b, 0) as c from t", "construct"),
        ("select a % nullif(b, 0) as c from t", "construct"),
        ("select 1.5 as c from t", "decimal_literal"),
        ("select 1e3 as c from t", "decimal_literal"),
        ("select cast(a as integer) as c from t", "cast"),
        ("select a::bigint as c from t", "cast"),
        ("select cast(a as decimal(3, 1)) as c from t", "cast"),
        ("select cast(a as varchar) as c from t", "cast"),
        ("select try_cast(a as double) as c from t", "construct"),
        ("select log(a) as c from t", "construct"),
        ("select round(a) as c from t", "construct"),
        ("select avg(a) as c from t", "construct"),
        ("select a || b as c from t", "construct"),
        ("select sum(a) over () as c from t", "construct"),
        ("select a from t limit 3", "construct"),
        ("select a + b from t", "unnamed_column"),
        ("select * from t", "unnamed_column"),
        ("select t.* from t", "unnamed_column"),
        ("select a as b, count(*) as n from t group by 1", "unnamed_key"),
        ("select a as b, count(*) as n from t group by all", "unnamed_key"),
        ("select a as b from t group by rollup (a)", "unnamed_key"),
        ("select a from t order by 1", "unnamed_key"),
        ("select a from t order by a + b", "unnamed_key"),
        ("with s as (select count(*) as n from t) select sum(n) as m from s", "sum_of_counts"),
        ("with s as (select count(*) filter (where a) as n from t) select sum(2 * n) as m from s", "sum_of_counts"),
        ("select sum(1) as m from t", "sum_of_counts"),
        ("select sum(count(*)) as m from t", "sum_of_counts"),
    ],
)
def test_what_may_differ_in_silence_is_a_fault(sql: str, code: str) -> None:
    assert code in codes(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select a / nullif(b, 0) as c from t",
        "select cast('0.1' as double) * a as c from t",
        "with s as (select count(*) as n from t) select sum(cast(n as double)) as m from s",
        "select a, count(*) as n from t where a in (1, 2) or b is null group by a order by a",
    ],
)
def test_the_way_out_that_a_fault_names_is_no_fault(sql: str) -> None:
    assert codes(sql) == set()


def test_a_fault_names_the_statement_and_the_text_at_fault() -> None:
    [fault] = portability_faults("select a, b / c as d from t", where="cells.x")
    assert (fault.where, fault.got) == ("cells.x", "b / c")


@pytest.mark.parametrize("sql", ["drop table t", "select from", "select 1 as a; select 2 as b", ""])
def test_what_is_not_one_select_is_refused(sql: str) -> None:
    with pytest.raises(AxstatError) as raised:
        parsed(sql, where="q")
    assert raised.value.code == "not_one_select"


def test_spark_gets_views_without_schemas_and_nulls_in_the_same_place() -> None:
    sql = "select s.a, {'x': s.b} as c from cells.t as s where s.b = 'a\\b''c' order by a"
    assert in_spark(parsed(sql, where="q")) == (
        "SELECT s.a, STRUCT(s.b AS x) AS c FROM cells_t AS s WHERE s.b = 'a\\\\b\\'c' ORDER BY a NULLS LAST"
    )


def test_a_translation_leaves_the_statement_as_it_was() -> None:
    query = parsed("select a from cells.t", where="q")
    in_spark(query)
    assert query.sql(dialect="duckdb") == "SELECT a FROM cells.t"
