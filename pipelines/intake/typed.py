"""Text as sent -> typed values, as a contract says that the cells of each column are to be read.

Belongs here: numbers, dates, truth values, lists, missing marks and flags in text, a column at a time. Does not belong
here: reading files (formats/), which rows and columns there are (records.py), rules on values (quality). What the two
surveys of this statistic send is typed by sql/staging; why: reports/decisions/0015.
"""

import ast
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

import polars as pl

from pipelines.contracts.cell_form import CellForm
from pipelines.contracts.compiler import polars_type
from pipelines.contracts.models import Column
from pipelines.errors import AxstatError
from pipelines.intake.table import BLANK

FLAG_SUFFIX = "_flag"
SHARE_UNIT, PERCENT_UNIT = "share", "percent"
_FLAG_JOINT = ";"
# As macro yes_no of sql/macros reads them.
_TRUTH = {"Y": True, "YES": True, "TRUE": True, "1": True, "N": False, "NO": False, "FALSE": False, "0": False}
_DATES = ("%Y-%m-%d", "%Y-%m-%d 00:00:00", "%Y-%m-%dT00:00:00")
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d")
_OLDEST_YEAR = 1000
# Answers are few texts many times over: where a text stands so often on average, each is read once and not every cell
_OFTEN = 4
_DAY = date(2001, 2, 3)
_QUOTED = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_PAIR = rf"(?s)^\s*[\[(]\s*({_QUOTED}|None|null)\s*,\s*({_QUOTED}|None|null)\s*[\])]\s*$"
# A flat list of texts and numbers: no item is a list, so that reading one cannot run deep
_NUMBER_ITEM = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_ITEMS = {"json": rf'(?:"(?:[^"\\\n]|\\.)*"|{_NUMBER_ITEM})', "python": rf"(?:{_QUOTED}|{_NUMBER_ITEM})"}
_READ: Mapping[str, Callable[[str], list[object]]] = {"json": json.loads, "python": ast.literal_eval}


@dataclass(frozen=True)
class TypedColumn:
    """One column typed.

    Attributes:
        values: null where there is no value, and where there is one that cannot be read.
        flags: what marks and flags say, several joined by ';'; None where the column has none.
        sent: the cells as sent where a value stands in them, else null: blank cells and missing marks.
    """

    values: pl.Series
    flags: pl.Series | None
    sent: pl.Series

    @property
    def blank(self) -> pl.Series:
        """Where nothing at all was sent, not even a mark."""
        return self.sent.is_null() if self.flags is None else self.sent.is_null() & self.flags.is_null()


def typed_column(sent: pl.Series, column: Column, form: CellForm) -> TypedColumn:
    """The cells of one column, typed.

    Args:
        sent: text, blanks null.
        column: its type and unit; a DOUBLE in per cent needs the unit 'share' or 'percent'.
        form: how its cells are written.

    Raises:
        AxstatError: a type or a form that does not fit the column.
    """
    dtype = polars_type(column.type)
    _check_fit(column, dtype, form)
    different = sent.drop_nulls().unique()
    if _OFTEN * len(different) > len(sent):
        return _typed(sent, column, dtype, form)
    made = _typed(different, column, dtype, form)
    places = sent.cast(pl.Enum(different)).to_physical()
    return TypedColumn(
        values=made.values.gather(places),
        flags=None if made.flags is None else made.flags.gather(places),
        sent=made.sent.gather(places),
    )


def _typed(sent: pl.Series, column: Column, dtype: pl.DataType, form: CellForm) -> TypedColumn:
    text, marks, readable = _split(sent, form)
    if dtype != pl.String or form.trim:
        text = text.str.strip_chars()
    has_value = text.is_not_null() | ~readable
    if isinstance(dtype, pl.List):
        values = _lists(text, dtype, column, form)
    else:
        values = pl.select(_values(pl.lit(text), dtype, column, form)).to_series()
    return TypedColumn(
        values=_kept(values.cast(dtype), readable).alias(column.name),
        flags=marks.alias(column.name + FLAG_SUFFIX) if form.has_flags else None,
        sent=_kept(sent, has_value).alias(column.name),
    )


def _kept(series: pl.Series, where: pl.Series) -> pl.Series:
    return pl.select(pl.when(where).then(series)).to_series()


