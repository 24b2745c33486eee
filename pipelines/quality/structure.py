"""Types, required values, keys and years of typed rows, by polars.

Belongs here: checks that hold for every contract and follow from its columns and key. Does not belong here:
rules written in a contract (suite.py, warehouse), the conversion to types itself (SQL).
"""

import polars as pl

from pipelines.contracts.models import TableContract
from pipelines.quality.findings import Checked, RowRule, found, together

YEAR_UNIT = "year"
_ROWS_SHOWN = 20


def check_structure(
    values: pl.DataFrame, raw: pl.DataFrame, contract: TableContract, *, question_version: str | None = None
) -> Checked:
    """All checks of this module.

    Args:
        values: typed rows: `row_number` and every column of `contract` under its own name.
        raw: the same rows as sent with their `wave`, blanks null, sorted alike.
        question_version: columns of other versions need no value; None: every required column does.
    """
    return together(
        [
            _types(values, raw, contract),
            _required(values, raw, contract, question_version),
            _keys(values, contract),
            _years(values, raw, contract),
        ]
    )


def _type_words(dtype: pl.DataType) -> tuple[str, str, str]:
    if dtype.is_numeric():
        return "a_number", "a number", "숫자"
    if dtype == pl.Boolean:
        return "yes_no", "yes or no (Y, N)", "예/아니요(Y, N)"
    if dtype.is_temporal():
        return "a_date", "a date", "날짜"
    return "readable", "a value of this column", "이 열의 값"


def _types(values: pl.DataFrame, raw: pl.DataFrame, contract: TableContract) -> Checked:
    rules, findings = [], []
    for column in contract.columns:
        dtype = values.schema[column.name]
        name, words_en, words_ko = _type_words(dtype)
        rule = f"{column.name}_not_{name}"
        rules.append(
            RowRule(
                id=rule,
                # What a file may lack altogether costs no row where it cannot be read
                severity="warning" if column.optional else "error",
                column=column.name,
                message_ko=f"{column.label_ko}: {words_ko}(으)로 읽을 수 없는 값입니다.",
                message_en=f"{column.label_en}: cannot be read as {words_en}.",
                action_ko="제출처에 해당 칸을 수정하도록 요청하십시오.",
                action_en="have the sender correct the cell",
            )
        )
        broken = values.filter(values[column.name].is_null() & raw[column.name].is_not_null())
        findings.append(found(broken, rule))
    return Checked(tuple(rules), pl.concat(findings))


def _required(
    values: pl.DataFrame, raw: pl.DataFrame, contract: TableContract, question_version: str | None
) -> Checked:
    """Blank cells; one that was sent and cannot be read is found by its type."""
    rules, findings = [], [found(values.clear(), "")]
    for column in contract.columns:
        if not column.required or not (question_version is None or column.asked_in(question_version)):
            continue
        rule = f"{column.name}_not_null"
        rules.append(
            RowRule(
                id=rule,
                severity="error",
                column=column.name,
                message_ko=f"{column.label_ko}: 값이 비어 있습니다.",
                message_en=f"{column.label_en}: the value is missing.",
                action_ko="제출처에 값을 확인하고 파일을 다시 제출하도록 요청하십시오.",
                action_en="ask the sender for the value and have the file sent again",
            )
        )
        findings.append(found(values.filter(raw[column.name].is_null()), rule))
    return Checked(tuple(rules), pl.concat(findings))


def _keys(values: pl.DataFrame, contract: TableContract) -> Checked:
    """Rows of one key: where all are alike the first is kept; where they differ none can be trusted.

    A missing part of the key is not looked at here: the contract requires it, so its not-null rule finds it.
    """
    rules = (
        RowRule(
            id="duplicate_row",
            severity="error",
            column=None,
            message_ko="같은 내용의 행이 앞에 이미 있습니다.",
            message_en="The same row stands in the file before.",
            action_ko="첫 번째 행만 남으므로 따로 조치할 것은 없습니다. 제출처에 중복된 행을 삭제하도록 요청하십시오.",
            action_en="nothing: the first of the rows is kept; have the sender remove the repetition",
        ),
        RowRule(
            id="duplicate_unit",
            severity="error",
            column=None,
            message_ko="같은 조사 단위의 행이 서로 다른 내용으로 여러 번 있습니다.",
            message_en="The unit stands in several rows that contradict each other.",
            action_ko="제출처에 어느 행이 맞는지 확인하고 그 행만 남긴 파일을 다시 제출하도록 요청하십시오.",
            action_en="ask the sender which row is right and have the file sent again with that one only",
        ),
    )
    key = list(contract.key)
    if not key:
        return Checked((), found(values.clear(), "duplicate_row"))
    repeated = values.filter(pl.all_horizontal(pl.col(key).is_not_null()) & pl.struct(key).is_duplicated())
    units = repeated.group_by(key).agg(
        pl.struct(contract.column_names).n_unique().alias("contents"),
        pl.col("row_number").min().alias("first"),
        pl.col("row_number").sort().head(_ROWS_SHOWN).cast(pl.String).str.join(", ").alias("shown"),
        pl.len().alias("size"),
    )
    rows = repeated.select(*key, "row_number").join(units, on=key)
    more = pl.when(pl.col("size") > _ROWS_SHOWN).then(pl.lit(", …")).otherwise(pl.lit(""))
    detail = pl.format("rows {}{}", "shown", more)
    alike = pl.col("contents") == 1
    return Checked(
        rules,
        pl.concat(
            [
                found(
                    rows.filter(alike & (pl.col("row_number") > pl.col("first"))),
                    "duplicate_row",
                    detail=detail,
                ),
                found(rows.filter(~alike), "duplicate_unit", detail=detail),
            ]
        ),
    )


def _years(values: pl.DataFrame, raw: pl.DataFrame, contract: TableContract) -> Checked:
    """No year in a delivery lies after its wave: such a row belongs to a later one."""
    rules, findings = [], [found(values.clear(), "")]
    for column in contract.columns:
        if column.unit != YEAR_UNIT:
            continue
        rule = f"{column.name}_after_wave"
        rules.append(
            RowRule(
                id=rule,
                severity="error",
                column=column.name,
                message_ko=f"{column.label_ko}: 조사 차수보다 뒤의 연도입니다.",
                message_en=f"{column.label_en}: a year after the wave.",
                action_ko="파일이 이 차수의 것인지 확인하고 맞으면 제출처에 연도를 수정하도록 요청하십시오.",
                action_en="check that the file belongs to this wave; else have the sender correct the year",
            )
        )
        findings.append(found(values.filter(values[column.name] > raw["wave"]), rule))
    return Checked(tuple(rules), pl.concat(findings))
