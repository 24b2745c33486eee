"""Rules of a contract, run by Great Expectations on typed rows.

Belongs here: rules -> suite -> rows that break them; the only module that knows the engine. Does not belong
here: types and keys (structure.py), what happens to the rows (rows.py).

The engine is imported inside `check_values`, once a process: it takes seconds, which no command should wait
for that checks nothing.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from pipelines.contracts.models import QualityRule
from pipelines.errors import AxstatError
from pipelines.quality.findings import FINDING_SCHEMA, Checked

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.data_context.types.base import ProgressBarsConfig

# Row numbers come back as labels of the pandas index: asked for by column name instead
# (unexpected_index_column_names), the engine builds a dict a row, some two hundred times slower.
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}


# About each value by itself
_OF_A_VALUE = frozenset(
    {
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_match_regex",
    }
)
# How often a value stands on average for which its column is worth the search for the different ones
_OFTEN = 4


def check_values(values: pl.DataFrame, rules: Sequence[QualityRule], *, contract: str) -> Checked:
    """The rows of `values` that break each of `rules`.

    Args:
        values: typed rows with `row_number` and the columns the rules name. Truth values are given to the
            engine as 'Y' and 'N', lists as text joined by ';', as contracts write them.
        rules: rules on rows; NULL breaks none but one that asks for a value.
        contract: how messages name the contract.

    Raises:
        AxstatError: a rule the engine does not know or cannot run, or one that is not about rows.
    """
    if values.is_empty() or not rules:
        return Checked.of_contract(rules, FINDING_SCHEMA.to_frame())
    named = {name for rule in rules for name in _columns(rule.kwargs)}
    written = values.select(_written(name, dtype) for name, dtype in values.schema.items() if name in named)
    different = _different_values(written, rules)
    of_values = [rule for rule in rules if rule.expectation in _OF_A_VALUE and rule.column in different.columns]
    known = {rule.id for rule in of_values}
    of_rows = [rule for rule in rules if rule.id not in known]
    asked = {name for rule in of_rows for name in _columns(rule.kwargs)}
    rows = _broken(written.select(name for name in written.columns if name in asked), of_rows, contract=contract)
    places = _broken(different, of_values, contract=contract)
    for rule in of_values:
        column = written[str(rule.column)]
        wrong = different[column.name].gather(places[rule.id])
        rows[rule.id] = column.is_in(wrong.implode()).arg_true().to_list() if len(wrong) else []
    findings = [
        pl.select(
            values["row_number"].gather(rows[rule.id]).cast(pl.Int64),
            pl.lit(rule.id).alias("rule"),
            pl.lit(None, dtype=pl.String).alias("detail"),
        )
        for rule in rules
    ]
    return Checked.of_contract(rules, pl.concat(findings))


def _different_values(written: pl.DataFrame, rules: Sequence[QualityRule]) -> pl.DataFrame:
    """Of columns that hold few values many times over, each value once; the shorter ones repeat one of theirs.

    What holds for a value holds in every row: rules on values need not look at each of a million rows.
    """
    columns = sorted({str(rule.column) for rule in rules if rule.expectation in _OF_A_VALUE} & {*written.columns})
    # One query, so that the columns are looked at side by side
    once = written.select(pl.col(columns).unique().implode())
    few = [values for name in columns if _OFTEN * len(values := once[name].item().alias(name)) <= written.height]
    longest = max(map(len, few), default=0)
    return pl.DataFrame([values.extend_constant(values[0], longest - len(values)) for values in few])


def _broken(frame: pl.DataFrame, rules: Sequence[QualityRule], *, contract: str) -> dict[str, list[int]]:
    """Places of the rows that break each rule, by the rule's id."""
    if not rules:
        return {}
    result = _validate(frame.to_pandas(), rules, contract=contract)
    rows = {
        str(one.expectation_config.meta["rule"]): _rows(one, contract=contract)
        for one in result.results
        if one.expectation_config is not None
    }
    if missing := [rule.id for rule in rules if rule.id not in rows]:
        raise _rule_error("rule_not_run", contract, ", ".join(missing), "a result for every rule", "none")
    return rows


