"""Where a published number is from, told from the release folder alone.

Belongs here: finding the cell or the figure that an id names, and the chain behind it: statements and functions,
contracts, deliveries, rows in and out, weights, program. Does not belong here: what made a table
(provenance), ids (reporting.cell_ids).

The files that are read are first held against the hashes of the release's manifest: a chain that ends in a changed file
explains nothing.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.errors import AxstatError
from pipelines.release.provenance import PROVENANCE
from pipelines.release.vintages import Vintage, file_sha256, parse_vintage, read_manifest, vintages
from pipelines.reporting.cell_ids import SEPARATOR, cell_id, parse_cell_id

_OF_RELEASE = re.compile(r"^(?P<vintage>\d{4}\.\d+)[/-](?P<rest>.+)$")
_FIGURE = re.compile(
    r'<figure id="(?P<name>[^"]+)"[^>]* data-cells="(?P<cells>[^"]*)">(?P<body>.*?)</figure>', re.DOTALL
)
# The report whose figures are looked up; the others have the same ones
_REPORT = "report.en.html"
_WAVES = ("wave", "wave_before", "origin_wave")


@dataclass(frozen=True)
class Cell:
    """One published row: its id and every column that is not in the id."""

    id: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class Step:
    """A table on the way to the cell: what makes it, from which tables, under which version of its contract."""

    table: str
    title: str
    contract_version: str
    made_by: tuple[Mapping[str, str], ...]
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The chain behind a cell, or behind the cells of a figure.

    Attributes:
        id: what was asked for, with its release.
        cells: the published rows.
        steps: tables from the mart back to the deliveries, nearest first.
        deliveries, balance: rows of the manifest for the surveys and waves of the cells.
        weights: rows of mart.weight_diagnostic with number and sum of weights after each step, of the same.
        manifest: of the release.
    """

    id: str
    cells: tuple[Cell, ...]
    steps: tuple[Step, ...]
    deliveries: tuple[Mapping[str, Any], ...]
    balance: tuple[Mapping[str, Any], ...]
    weights: tuple[Mapping[str, Any], ...]
    manifest: Mapping[str, Any]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.id
        if self.manifest["synthetic"]:
            yield "SYNTHETIC DATA: made up, no statement about the country"
        for cell in self.cells:
            yield f"\n{cell.id}"
            yield from (f"  {name}: {'not there' if value is None else value}" for name, value in cell.values.items())
        yield "\nmade by"
        for step in self.steps:
            yield f"  {step.table} ({step.title}), contract {step.contract_version}"
            yield from (
                f"    {made['kind']} {made['name']}, {made['file']}, sha256 {made['sha256']}" for made in step.made_by
            )
            yield f"    from {', '.join(step.reads) or 'contracts and files'}"
        yield "\ndeliveries"
        for row in self.deliveries:
            yield (
                f"  {row['delivery']}/{row['file_name']}: {row['contract']}, {row['rows_in']} rows, {row['status']}, "
                f"sha256 {row['file_sha256']}"
            )
        yield "\nrows"
        for row in self.balance:
            yield (
                f"  {row['survey']} {row['wave']} {row['contract']}: {row['rows_in']} in = {row['core']} used + "
                f"{row['quarantined']} quarantined + {row['rejected']} rejected + {row['superseded']} superseded"
            )
        yield "\nweights"
        for row in self.weights:
            yield f"  {row['survey']} {row['wave']} after {row['step']}: {row['diagnostic']} {row['value']}"
        made = self.manifest["made_with"]
        yield f"\nrelease {self.manifest['release']}, {self.manifest['publication_date']}"
        yield f"  axstat {made['axstat']}, git revision {made['git_revision']}"
        yield f"  lock file sha256 {made['lock_sha256']}"
        yield f"  content sha256 {self.manifest['content_sha256']}"


def explain(published: Path, asked: str) -> Explanation:
    """What is behind a cell (``adoption_rate/industry/2025/…``) or a figure (its name or its number).

    Args:
        published: the folder of all releases.
        asked: the id; with a vintage before it (``2025.1/…``, ``2025.1-F03``) of that release, else of the latest.

    Raises:
        AxstatError: no such release, cell or figure; a file of the release that is not the one it was published with.
    """
    vintage, rest = _release_of(published, asked)
    folder, manifest = published / str(vintage), read_manifest(published, vintage)
    tables = _json(folder, manifest, PROVENANCE)["tables"]
    named, key = parse_cell_id(rest)
    if f"mart.{named}" in tables:
        ids = [(named, key)]
    else:
        ids = [parse_cell_id(one) for one in _cells_of_figure(folder, manifest, rest)]
    cells = [_cell(folder, manifest, tables, table, key) for table, key in ids]
    scope = {one for table, key in ids for one in _scope(tables[f"mart.{table}"]["key"], key)}
    weights = _read(folder, manifest, "weight_diagnostic").filter(pl.col("diagnostic").is_in(["n", "sum"]))
    surveys = {survey for survey, _ in scope}
    balance = manifest["rows"]["balance"]
    # A statement reads both surveys; a cell of one does not rest on what the other delivered
    foreign = {row["contract"] for row in balance if surveys and row["survey"] not in surveys}
    return Explanation(
        id=f"{vintage}{SEPARATOR}{rest}",
        cells=tuple(cells),
        steps=tuple(_steps(tables, sorted({f"mart.{table}" for table, _ in ids}), foreign)),
        deliveries=tuple(row for row in manifest["deliveries"] if (row["survey"], row["wave"]) in scope),
        balance=tuple(row for row in balance if (row["survey"], row["wave"]) in scope),
        weights=tuple(row for row in weights.to_dicts() if (row["survey"], row["wave"]) in scope),
        manifest=manifest,
    )


