"""Outside series -> rows of `core.benchmark`: stored replies by their contracts, and figures copied by hand.

Belongs here: what in a reply is an observation, its vintage and status. Does not belong here: formats (replies.py),
storing rows (warehouse), comparing them with ours (marts).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipelines.contracts.models import Column
from pipelines.contracts.series import ALL, PLACES, Observations, Series
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.series.replies import READERS
from pipelines.intake.series.store import StoredReply, reply_faults, stored_replies
from pipelines.intake.table import TextTable
from pipelines.intake.typed import typed_column

# SDMX's code of observation status for a value without any remark, and of one that is missing
NORMAL, MISSING, BREAK = "A", "M", "B"
_JOINT = ";"
_SHOWN = 5
_EXPECTED = {"unknown_flag": "flags that `statuses` of the contract names", "unreadable_value": "numbers"}


def benchmark_rows(series: Mapping[str, Series], root: Path) -> pl.DataFrame:
    """Every observation of every series, each vintage of it: the columns of core.benchmark but the order.

    Args:
        root: `Settings.benchmarks_dir`; without it there are the copied figures alone.

    Raises:
        ViolationsError: everything that is wrong with any stored reply.
    """
    frames: list[pl.DataFrame] = []
    violations: list[Violation] = []
    for one in series.values():
        if one.values:
            frames.append(_described(_copied(one), one))
            continue
        try:
            for folder, manifest in stored_replies(root, one.id):
                frames.append(_described(reply_rows(one, folder, manifest), one))
        except ViolationsError as error:
            violations.extend(error.violations)
    if violations:
        raise ViolationsError("outside series", violations)
    key = ["series", *PLACES]
    rows = pl.concat(frames)
    return rows.with_columns((pl.col("vintage") == pl.col("vintage").max().over(key)).alias("is_latest"))


def reply_rows(series: Series, folder: Path, manifest: StoredReply) -> pl.DataFrame:
    """The observations of one stored reply, without what its series says of all of them.

    Raises:
        ViolationsError: bytes that are not those of the manifest, what the reader found, columns, codes or values that
            the contract does not have.
    """
    assert series.request is not None
    assert series.observations is not None
    if faults := reply_faults(folder, manifest):
        raise ViolationsError(f"series {series.id}", faults)
    file = f"benchmarks/{series.id}/{folder.name}/{manifest.file}"
    table = READERS[series.request.format](folder / manifest.file, FileForm(encoding=None), file=file)
    rows = _observed(table, series.observations, file=file)
    return rows.with_columns(
        pl.lit(manifest.retrieved_at).alias("vintage"),
        pl.lit("retrieved").alias("vintage_kind"),
        pl.lit(manifest.sha256).alias("file_sha256"),
        pl.lit(None, dtype=pl.Int64).alias("n"),
        pl.lit(None, dtype=pl.String).alias("note"),
        pl.lit(series.source).alias("source"),
    ).select(*_ROW)


def _observed(table: TextTable, how: Observations, *, file: str) -> pl.DataFrame:
    headers = list(table.headers)
    asked = {*how.columns.values(), *how.only, how.value, *([how.status] if how.status else [])}
    if missing := sorted(asked - set(headers)):
        expected, got = f"the columns {', '.join(missing)}", f"the columns {', '.join(headers)}"
        raise ViolationsError(file, [_fault(file, "missing_column", expected, got)])
    cells = {name: table.frame[f"c{headers.index(name)}"] for name in asked}
    value = typed_column(
        cells[how.value],
        Column(name="value", label_ko="값", label_en="value", description="value", type="DOUBLE", unit=how.unit),
        how.cells,
    )
    flags = cells[how.status] if how.status else value.flags
    if flags is None:
        flags = pl.Series([None], dtype=pl.String).new_from_index(0, len(value.values))
    status, unknown = _status(value.values, flags, how.statuses)
    places, faults = _places(cells, how, rows=table.frame.height, file=file)
    for name, known in how.only.items():
        faults.append(_strays(cells[name], known, "unknown_value", f"{file}, column {name}"))
    faults.append(_strays(unknown, (), "unknown_flag", f"{file}, column {how.status or how.value}"))
    unreadable = value.sent.filter(value.values.is_null()).drop_nulls()
    faults.append(_strays(unreadable, (), "unreadable_value", f"{file}, column {how.value}"))
    rows = places.with_columns(
        value.values.alias("value"),
        pl.lit(how.unit).alias("unit"),
        status.alias("obs_status"),
        flags.alias("obs_flag"),
    ).filter(pl.col("value").is_not_null() | pl.col("obs_flag").is_not_null())
    # Rows of unknown codes are no rows to look further at
    if found := [fault for fault in faults if fault is not None] or _row_faults(rows, how, file=file):
        raise ViolationsError(file, found)
    return rows


def _places(
    cells: Mapping[str, pl.Series], how: Observations, *, rows: int, file: str
) -> tuple[pl.DataFrame, list[Violation | None]]:
    """What each row is of, in our codes, and the codes that the contract does not have."""
    places: list[pl.Series] = []
    faults: list[Violation | None] = []
    for name in PLACES:
        column = how.columns.get(name)
        sent = pl.repeat(how.fixed.get(name, ALL), rows, eager=True) if column is None else cells[column]
        if name in how.codes:
            known = how.codes[name]
            faults.append(_strays(sent, tuple(known), "unknown_code", f"{file}, column {column or name} ({name})"))
            sent = sent.replace_strict(dict(known), default=None, return_dtype=pl.String)
        places.append(sent.alias(name))
    return pl.DataFrame(places).with_columns(pl.col("ref_year").cast(pl.Int32, strict=False)), faults


def _status(values: pl.Series, flags: pl.Series, known: Mapping[str, str]) -> tuple[pl.Series, pl.Series]:
    """SDMX's status of each value, several joined by ';', and the flags that the contract does not know."""
    normal = pl.select(pl.when(values.is_null()).then(pl.lit(MISSING)).otherwise(pl.lit(NORMAL))).to_series()
    different = flags.drop_nulls().unique().sort().to_list()
    # Letters may stand together without a mark between: bu
    parts = {
        flag: [flag] if flag in known else [part for part in flag if not part.isspace() and part not in ",;"]
        for flag in different
    }
    unknown = [flag for flag, letters in parts.items() if any(letter not in known for letter in letters)]
    codes = {
        flag: _JOINT.join(known[letter] for letter in letters) for flag, letters in parts.items() if flag not in unknown
    }
    said = flags.replace_strict(codes, default=None, return_dtype=pl.String)
    said = pl.select(
        pl.when(values.is_null() & said.is_not_null())
        .then(pl.concat_str(pl.lit(MISSING + _JOINT), said))
        .otherwise(said)
    ).to_series()
    return said.fill_null(normal), pl.Series(unknown, dtype=pl.String)