def _check_fit(column: Column, dtype: pl.DataType, form: CellForm) -> None:
    inner = dtype.inner if isinstance(dtype, pl.List) else dtype
    faults = []
    if form.percent is not None and not (inner.is_float() and column.unit in (SHARE_UNIT, PERCENT_UNIT)):
        faults.append(("percent: a DOUBLE with unit share or percent", f"{column.type}, unit {column.unit}"))
    if form.truth and inner != pl.Boolean:
        faults.append(("truth: a BOOLEAN", column.type))
    if form.dates and not inner.is_temporal():
        faults.append(("dates: a DATE or TIMESTAMP", column.type))
    if (form.items is not None) != isinstance(dtype, pl.List):
        faults.append(("items, if and only if the type is a list such as VARCHAR[]", column.type))
    if inner == pl.Binary:
        faults.append(("a type that text can be read as", column.type))
    if faults:
        raise AxstatError(
            "reading_does_not_fit",
            where=f"column {column.name}, reading",
            expected="; ".join(expected for expected, _ in faults),
            got="; ".join(got for _, got in faults),
            hint="correct the column's type, unit or reading in the contract",
        )


def _split(sent: pl.Series, form: CellForm) -> tuple[pl.Series, pl.Series, pl.Series]:
    """The text of the value, what marks and flags say, and whether the cell has the form declared."""
    none = pl.Series([None], dtype=pl.String).new_from_index(0, len(sent))
    text, flag, readable = sent, none, sent.is_null() | True
    if form.flagged == "pair":
        text, flag = (_unquoted(sent.str.extract(_PAIR, group)) for group in (1, 2))
        readable = sent.is_null() | sent.str.contains(_PAIR)
    if form.html:
        text, flag = _unescaped(text), _unescaped(flag)
    text, flag = _without_blanks(text), _without_blanks(flag).str.strip_chars()
    marks = text.str.strip_chars()
    is_mark = marks.is_in(list(form.missing)).fill_null(value=False)
    if form.flags:
        one = "(?:" + "|".join(re.escape(key) for key in sorted(form.flags, key=len, reverse=True)) + ")"
        several = rf"{one}(?:[\s,;]*{one})*"
        if form.flagged == "suffix":
            ending = rf"(?s)^(.*?)\s*({several})\s*$"
            flag = _kept(text.str.extract(ending, 2), ~is_mark)
            value = _without_blanks(text.str.extract(ending, 1))
            text = pl.select(pl.when(flag.is_not_null()).then(value).otherwise(text)).to_series()
            marks = text.str.strip_chars()
            is_mark = marks.is_in(list(form.missing)).fill_null(value=False)
        else:
            readable &= flag.str.contains(f"^{several}$").fill_null(value=True)
        said = {
            letters: _FLAG_JOINT.join(form.flags[letter] for letter in re.findall(one, letters))
            for letters in flag.filter(readable).drop_nulls().unique().to_list()
        }
        flag = flag.replace_strict(said, default=None, return_dtype=pl.String)
    reason = _kept(marks, is_mark).replace_strict(dict(form.missing), default=None, return_dtype=pl.String)
    together = pl.select(pl.concat_str(reason, flag, separator=_FLAG_JOINT, ignore_nulls=True)).to_series()
    return _kept(text, ~is_mark), _without_blanks(together), readable


def _without_blanks(text: pl.Series) -> pl.Series:
    return _kept(text, ~text.str.contains(BLANK))


def _unescaped(text: pl.Series) -> pl.Series:
    return _by_value(text, html.unescape, where=text.str.contains("&", literal=True))


def _unquoted(literal: pl.Series) -> pl.Series:
    """The texts in quotes; one with a backslash in it is read as Python writes it."""
    plain = literal.str.slice(1, literal.str.len_chars() - 2)
    plain = _kept(plain, ~literal.is_in(["None", "null"]))
    escaped = literal.str.contains("\\", literal=True).fill_null(value=False)
    if not escaped.any():
        return plain
    read = _by_value(literal, lambda text: str(ast.literal_eval(text)), where=escaped)
    return pl.select(pl.when(escaped).then(read).otherwise(plain)).to_series()


def _by_value(text: pl.Series, change: Callable[[str], str], *, where: pl.Series) -> pl.Series:
    """`text` with every different value changed once, where it is asked for."""
    values = text.filter(where).unique().drop_nulls().to_list()
    return text.replace(values, [change(value) for value in values]) if values else text


def _values(text: pl.Expr, dtype: pl.DataType, column: Column, form: CellForm) -> pl.Expr:
    if dtype.is_numeric():
        return _numbers(text, dtype, column, form)
    if dtype == pl.Boolean:
        words = {word.upper(): value for word, value in form.truth.items()} or _TRUTH
        return text.str.to_uppercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if dtype == pl.Date:
        return _first_format(text, form.dates or _DATES, pl.Date(), column)
    if dtype.is_temporal():
        return _first_format(text, form.dates or _TIMES, pl.Datetime("us"), column)
    return text


