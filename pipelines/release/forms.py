"""The further forms of a release's tables: SDMX, JSON-stat, KOSIS, and the metadata of the CSV files and of all tables.

Belongs here: which of them a release folder holds, and where. Does not belong here: how a form is written (reporting).
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.reporting.codebook import write_codebook
from pipelines.reporting.csvw import write_csvw
from pipelines.reporting.data import ReportData
from pipelines.reporting.json_stat import write_json_stat
from pipelines.reporting.kosis import write_kosis
from pipelines.reporting.sdmx import write_sdmx_csv, write_structure
from pipelines.warehouse.published import SYNTHETIC_REMARK

CODEBOOK = "codebook.xml"
STRUCTURE = "structure.xml"


def write_forms(folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData) -> None:
    """Write the forms into a release folder that has its `csv/` already; the same tables give the same bytes.

    Args:
        marts: published tables by name without schema, without what may not be printed (`printable`), as
            `publishable` gives them.
        printed: the same release as the report has it: dates and what it is called.
    """
    remark = SYNTHETIC_REMARK if printed.synthetic else None
    published = printed.publication_date
    for name in ("sdmx", "jsonstat", "kosis"):
        (folder / name).mkdir()
    for entry in library.outputs.sdmx.tables:
        write_sdmx_csv(entry, library, marts, folder / "sdmx" / sdmx_file(entry.table))
    write_structure(
        library,
        marts,
        folder / "sdmx" / STRUCTURE,
        release=printed.release,
        published=published,
        synthetic=printed.synthetic,
        remark=remark,
    )
    write_json_stat(library, marts, folder / "jsonstat", release=printed.release, published=published, remark=remark)
    write_kosis(library, marts, folder / "kosis", published=published, synthetic=printed.synthetic)
    write_csvw(library, marts, folder / "csv", release=printed.release, published=published, remark=remark)
    write_codebook(
        library,
        dict(sorted(marts.items())),
        folder / CODEBOOK,
        wave=printed.wave,
        release=printed.release,
        published=published,
        collection=printed.collection,
        remark=remark,
    )


def sdmx_file(table: str) -> str:
    """The SDMX-CSV file of a mart, e.g. ``adoption_rate.csv``."""
    return f"{table.partition('.')[2]}.csv"
