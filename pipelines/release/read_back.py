"""The forms of a release read back from its folder, as frames in the shape of the marts they were made from.

Belongs here: reading what a release folder holds. Does not belong here: comparing it (equality), writing it (reporting,
warehouse).

A form is read as its users would: by its own headers, codes and labels. What cannot be read raises; `equality` makes a
finding of it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.outputs import KosisTable, SdmxTable
from pipelines.contracts.surveys import Survey
from pipelines.release.forms import sdmx_file
from pipelines.reporting.data import ReportData
from pipelines.reporting.json_stat import FIGURE, STATUS_SEPARATOR
from pipelines.reporting.kosis import kosis_headers
from pipelines.reporting.sdmx import code_ids, component_id
from pipelines.reporting.sentences import unit_names, weighting_text
from pipelines.reporting.texts import Texts
from pipelines.warehouse.published import query_published

Marts = Mapping[str, pl.DataFrame]
# Columns of a rate in the workbook, each under a heading of its name
SHEET_FIGURES = ("estimate", "ci_low", "ci_high", "se")


def read_database(folder: Path, name: str) -> pl.DataFrame:
    """A table of the published DuckDB file."""
    return query_published(folder / "axstat.duckdb", f'select * from mart."{name}"')


def read_parquet(folder: Path, name: str) -> pl.DataFrame:
    """A Parquet file."""
    return pl.read_parquet(folder / "parquet" / f"{name}.parquet")


def read_csv(folder: Path, name: str) -> pl.DataFrame:
    """A CSV file, every cell text."""
    return pl.read_csv(folder / "csv" / f"{name}.csv", infer_schema=False)


def read_sdmx(folder: Path, entry: SdmxTable, library: ContractLibrary, marts: Marts) -> pl.DataFrame:
    """An SDMX-CSV file under the names and codes of its mart, every cell text; an unknown code stays as it is."""
    rows = pl.read_csv(folder / "sdmx" / sdmx_file(entry.table), infer_schema=False)
    names = {component_id(entry, column): column for column in library.marts[entry.table].column_names}
    found = rows.select(pl.col(rows.columns[3:])).rename(names, strict=False)
    codes = {
        column: {id_: code for code, id_ in ids.items()} for column, ids in code_ids(entry, library, marts).items()
    }
    return found.with_columns(pl.col(name).replace(codes[name]) for name in found.columns if name in codes)


def read_json_stat(folder: Path, library: ContractLibrary) -> pl.DataFrame:
    """The cubes that the collection lists, laid out as rows: key, figures, statuses."""
    form = library.outputs.json_stat
    name = form.table.partition(".")[2]
    collection = json.loads((folder / "jsonstat" / f"{name}.json").read_text(encoding="utf-8"))
    cubes = [
        json.loads((folder / "jsonstat" / item["href"]).read_text(encoding="utf-8"))
        for item in collection["link"]["item"]
    ]
    return pl.concat([_cube_rows(cube, form.cubes, form.status) for cube in cubes], how="vertical_relaxed")


def _cube_rows(cube: Mapping[str, Any], cubes: tuple[str, ...], statuses: tuple[str, ...]) -> pl.DataFrame:
    names = [name for name in cube["id"] if name != FIGURE]
    figures = cube["dimension"][FIGURE]["category"]["index"]
    sizes = [len(cube["dimension"][name]["category"]["index"]) for name in names]
    cells = math.prod(sizes)
    at = pl.int_range(cells, eager=True)
    columns = [pl.lit(cube["extension"][name]).alias(name) for name in cubes]
    for place, name in enumerate(names):
        codes = pl.Series(cube["dimension"][name]["category"]["index"], dtype=pl.String)
        columns.append(pl.lit(codes.gather(at // math.prod(sizes[place + 1 :]) % sizes[place])).alias(name))
    values = pl.Series(cube["value"], dtype=pl.Float64, strict=False)
    for place, name in enumerate(figures):
        columns.append(pl.lit(values.gather_every(len(figures), place)).alias(name))
    said = cube.get("status", {})
    status = pl.Series([said.get(str(cell * len(figures))) for cell in range(cells)], dtype=pl.String)
    rows = pl.select(*columns, pl.lit(status).alias("_status"))
    there = rows.filter(pl.any_horizontal(pl.col(*figures, "_status").is_not_null()))
    parts = pl.col("_status").fill_null(cube["extension"]["status"]["default"]).str.split(STATUS_SEPARATOR)
    return there.with_columns(parts.list.get(place).alias(name) for place, name in enumerate(statuses)).drop("_status")


def read_kosis(folder: Path, table: KosisTable, library: ContractLibrary) -> pl.DataFrame:
    """A KOSIS table: classifications under their columns' names, wave, and a text column an item."""
    rows = pl.read_csv(folder / "kosis" / f"{table.id}.csv", infer_schema=False)
    headers = kosis_headers(table, library)
    named = {headers[f"C{number}"]: name for number, name in enumerate(table.classifications, start=1)}
    key = [*table.classifications, "wave"]
    chosen = rows.rename({**named, headers["PRD_DE"]: "wave"}).select(*key, headers["ITM_ID"], headers["DT"])
    items = [item.column for item in table.items]
    return chosen.pivot(on=headers["ITM_ID"], on_columns=items, index=key, values=headers["DT"], maintain_order=True)


