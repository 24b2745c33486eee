"""What the forms of a release need beyond the tables' own contracts, as the frozen model of `outputs.yaml`.

Belongs here: which tables go into SDMX, JSON-stat and KOSIS and under which identifiers, units and marks of those
forms, what the codebook says of the surveys, and the example queries. Does not belong here: columns, codes and labels
(the marts' contracts and code lists have them), writing a form (reporting).
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Publisher(_Part):
    """Who publishes, as SDMX's maintenance agency and KOSIS's organisation."""

    id: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    label_ko: str
    label_en: str


class SdmxTable(_Part):
    """A mart as an SDMX data set.

    Attributes:
        table: ``mart.<table>``; its key columns are the dimensions.
        id: of the data structure and the dataflow.
        value: the column that is OBS_VALUE.
    """

    table: str
    id: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    value: str


class SdmxForm(_Part):
    """SDMX-CSV and its structure message.

    Attributes:
        replaced: characters that SDMX identifiers may not have, and what stands in their place.
    """

    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    replaced: Mapping[str, str]
    tables: tuple[SdmxTable, ...] = Field(min_length=1)


class JsonStatForm(_Part):
    """JSON-stat cubes of one mart.

    Attributes:
        cubes: key columns that do not become dimensions: a cube for each combination of their values.
        figures: columns that the metric dimension names; the first carries the statuses.
        status: columns whose codes make a cell's status.
    """

    table: str
    cubes: tuple[str, ...] = Field(min_length=1)
    figures: tuple[str, ...] = Field(min_length=1)
    status: tuple[str, ...] = Field(min_length=1)


class KosisUnit(_Part):
    """How KOSIS writes a unit; `times` is what the mart's number is multiplied by, a power of ten."""

    label_ko: str
    label_en: str
    times: Literal[1, 100]


class KosisItem(_Part):
    """A figure of a KOSIS table: a column, and a unit of `KosisForm.units` where it is not the column's own."""

    column: str
    unit: str | None = None


class KosisTable(_Part):
    """One KOSIS table.

    Attributes:
        table: the mart it is from.
        where: column -> the codes that the table has of it.
        classifications: key columns that classify its rows, in order.
    """

    id: str = Field(pattern=r"^DT_[A-Z0-9_]+$")
    title_ko: str
    title_en: str
    table: str
    where: Mapping[str, tuple[str, ...]]
    classifications: tuple[str, ...] = Field(min_length=1, max_length=8)
    items: tuple[KosisItem, ...] = Field(min_length=1)


class KosisMarks(_Part):
    """What stands in place of a number: withheld, suppressed as unreliable, not there."""

    confidential: str
    suppressed: str
    missing: str


class KosisForm(_Part):
    """KOSIS-shaped long tables.

    Attributes:
        headers: KOSIS's name of a field -> its Korean header; `{n}` in both stands for the classification's number.
        period: KOSIS's code of yearly figures.
        synthetic: stands before the name of a table of made-up data.
        units: by code of `measurement_units`.
    """

    headers: Mapping[str, str]
    period: str
    synthetic: str
    marks: KosisMarks
    units: Mapping[str, KosisUnit]
    tables: tuple[KosisTable, ...] = Field(min_length=1)


class Study(_Part):
    """What the codebook says of both surveys beside their own contracts; `nation_code` as ISO 3166 has it."""

    nation_ko: str
    nation_en: str
    nation_code: str = Field(pattern=r"^[A-Z]{2}$")
    subject_ko: str
    subject_en: str
    data_kind_ko: str
    data_kind_en: str
    sampling_ko: str
    sampling_en: str
    weighting_ko: str
    weighting_en: str
    error_ko: str
    error_en: str


class ExampleQuery(_Part):
    """A question to the published file with its SQL."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title_ko: str
    title_en: str
    sql: str


class OutputForms(_Part):
    """`data_contracts/outputs.yaml`."""

    id: Literal["outputs"]
    version: str
    publisher: Publisher
    sdmx: SdmxForm
    json_stat: JsonStatForm
    kosis: KosisForm
    study: Study
    examples: tuple[ExampleQuery, ...] = Field(min_length=1)
