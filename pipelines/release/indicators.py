"""The quality indicators of a release: those made at its release, how all are described, and which are missing.

Belongs here: rows of `mart.quality_indicator` that need published tables, supplied values or earlier releases, and the
list of what is missing. Does not belong here: indicators of microdata, which the run of a wave makes (orchestration),
or a formula (stats, sql/indicators).

Two kinds are made here. `own_indicators` rest on the release's own tables and on supplied values: if they change, so
does the release. `history_indicators` also rest on the releases before and on days that are recorded later: they alone
never make a new vintage.
"""

import datetime
from collections.abc import Mapping, Sequence

import polars as pl

from pipelines.contracts.classifications import Item
from pipelines.contracts.library import ContractLibrary
from pipelines.release.timeliness import timeliness
from pipelines.release.vintages import Vintage
from pipelines.stats.revisions import average_revision
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import query_marts

INDICATORS = "quality_indicators"
# What is known of an indicator before it is described
FOUND = {
    "survey": pl.String, "wave": pl.Int32, "indicator": pl.String, "domain_type": pl.String, "domain_code": pl.String,
    "value": pl.Float64, "reason": pl.String,
}  # fmt: skip
_REASON_TEXTS = ("reason_ko", "reason_en")
_NOT_SUPPLIED = "not_supplied"
_NOT_APPLICABLE = "not_applicable"


def indicator_rows(found: pl.DataFrame, *, library: ContractLibrary, statements: SqlCatalogue) -> pl.DataFrame:
    """Rows of `mart.quality_indicator`: what was found, with unit, labels, definition, reason and source.

    Args:
        found: survey, wave, indicator, domain_type, domain_code, value, reason (a code of `indicator_reasons`; NULL
            where there is a value); reason_ko and reason_en if the code's own label does not say it.

    Raises:
        AxstatError: an indicator or a reason that no list has.
    """
    reasons = library.classifications["indicator_reasons"]
    described = [_described(item, statements) for item in library.classifications[INDICATORS].items]
    texts = pl.DataFrame(
        [(item.code, item.label_ko, item.label_en) for item in reasons.items],
        schema=["reason", "text_ko", "text_en"],
        orient="row",
    )
    for name, listed in (("indicator", library.classifications[INDICATORS]), ("reason", reasons)):
        for code in found[name].drop_nulls().unique().sort():
            listed.item(code)
    own = [pl.lit(None, pl.String).alias(name) for name in _REASON_TEXTS if name not in found.columns]
    return (
        found.with_columns(own)
        .join(pl.DataFrame(described), on="indicator", how="left", maintain_order="left")
        .join(texts, on="reason", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("reason_ko", "text_ko").alias("reason_ko"),
            pl.coalesce("reason_en", "text_en").alias("reason_en"),
        )
        .select(library.marts["mart.quality_indicator"].column_names)
    )


def _described(item: Item, statements: SqlCatalogue) -> Mapping[str, str | None]:
    by, source = item.properties["by"], item.properties["source"]
    rests_on = item.properties.get("rests_on", "")
    if by == "query":
        statement = statements[source]
        source, rests_on = statement.body, ", ".join(statement.reads)
    return {
        "indicator": item.code,
        "unit": item.properties["unit"],
        "label_ko": item.label_ko,
        "label_en": item.label_en,
        "definition_ko": item.description_ko,
        "definition_en": item.description_en,
        "source_kind": by,
        "source": source,
        "rests_on": rests_on,
    }


def own_indicators(
    marts: Mapping[str, pl.DataFrame], *, library: ContractLibrary, statements: SqlCatalogue
) -> pl.DataFrame:
    """Indicators that queries of the release's tables give, and supplied ones; rows of `mart.quality_indicator`.

    Args:
        marts: tables of the release by name without schema.
    """
    waves = _waves(marts)
    parts = []
    for item in library.classifications[INDICATORS].items:
        if item.properties["by"] == "query":
            statement = statements[item.properties["source"]]
            answer = query_marts({name: marts[name.removeprefix("mart.")] for name in statement.reads}, statement.sql)
            rows = waves.join(answer, on=["survey", "wave"], how="left", maintain_order="left").with_columns(
                pl.when(pl.col("value").is_null())
                .then(pl.lit(item.properties.get("no_value"), pl.String))
                .alias("reason"),
                *(pl.lit(None, pl.String).alias(name) for name in _REASON_TEXTS),
            )
        elif item.properties["by"] == "supplied":
            rows = pl.DataFrame([_supplied(item.code, row, library) for row in waves.iter_rows(named=True)])
        else:
            continue
        parts.append(_placed(rows.with_columns(pl.lit(item.code).alias("indicator")), library))
    return indicator_rows(pl.concat(parts), library=library, statements=statements)


def _supplied(indicator: str, row: Mapping[str, object], library: ContractLibrary) -> Mapping[str, object]:
    survey, wave = str(row["survey"]), int(str(row["wave"]))
    entry = library.quality_values.supplied(indicator, survey=survey, wave=wave)
    reason = None
    if entry is None or entry.value is None:
        reason = _NOT_SUPPLIED if entry is None else _NOT_APPLICABLE
    return {
        "survey": survey,
        "wave": wave,
        "value": None if entry is None else entry.value,
        "reason": reason,
        "reason_ko": None if entry is None else entry.reason_ko,
        "reason_en": None if entry is None else entry.reason_en,
    }


