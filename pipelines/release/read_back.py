"""The forms of a release read back from its folder, as frames in the shape of the marts they were made from.

Belongs here: reading what a release folder holds. Does not belong here: comparing it (equality), writing it (reporting,
warehouse).

A form is read as its users would: by its own headers, codes and labels. What cannot be read raises; `equality` makes a
finding of it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
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
from pipelines.warehouse.published import read_published

DATABASE, WORKBOOK = "axstat.duckdb", "axstat.xlsx"
Marts = Mapping[str, pl.DataFrame]
# Column -> the values that a table has of it
_Where = Mapping[str, Sequence[str | int]]
# Figures of a rate in the workbook, each under the heading of its name, and their factor: an SE is in points there
_RATE: Mapping[str, int] = MappingProxyType({"estimate": 1, "ci_low": 1, "ci_high": 1, "se": 100})
# Column of mart.progress -> the heading of its figure in the workbook
_PROGRESS: Mapping[str, str] = MappingProxyType(
    {
        "target": "target", "estimate": "estimate", "gap_pp": "gap", "gap_se_pp": "gap_se",
        "share_of_distance": "share_of_distance", "observed_pp_per_year": "observed",
        "observed_se_pp": "observed_se", "required_pp_per_year": "required", "progress_ratio": "ratio",
    }
)  # fmt: skip


def read_database(folder: Path) -> dict[str, pl.DataFrame]:
    """The tables of the published DuckDB file."""
    return read_published(folder / DATABASE)


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
    """A table of the workbook under the names and codes of the mart it is from, every cell text.

    Attributes:
        mart: name without schema.
        where: column -> the values that the table has of it.
        key: columns that tell its rows apart.
        times: figure -> what the mart's number is multiplied by in the workbook.
    """

    name: str
    mart: str
    where: _Where
    key: tuple[str, ...]
    times: Mapping[str, int]
    rows: pl.DataFrame


def read_workbook(folder: Path, printed: ReportData, texts: Texts) -> list[SheetRows]:
    """The tables of rates by domain, measure and field, and that of progress; labels are read as the codes they name.

    Args:
        texts: the English texts, for the headings.
    """
    book = fastexcel.read_excel(folder / WORKBOOK)
    found = []
    for survey in printed.surveys.values():
        headline, code = survey.headline, survey.survey
        parts: list[tuple[str, Sequence[str], Sequence[str]]] = [
            ("domains", [domain.type for domain in survey.domains if not domain.measures], [headline.measure]),
            ("measures", [headline.domain_type], list(printed.marts["measure"]["measure"])),
        ]
        parts += [(domain.type, [domain.type], [measure]) for domain in survey.domains for measure in domain.measures]
        for part, domain_types, measures in parts:
            where: _Where = {
                "survey": [code], "wave": [printed.wave], "base": [headline.base], "domain_type": domain_types,
                "measure": measures,
            }  # fmt: skip
            expected = printed.marts["adoption_rate"].filter(_where(where))
            if expected.height:
                rows = _rates(_cells(book, f"{code}_{part}"), survey, where, printed, texts)
                key = ("survey", "domain_type", "domain_code", "measure", "unit_weighting")
                rates = SheetRows(
                    name=f"{code}_{part}", mart="adoption_rate", where=where, key=key, times=_RATE, rows=rows
                )
                # One number of respondents stands for all weightings: that of the first
                first = survey.unit_weightings[0]
                counts = replace(
                    rates,
                    where={**where, "unit_weighting": [first]},
                    times={"n": 1},
                    rows=rows.filter(pl.col("unit_weighting") == first),
                )
                found += [rates, counts]
    where = _progress_rows(printed)
    if printed.marts["progress"].filter(_where(where)).height:
        found.append(_progress(_cells(book, "progress"), where, printed, texts))
    return found


def _where(where: _Where) -> list[pl.Expr]:
    return [pl.col(name).is_in(list(values)) for name, values in where.items()]


def chosen(sheet: SheetRows, printed: ReportData) -> pl.DataFrame:
    """The rows of the mart that a table of the workbook has."""
    return printed.marts[sheet.mart].filter(_where(sheet.where))


def _cells(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    """A table's cells as text; numbers in full, which the reader's own text of them is not."""
    texts, numbers = (
        pl.DataFrame(book.load_table(f"axstat_{name}", dtypes=dtype, eager=True)) for dtype in ("string", "float")
    )
    return texts.select(
        pl.coalesce(pl.lit(numbers.get_column(name)).cast(pl.String), pl.col(name)).alias(name)
        for name in texts.columns
    )


def _by_english(sheet: pl.DataFrame) -> dict[str, str]:
    """Last line of a heading, which is English -> the heading."""
    return {name.split("\n")[-1]: name for name in sheet.columns}


def _rates(
    sheet: pl.DataFrame,
    survey: Survey,
    where: _Where,
    printed: ReportData,
    texts: Texts,
) -> pl.DataFrame:
    """A row a domain or measure and weighting; what no column names is what the whole table is about."""
    english = _by_english(sheet)
    words = unit_names(survey, texts.language)

    def heading(key: str) -> str:
        return texts(f"tables.column.{key}", **words)

    labels = {
        column: english[heading(key)]
        for column, key in (("domain_code", "domain"), ("domain_type", "domain_type"), ("measure", "measure"))
        if heading(key) in english
    }
    fixed = {
        "survey": survey.survey, "domain_type": where["domain_type"][0], "measure": where["measure"][0],
        # A table without domains is of the total
        "domain_code": next((domain.code for domain in survey.domains if domain.type == where["domain_type"][0]), None),
    }  # fmt: skip
    made = [
        sheet.select(
            *(pl.col(name).alias(column) for column, name in labels.items()),
            *(pl.lit(value).alias(column) for column, value in fixed.items() if column not in labels),
            pl.lit(weighting).alias("unit_weighting"),
            pl.col(english[heading("n")]).alias("n"),
            *(
                pl.col(english[f"{weighting_text(survey, weighting, texts)}: {heading(figure)}"]).alias(figure)
                for figure in _RATE
            ),
        )
        for weighting in survey.unit_weightings
    ]
    return _coded(pl.concat(made), list(labels), printed)


def _progress_rows(printed: ReportData) -> _Where:
    """Which rows of mart.progress the workbook has: headlines of domains that are no crosses."""
    headlines = [survey.headline for survey in printed.surveys.values()]
    return {
        "wave": [printed.wave],
        "domain_type": [
            domain.type for survey in printed.surveys.values() for domain in survey.domains
            if len(domain.columns) < 2 and not domain.measures
        ],
        "measure": [headline.measure for headline in headlines],
        "unit_weighting": [headline.unit_weighting for headline in headlines],
    }  # fmt: skip


def _progress(sheet: pl.DataFrame, where: _Where, printed: ReportData, texts: Texts) -> SheetRows:
    english = _by_english(sheet)
    labels = {"domain_code": "domain", "domain_type": "domain_type", "survey": "survey"}
    rows = sheet.select(
        *(pl.col(english[texts(f"tables.column.{key}")]).alias(column) for column, key in labels.items()),
        *(pl.col(english[texts(f"tables.column.{key}")]).alias(column) for column, key in _PROGRESS.items()),
    )
    names = {survey.short_label_en: code for code, survey in printed.surveys.items()}
    coded = rows.with_columns(pl.col("survey").replace(names))
    return SheetRows(
        name="progress",
        mart="progress",
        where=where,
        key=("survey", "domain_type", "domain_code"),
        times=dict.fromkeys(_PROGRESS, 1),
        rows=_coded(coded, list(labels), printed),
    )


def _coded(rows: pl.DataFrame, labelled: Sequence[str], printed: ReportData) -> pl.DataFrame:
    """English labels replaced by the codes they stand for; a label that stands for none stays."""
    measures = {label: code for code, label in printed.marts["measure"].select("measure", "label_en").iter_rows()}
    types = {item.label_en: item.code for item in printed.classifications["domain_types"].items}
    made = rows.with_columns(
        pl.col(name).replace(codes)
        for name, codes in (("measure", measures), ("domain_type", types))
        if name in labelled
    )
    if "domain_code" not in labelled:
        return made
    place = ["survey", "domain_type"]
    domains = printed.marts["domain"].select(
        *place, pl.col("label_en").alias("domain_code"), pl.col("domain_code").alias("_code")
    )
    joined = made.join(domains, on=[*place, "domain_code"], how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("_code", "domain_code").alias("domain_code")).drop("_code")