def _release_of(published: Path, asked: str) -> tuple[Vintage, str]:
    match = _OF_RELEASE.match(asked)
    if match is not None:
        return parse_vintage(match["vintage"]), match["rest"]
    there = vintages(published)
    if not there:
        raise AxstatError(
            "nothing_published",
            where=str(published),
            expected="a published release",
            got="none",
            hint="run `axstat run --all` (or `make report`) first",
        )
    return there[-1], asked


def _read(folder: Path, manifest: Mapping[str, Any], table: str) -> pl.DataFrame:
    return pl.read_parquet(_verified(folder, manifest, f"parquet/{table}.parquet"))


def _json(folder: Path, manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(_verified(folder, manifest, name).read_text(encoding="utf-8"))
    return found


def _verified(folder: Path, manifest: Mapping[str, Any], name: str) -> Path:
    """A file of the release, which is the one it was published with."""
    path, stated = folder / name, manifest["files"].get(name)
    got = file_sha256(path) if path.is_file() else "no file"
    if got != stated:
        raise AxstatError(
            "published_file_changed",
            where=f"{manifest['release']}/{name}",
            expected=f"the file with sha256 {stated}" if stated else "a release that has this file",
            got=got,
            hint=f"bring it back from the backup, or see `axstat replay {manifest['release']}`",
        )
    return path


def _cells_of_figure(folder: Path, manifest: Mapping[str, Any], name: str) -> Sequence[str]:
    text = _verified(folder, manifest, _REPORT).read_text(encoding="utf-8")
    figures = list(_FIGURE.finditer(text))
    number = f"{manifest['release']}-{name}"
    for figure in figures:
        if figure["name"] == name or re.search(rf"\b{re.escape(number)}\b", figure["body"]):
            if not figure["cells"]:
                raise AxstatError(
                    "figure_without_cells",
                    where=f"{manifest['release']}/{figure['name']}",
                    expected="a figure that is drawn from single cells",
                    got="one that is made of others",
                    hint="ask for a cell of the table behind it",
                )
            return unescape(figure["cells"]).split(" ")
    known = ", ".join(figure["name"] for figure in figures)
    raise AxstatError(
        "unknown_id",
        where=str(manifest["release"]),
        expected=f"a cell, such as adoption_rate/industry/…, or one of the figures {known}",
        got=name,
        hint="the id stands under each figure; the section on provenance says how cells are named",
    )


def _cell(folder: Path, manifest: Mapping[str, Any], tables: Mapping[str, Any], table: str, key: Sequence[str]) -> Cell:
    names = tables[f"mart.{table}"]["key"]
    rows = _read(folder, manifest, table)
    if len(key) != len(names):
        example = rows.select(names).row(0) if rows.height else names
        raise AxstatError(
            "incomplete_id",
            where=f"{table}{SEPARATOR}{SEPARATOR.join(key)}",
            expected=f"the {len(names)} parts {SEPARATOR.join(names)}, for instance {cell_id(table, example)}",
            got=f"{len(key)} part(s)",
            hint="name every part, in this order",
        )
    found = rows.filter(*[pl.col(name).cast(pl.String) == value for name, value in zip(names, key, strict=True)])
    if found.height != 1:
        near = rows
        for name, value in zip(names, key, strict=True):
            if (narrower := near.filter(pl.col(name).cast(pl.String) == value)).height == 0:
                known = near[name].cast(pl.String).unique().sort().head(12).to_list()
                raise AxstatError(
                    "unknown_id",
                    where=f"{manifest['release']}/{cell_id(table, key)}",
                    expected=f"{name}: one of {', '.join(known)}",
                    got=value,
                    hint="the release has no such cell; correct this part of the id",
                )
            near = narrower
    [row] = found.to_dicts()
    return Cell(cell_id(table, key), {name: value for name, value in row.items() if name not in names})


def _scope(names: Sequence[str], key: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Surveys and waves that a cell is about."""
    of = dict(zip(names, key, strict=True))
    if "survey" in of:
        yield from ((of["survey"], int(of[name])) for name in _WAVES if name in of)


def _steps(tables: Mapping[str, Any], marts: Sequence[str], foreign: Collection[str]) -> Iterator[Step]:
    """The tables behind some marts, nearest first, each once, without those of ``foreign`` deliveries."""
    waiting, seen = list(marts), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        table = tables[name]
        reads = [one for one in table["reads"] if one.partition(".")[2].removeprefix("edited_") not in foreign]
        yield Step(
            table=name,
            title=table["title_en"],
            contract_version=table["contract_version"],
            made_by=tuple(table["made_by"]),
            reads=tuple(reads),
        )
        waiting += reads