def _strays(sent: pl.Series, known: Sequence[str], code: str, where: str) -> Violation | None:
    """The texts that are none of those known."""
    strays = sent.fill_null("(nothing)").unique().sort()
    strays = strays.filter(~strays.is_in(list(known)))
    if strays.is_empty():
        return None
    got = ", ".join(repr(text) for text in strays.head(_SHOWN))
    return _fault(where, code, ", ".join(known[:20]) or _EXPECTED[code], f"{len(strays)} other(s): {got}")


def _row_faults(rows: pl.DataFrame, how: Observations, *, file: str) -> list[Violation]:
    found = []
    if years := rows["ref_year"].null_count():
        found.append(_fault(f"{file}, ref_year", "unreadable_year", "years such as 2025", f"{years} that are none"))
    outside = rows.filter(~pl.col("value").is_between(0, 1 if how.unit == "share" else float("inf")))
    if outside.height:
        got = ", ".join(f"{value:g}" for value in outside["value"].head(_SHOWN))
        found.append(_fault(f"{file}, column {how.value}", "value_outside", f"a {how.unit}", got))
    twice = rows.filter(pl.struct(PLACES).is_duplicated())
    if twice.height:
        first = " / ".join(str(part) for part in twice.select(PLACES).row(0))
        found.append(
            _fault(file, "repeated_observation", "one value a place and year", f"{twice.height} rows, e.g. {first}")
        )
    return found


def _fault(where: str, code: str, expected: str, got: str) -> Violation:
    return Violation(
        code=code,
        where=where,
        expected=expected,
        got=got,
        hint="look at what the office changed, then correct the series' contract (data_contracts/benchmarks)",
    )


def _copied(series: Series) -> pl.DataFrame:
    rows = [
        {
            **{name: getattr(one, name) for name in PLACES},
            # By way of its digits: 57.1 / 100 is not 0.571
            "value": float(f"{one.percent!r}e-2") if one.count is None else float(one.count),
            "unit": "share" if one.count is None else "count",
            "obs_status": BREAK if one.break_before else NORMAL,
            "obs_flag": None,
            "vintage": one.published,
            "vintage_kind": "published",
            "file_sha256": None,
            "n": one.n,
            "note": one.note,
            "source": one.source or series.source,
        }
        for one in series.values
    ]
    return pl.DataFrame(rows, schema=_ROW)


def _described(rows: pl.DataFrame, series: Series) -> pl.DataFrame:
    """The rows with what their series says of all of them."""
    least = pl.lit(series.definition.min_employees, dtype=pl.Int32).alias("min_employees")
    return rows.with_columns(least).with_columns(
        pl.lit(text, dtype=pl.String).alias(name)
        for name, text in (
            ("series", series.id),
            ("contract_version", series.version),
            ("compared_with", series.compared_with),
            ("statistical_unit", series.definition.statistical_unit),
            ("size_cutoff", series.definition.size_cutoff),
            ("question_form", series.definition.question),
            ("sample_kind", series.definition.sample),
            ("definition_ko", series.definition.wording_ko),
            ("definition_en", series.definition.wording_en),
            ("licence", series.licence),
        )
    )


_ROW = pl.Schema(
    {
        **dict.fromkeys(PLACES, pl.String()),
        "ref_year": pl.Int32(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "obs_status": pl.String(),
        "obs_flag": pl.String(),
        "vintage": pl.String(),
        "vintage_kind": pl.String(),
        "file_sha256": pl.String(),
        "n": pl.Int64(),
        "note": pl.String(),
        "source": pl.String(),
    }
)
