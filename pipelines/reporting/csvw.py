"""Metadata of the CSV files of a release, as CSV on the Web has it: types, keys, codes, labels in both languages.

Belongs here: the one file `csv-metadata.json` beside the CSV files. Does not belong here: the CSV files (warehouse),
what a column means (the marts' contracts).
"""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Column, TableContract

METADATA = "csv-metadata.json"
_TYPES: Mapping[str, object] = MappingProxyType(
    {
        "VARCHAR": "string",
        "INTEGER": "integer",
        "BIGINT": "long",
        "DOUBLE": "double",
        "BOOLEAN": {"base": "boolean", "format": "true|false"},
    }
)
# Tables whose key explains columns of the others
_LABELS = ("mart.domain", "mart.measure")


def write_csvw(
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    folder: Path,
    *,
    release: str,
    published: datetime.date,
    remark: str | None = None,
) -> None:
    """Describe the CSV files of a folder, `<table>.csv` for each table.

    Args:
        marts: published tables by name without schema.
        remark: stands as a comment on all of them, e.g. that the data are synthetic.

    Raises:
        KeyError: a column of a type that no mart has.
    """
    publisher = library.outputs.publisher
    content: dict[str, Any] = {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "dc:identifier": release,
        "dc:issued": {"@value": published.isoformat(), "@type": "xsd:date"},
        "dc:publisher": _both(publisher.label_en, publisher.label_ko),
        **({"rdfs:comment": remark} if remark else {}),
        "dialect": {"encoding": "utf-8", "header": True, "delimiter": ",", "doubleQuote": True},
        "tables": [_table(library.marts[f"mart.{name}"], library, marts) for name in sorted(marts)],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (folder / METADATA).write_text(text + "\n", encoding="utf-8")


def _table(contract: TableContract, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    own = _name(contract)
    labels = [library.marts[name] for name in _LABELS if name != contract.name and name.partition(".")[2] in marts]
    return {
        "url": f"{own}.csv",
        "dc:title": _both(contract.title_en, contract.title_ko),
        "dc:description": contract.description,
        "dc:license": contract.licence,
        "tableSchema": {
            "columns": [_column(column) for column in contract.columns],
            "primaryKey": list(contract.key),
            "foreignKeys": [
                {
                    "columnReference": list(other.key),
                    "reference": {"resource": f"{_name(other)}.csv", "columnReference": list(other.key)},
                }
                for other in labels
                if set(other.key) <= set(contract.key) and _refers(marts[own], marts[_name(other)], other.key)
            ],
        },
    }


def _refers(frame: pl.DataFrame, other: pl.DataFrame, key: Sequence[str]) -> bool:
    """True when every row finds its own in the other table; one of all domains together is in no list of domains."""
    return frame.join(other, on=list(key), how="anti").is_empty()


def _name(contract: TableContract) -> str:
    return contract.name.partition(".")[2]


def _column(column: Column) -> dict[str, Any]:
    datatype = _TYPES[column.type]
    if column.codes and column.type == "VARCHAR":
        datatype = {"base": "string", "format": "|".join(re.escape(code.value) for code in column.codes)}
    descriptions = [("en", column.description), ("ko", column.description_ko)]
    return {
        "name": column.name,
        # Headers are names; the labels stand beside them under their languages
        "titles": {"und": column.name, "en": column.label_en, "ko": column.label_ko},
        "dc:description": [{"@value": text, "@language": language} for language, text in descriptions if text],
        "datatype": datatype,
        "null": "",
        "required": column.required,
    }


def _both(en: str, ko: str) -> list[dict[str, str]]:
    return [{"@value": en, "@language": "en"}, {"@value": ko, "@language": "ko"}]