def history_indicators(
    revisions: pl.DataFrame,
    deliveries: pl.DataFrame,
    *,
    vintage: Vintage,
    releases: Sequence[Vintage],
    library: ContractLibrary,
    statements: SqlCatalogue,
) -> pl.DataFrame:
    """A6 and TP1 to TP3 of every survey and wave of the release; rows of `mart.quality_indicator`.

    Args:
        revisions: `mart.revision` of the release.
        deliveries: `meta.delivery_file`, waves up to the release's.
        vintage: the release that is being made. releases: those that stand already.
    """
    printed = revisions.filter("is_headline")
    waves = printed.select("survey", "wave").unique().sort("survey", "wave")
    rows: list[Mapping[str, object]] = []
    for survey, wave in waves.iter_rows():
        rows += [
            {"survey": survey, "wave": wave, **row}
            for row in (
                *_revision_sizes(printed.filter(pl.col("wave") <= wave, survey=survey), vintage),
                *_lags(deliveries, survey, wave, vintage=vintage, releases=releases, library=library),
            )
        ]
    known = {name: type_ for name, type_ in FOUND.items() if not name.startswith("domain")}
    frame = pl.DataFrame(rows, schema=known | dict.fromkeys(_REASON_TEXTS, pl.String))
    return indicator_rows(_placed(frame, library), library=library, statements=statements)


def _revision_sizes(printed: pl.DataFrame, vintage: Vintage) -> list[Mapping[str, object]]:
    """Between the first print and this release's, over the reference years that were printed before; in points."""
    ordered = printed.sort("wave", "publication_order")
    again = ordered.filter(pl.col("vintage") == str(vintage), pl.col("change_from_first_pp").is_not_null())
    first = ordered.filter(pl.col("previous_vintage").is_null())
    pairs = again.join(first.select("wave", pl.col("estimate").alias("first")), on="wave", how="left").sort("wave")
    size = average_revision(100.0 * pairs["first"].to_numpy(), 100.0 * pairs["estimate"].to_numpy())
    values = (None, None, None) if size is None else (size.mean, size.mean_absolute, size.relative_mean_absolute)
    reason = "printed_once" if size is None else "estimate_zero"
    return [
        {"indicator": code, "value": value, "reason": reason if value is None else None}
        for code, value in zip(("A6_MR", "A6_MAR", "A6_RMAR"), values, strict=True)
    ]


def _lags(
    deliveries: pl.DataFrame,
    survey: str,
    wave: int,
    *,
    vintage: Vintage,
    releases: Sequence[Vintage],
    library: ContractLibrary,
) -> list[Mapping[str, object]]:
    files = deliveries.filter(
        survey=survey, wave=wave, status="current", contract=library.surveys[survey].contracts.response
    )
    end: datetime.date = files["collection_end"].max()  # type: ignore[assignment]
    of_wave = sorted({release for release in (*releases, vintage) if release.wave == wave})
    lags = timeliness(
        reference_end=end,
        announced=library.calendar.publication_dates.get(wave),
        # A wave whose own release was never made is first printed here
        releases=[str(release) for release in of_wave] or [str(vintage)],
        being_made=str(vintage),
        published_on=library.quality_values.published_on,
    )
    return [
        {"indicator": code, "value": None if lag.days is None else float(lag.days), "reason": lag.reason}
        for code, lag in lags.items()
    ]


def _waves(marts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return marts["adoption_rate"].select("survey", "wave").unique().sort("survey", "wave")


def _placed(rows: pl.DataFrame, library: ContractLibrary) -> pl.DataFrame:
    """Rows about a survey as a whole, in the columns of FOUND and the reason in words."""
    totals = pl.DataFrame(
        [
            (name, survey.headline.domain_type, domain.code)
            for name, survey in library.surveys.items()
            for domain in survey.domains
            if domain.type == survey.headline.domain_type
        ],
        schema=["survey", "domain_type", "domain_code"],
        orient="row",
    )
    return rows.join(totals, on="survey", how="left", maintain_order="left").select(
        pl.col(name).cast(type_) for name, type_ in FOUND.items()
    )


def missing_indicators(table: pl.DataFrame, *, printed: pl.DataFrame, library: ContractLibrary) -> pl.DataFrame:
    """What a release's `mart.quality_indicator` lacks: every indicator of the code list is required of each wave.

    Args:
        table: rows of `mart.quality_indicator`.
        printed: any table of the release with survey and wave, such as `mart.adoption_rate`: what it prints.

    Returns:
        survey, wave, indicator, label_en and ``problem``: 'no row', 'neither value nor reason', 'both value and reason'
        or 'value is not finite'; no rows where nothing is missing.
    """
    listed = library.classifications[INDICATORS].items
    required = pl.DataFrame(
        [(item.code, item.label_en) for item in listed], schema=["indicator", "label_en"], orient="row"
    )
    wanted = printed.select("survey", "wave").unique().join(required, how="cross")
    key = ["survey", "wave", "indicator"]
    totals = [survey.headline.domain_type for survey in library.surveys.values()]
    there = table.filter(pl.col("domain_type").is_in(totals)).select(*key, "value", "reason", pl.lit(True).alias("row"))
    has_value, has_reason = pl.col("value").is_not_null(), pl.col("reason").is_not_null()
    problem = (
        pl.when(pl.col("row").is_null())
        .then(pl.lit("no row"))
        .when(~has_value & ~has_reason)
        .then(pl.lit("neither value nor reason"))
        .when(has_value & has_reason)
        .then(pl.lit("both value and reason"))
        .when(has_value & ~pl.col("value").is_finite())
        .then(pl.lit("value is not finite"))
    )
    checked = wanted.join(there, on=key, how="left").with_columns(problem.alias("problem"))
    return checked.filter(pl.col("problem").is_not_null()).select(*key, "label_en", "problem").sort(key)