def _numbers(text: pl.Expr, dtype: pl.DataType, column: Column, form: CellForm) -> pl.Expr:
    """Only what is a number in every character is one; a percentage becomes a share by moving its decimal mark, so
    that it is the double nearest to what was written."""
    text = text.str.replace("\u2212", "-", literal=True)
    if form.percent == "sign":
        text = text.str.extract(r"^(.*[0-9])\s*%$", 1)
    decimal = re.escape(form.decimal)
    plain = rf"^[-+]?(?:[0-9]+(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][-+]?[0-9]+)?$"
    if form.thousands == " ":
        text = text.str.replace_all("[\u00a0\u202f\u2009]", " ")
    if form.thousands is not None:
        mark = re.escape(form.thousands)
        grouped = rf"^[-+]?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{decimal}[0-9]*)?$"
        text = (
            pl.when(text.str.contains(grouped))
            .then(text.str.replace_all(form.thousands, "", literal=True))
            .otherwise(text)
        )
    text = pl.when(text.str.contains(plain)).then(text.str.replace(form.decimal, ".", literal=True))
    if dtype.is_integer():
        return text.str.replace(r"\.0*$", "").str.strip_prefix("+").cast(dtype, strict=False)
    if form.percent is not None and column.unit == SHARE_UNIT:
        mantissa = text.str.extract(r"^([^eE]*)", 1)
        exponent = text.str.extract(r"[eE](.*)$", 1).str.strip_prefix("+").cast(pl.Int32, strict=False).fill_null(0)
        text = pl.format("{}e{}", mantissa, exponent - 2)
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _first_format(text: pl.Expr, formats: Sequence[str], dtype: pl.Date | pl.Datetime, column: Column) -> pl.Expr:
    for written in formats:
        if not _gives_dates(written, dtype):
            raise AxstatError(
                "unknown_date_format",
                where=f"column {column.name}, reading.dates",
                expected="a format that holds year, month and day, such as %d.%m.%Y or %Y-%m-%d %H:%M",
                got=repr(written),
                hint="correct the format",
            )
    found = pl.coalesce(text.str.strptime(dtype, written, strict=False, exact=True) for written in formats)
    return pl.when(found.dt.year() >= _OLDEST_YEAR).then(found)


def _gives_dates(written: str, dtype: pl.Date | pl.Datetime) -> bool:
    """Whether a day written in the format is read as that day again; polars itself would read none and be silent."""
    day = pl.Series([datetime.combine(_DAY, time())])
    try:
        again = day.dt.to_string(written).str.strptime(dtype, written, strict=False, exact=True).cast(pl.Date)
        return bool(again[0] == _DAY)
    except pl.exceptions.PolarsError:
        return False


def _lists(text: pl.Series, dtype: pl.List, column: Column, form: CellForm) -> pl.Series:
    """Lists of values; null where the text is none or one of its items cannot be read."""
    if form.items is not None and form.items in _READ:
        lists = _written_lists(text, form.items)
    else:
        stripped = pl.element().str.strip_chars()
        lists = text.str.split(form.items or ",").list.eval(stripped.filter(stripped != ""))
    if dtype.inner == pl.String:
        return lists
    inner = polars_type(column.type.removesuffix("[]"))
    values = lists.list.eval(_values(pl.element().str.strip_chars(), inner, column, form))
    return _kept(values, ~values.list.eval(pl.element().is_null()).list.any().fill_null(value=False))


def _written_lists(text: pl.Series, notation: str) -> pl.Series:
    """Lists as JSON or Python writes them, items as text; null where the text is no flat list of texts and numbers."""
    item = _ITEMS[notation]
    text = _kept(text, text.str.contains(rf"^\s*\[\s*(?:{item}(?:\s*,\s*{item})*)?\s*\]\s*$"))
    one = pl.element()
    quoted = one.str.contains("^['\"]")
    lists = text.str.extract_all(item).list.eval(
        pl.when(quoted).then(one.str.slice(1, one.str.len_chars() - 2)).otherwise(one)
    )
    escaped = text.str.contains("\\", literal=True).fill_null(value=False)
    if not escaped.any():
        return lists
    read = {cell: _escaped_items(cell, notation) for cell in text.filter(escaped).unique().to_list()}
    with_escapes = pl.Series([read.get(cell) for cell in text.to_list()], dtype=pl.List(pl.String))
    return pl.select(pl.when(escaped).then(with_escapes).otherwise(lists)).to_series()


def _escaped_items(text: str, notation: str) -> list[str] | None:
    """A list with backslashes in it, read by the notation's own rules; it is flat, so that they need not recurse."""
    try:
        return [str(item) for item in _READ[notation](text.strip())]
    except (ValueError, SyntaxError):
        return None