@dataclass(frozen=True, kw_only=True)
class SheetRows:
    """A table of the workbook: rows of mart.adoption_rate with their key, `n` and `SHEET_FIGURES`, every cell text."""

    name: str
    rows: pl.DataFrame


def read_workbook(folder: Path, printed: ReportData, texts: Texts) -> Iterator[SheetRows]:
    """The tables of rates by domain and by measure, under the codes that their English labels stand for.

    Args:
        texts: the English texts, for the headings.
    """
    book = fastexcel.read_excel(folder / "axstat.xlsx")
    names = set(book.table_names())
    for survey in printed.surveys.values():
        for part in ("domains", "measures"):
            name = f"{survey.survey}_{part}"
            if f"axstat_{name}" in names:
                yield SheetRows(name=name, rows=_sheet_rows(_cells(book, name), part, survey, printed, texts))


def _cells(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    """A table's cells as text; numbers in full, which the reader's own text of them is not."""
    texts, numbers = (
        pl.DataFrame(book.load_table(f"axstat_{name}", dtypes=dtype, eager=True)) for dtype in ("string", "float")
    )
    return texts.select(
        pl.coalesce(pl.lit(numbers.get_column(name)).cast(pl.String), pl.col(name)).alias(name)
        for name in texts.columns
    )


def _sheet_rows(sheet: pl.DataFrame, part: str, survey: Survey, printed: ReportData, texts: Texts) -> pl.DataFrame:
    # The English heading is the last line
    english = {name.split("\n")[-1]: name for name in sheet.columns}
    words = unit_names(survey, texts.language)

    def column(key: str, weighting: str | None = None) -> pl.Expr:
        group = f"{weighting_text(survey, weighting, texts)}: " if weighting else ""
        return pl.col(english[f"{group}{texts(f'tables.column.{key}', **words)}"])

    made = []
    for weighting in survey.unit_weightings:
        labels = (
            [column("domain").alias("_domain"), column("domain_type").alias("_type")]
            if part == "domains"
            else [column("measure").alias("_measure")]
        )
        made.append(
            sheet.select(
                *labels,
                pl.lit(weighting).alias("unit_weighting"),
                column("n").alias("n"),
                *(column(figure, weighting).alias(figure) for figure in SHEET_FIGURES),
            )
        )
    return _coded(pl.concat(made), part, survey, printed)


def _coded(rows: pl.DataFrame, part: str, survey: Survey, printed: ReportData) -> pl.DataFrame:
    headline = survey.headline
    if part == "measures":
        codes = {label: code for code, label in printed.marts["measure"].select("measure", "label_en").iter_rows()}
        return rows.select(
            pl.lit(headline.domain_type).alias("domain_type"),
            pl.col("_measure").replace(codes).alias("measure"),
            pl.exclude("_measure"),
        )
    types = {item.label_en: item.code for item in printed.classifications["domain_types"].items}
    domains = printed.marts["domain"].filter(pl.col("survey") == survey.survey)
    return (
        rows.with_columns(pl.col("_type").replace(types).alias("domain_type"))
        .join(
            domains.select("domain_type", pl.col("label_en").alias("_domain"), "domain_code"),
            on=["domain_type", "_domain"],
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("domain_code").fill_null(pl.col("_domain")), pl.lit(headline.measure).alias("measure"))
        .drop("_domain", "_type")
    )