def _columns(kwargs: Mapping[str, object]) -> Iterable[str]:
    for key in ("column", "column_A", "column_B", "column_list"):
        value = kwargs.get(key)
        yield from [value] if isinstance(value, str) else value if isinstance(value, list) else []


def _written(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        return pl.when(pl.col(name)).then(pl.lit("Y")).when(~pl.col(name)).then(pl.lit("N")).alias(name)
    if isinstance(dtype, pl.List):
        return pl.col(name).list.join(";")
    if dtype.is_integer():
        # The engine compares 64-bit numbers as a column, others one by one
        return pl.col(name).cast(pl.Int64)
    return pl.col(name)


def _validate(
    frame: "pd.DataFrame", rules: Sequence[QualityRule], *, contract: str
) -> "ExpectationSuiteValidationResult":
    # Imported before the engine, so that filters they set stay set when the block below is left.
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    with warnings.catch_warnings():
        # The engine uses deprecated parts of Python and pandas, and pandas remarks on groups in patterns that
        # are only searched for; nobody here can act on either.
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        import great_expectations as gx
        from great_expectations.exceptions.exceptions import GreatExpectationsError
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )
        from great_expectations.validator.v1_validator import Validator

        expectations = []
        for rule in rules:
            try:
                expectation = ExpectationConfiguration(
                    type=rule.expectation, kwargs=dict(rule.kwargs), meta={"rule": rule.id}
                ).to_domain_obj()
            except (GreatExpectationsError, ValueError, TypeError) as error:
                got = " ".join(str(error).split())
                raise _rule_error("invalid_rule", contract, rule.id, "an expectation the engine knows", got) from error
            expectations.append(expectation)
        suite = gx.ExpectationSuite(name=contract, expectations=expectations)
        # Not by way of a batch, which would be made, and its every value hashed, a second time to be validated
        validator = Validator(
            batch_definition=_frames(), batch_parameters={"dataframe": frame}, result_format=_RESULT_FORMAT
        )
        return validator.validate_expectation_suite(suite)


@cache
def _frames() -> "BatchDefinition[Any]":
    """The engine's way to a frame handed over, in a context that writes nothing and calls nobody; made once."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    # A plain dict, because the engine asks it with `in` although it declares a class of its own.
    context.variables.progress_bars = cast("ProgressBarsConfig", {"globally": False, "metric_calculations": False})
    asset = context.data_sources.add_pandas(name="frames").add_dataframe_asset(name="rows")
    return asset.add_batch_definition_whole_dataframe("all")


def _rows(result: Any, *, contract: str) -> list[int]:
    """Row numbers that one expectation found; a crash of the engine, which looks like a failure, raises."""
    rule = str(result.expectation_config.meta["rule"])
    crash = _crash(result.exception_info)
    if crash is not None:
        raise _rule_error("rule_crashed", contract, rule, "a rule that runs on these columns", crash)
    if "unexpected_index_list" not in result.result:
        got = f"{result.expectation_config.type}, which is about the table as a whole"
        raise _rule_error("rule_without_rows", contract, rule, "a rule on rows", got)
    return [int(row) for row in result.result["unexpected_index_list"] or ()]


def _crash(info: Mapping[str, Any] | None) -> str | None:
    """What went wrong inside the engine: one record, or one for each of its metrics."""
    if not info:
        return None
    records = [info] if "raised_exception" in info else list(info.values())
    messages = [str(record["exception_message"]) for record in records if record.get("raised_exception")]
    return "; ".join(messages) if messages else None


def _rule_error(code: str, contract: str, rule: str, expected: str, got: str) -> AxstatError:
    return AxstatError(
        code,
        where=f"contract {contract}, rule {rule}",
        expected=expected,
        got=got,
        hint="correct the rule's type and kwargs in the contract (data_contracts/deliveries)",
    )
