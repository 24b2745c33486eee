"""SQL that means the same to DuckDB and to Spark: the subset, and its translation.

Belongs here: what a statement of `sql/cells/` may use, the text that Spark runs. Does not belong here: running it
(duckdb_engine, spark_engine), what it says (`sql/cells/`).

The two differ in silence, and each rule stands for a difference that was seen. A double cast to a whole number is
rounded by one and cut off by the other; `1.0/3` is a decimal there and a double here; a division by 0 is infinity here
and an error there; LOG has base 10 here and base e there; a sum of whole numbers has another type in each.
"""

from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from pipelines.errors import AxstatError, Violation

# What was held against each other on both, with NULL, NaN and infinity; anything else may differ without a word.
FUNCTIONS: tuple[type[exp.Expression], ...] = (
    exp.Abs,
    exp.Coalesce,
    exp.Count,
    exp.IsNan,
    exp.LogicalAnd,
    exp.Max,
    exp.Min,
    exp.Nullif,
    exp.Struct,
    exp.Sum,
)
CONSTRUCTS: tuple[type[exp.Expression], ...] = (
    *(exp.Select, exp.With, exp.CTE, exp.Union, exp.From, exp.Join, exp.Where, exp.Group, exp.Order, exp.Ordered),
    *(exp.Table, exp.TableAlias, exp.Column, exp.Alias, exp.Identifier, exp.Star, exp.Distinct, exp.Filter),
    *(exp.Literal, exp.Null, exp.Boolean, exp.Placeholder, exp.Cast, exp.DataType, exp.PropertyEQ),
    *(exp.Case, exp.If, exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Paren, exp.Neg),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Add, exp.Sub, exp.Mul, exp.Div),
)


def parsed(sql: str, *, where: str) -> exp.Query:
    """One SELECT in DuckDB's words, without comments.

    Raises:
        AxstatError: it is none.
    """
    try:
        found = sqlglot.parse_one(sql, dialect="duckdb")
    except ParseError as error:
        raise AxstatError(
            "not_one_select",
            where=where,
            expected="one SELECT in DuckDB's words",
            got=str(error).splitlines()[0],
            hint="mend the statement",
        ) from None
    if not isinstance(found, exp.Query):
        raise AxstatError(
            "not_one_select",
            where=where,
            expected="one SELECT in DuckDB's words",
            got=type(found).__name__.upper(),
            hint="write one SELECT",
        )
    for each in found.walk():
        each.pop_comments()
    return found


def in_spark(query: exp.Query) -> str:
    """The text for Spark, whose views have no schema: `input.microdata` is `input_microdata` there."""

    def flat(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Table) and node.db:
            return exp.to_table(spark_view(f"{node.db}.{node.name}"), alias=node.alias or None)
        return node

    return query.copy().transform(flat).sql(dialect="spark")


def spark_view(table: str) -> str:
    """What a table is called as a view of Spark."""
    return table.replace(".", "_")


def portability_faults(sql: str, *, where: str) -> list[Violation]:
    """Everything in a statement that may mean different things to DuckDB and Spark."""
    query = parsed(sql, where=where)
    return [*_value_faults(query, where), *_name_faults(query, where), *_sum_faults(query, where)]


def _value_faults(query: exp.Query, where: str) -> Iterator[Violation]:
    for node in query.walk():
        if type(node) not in (*FUNCTIONS, *CONSTRUCTS):
            names = ", ".join(kind.sql_name().lower() for kind in FUNCTIONS if issubclass(kind, exp.Func))
            yield _fault(
                "construct",
                where,
                node,
                f"joins, keys, case, + - * / and {names}",
                "say it by these, or prove it on both",
            )
    for node in query.find_all(exp.Div):
        if not (isinstance(node.expression, exp.Nullif) and node.expression.expression.sql() == "0"):
            yield _fault("bare_division", where, node, "a division by nullif(…, 0)", "write a / nullif(b, 0)")
    for node in query.find_all(exp.Literal):
        if not node.is_string and not node.is_int:
            expected = "whole numbers, or cast('0.1' as double)"
            yield _fault("decimal_literal", where, node, expected, "cast the text of the number to double")
    for node in query.find_all(exp.Cast):
        if node.to.this != exp.DataType.Type.DOUBLE:
            yield _fault("cast", where, node, "casts to double only", "leave the cast out, or make it of double")


def _name_faults(query: exp.Query, where: str) -> Iterator[Violation]:
    for select in query.find_all(exp.Select):
        for item in select.expressions:
            if not isinstance(item, exp.Alias | exp.Column) or item.is_star:
                yield _fault("unnamed_column", where, item, "a column, or an expression with a name", "name it")
        group, order = select.args.get("group"), select.args.get("order")
        keys = [] if group is None else [*group.expressions, *([group] if group.args.get("all") else [])]
        keys += [] if order is None else [ordered.this for ordered in order.expressions]
        for key in keys:
            if not isinstance(key, exp.Column):
                yield _fault("unnamed_key", where, key, "keys by their names", "name the columns")


def _sum_faults(query: exp.Query, where: str) -> Iterator[Violation]:
    """Sums of counts: of whole numbers, whose sum is wider here than there."""
    counts = {
        alias.alias
        for alias in query.find_all(exp.Alias)
        if isinstance(alias.this, exp.Count | exp.Filter) and alias.find(exp.Count)
    }
    for node in query.find_all(exp.Sum):
        inner = [each for each in node.this.find_all(exp.Column, exp.Count) if each.find_ancestor(exp.Cast) is None]
        if node.this.is_int or any(isinstance(each, exp.Count) or each.name in counts for each in inner):
            yield _fault("sum_of_counts", where, node, "sums of doubles", "write sum(cast(… as double))")


def _fault(code: str, where: str, node: exp.Expr, expected: str, hint: str) -> Violation:
    return Violation(code, where, expected, node.sql(dialect="duckdb")[:120], hint)
