"""Marts as SDMX-CSV 2.0, and the SDMX-ML 3.0 structure message that explains them.

Belongs here: which column is which component, identifiers, code lists, and writing both files. Does not belong here:
which marts (contract `outputs.yaml`), labels and codes (the marts' contracts).

The key of a mart is the dimensions, `wave` the TIME_PERIOD; numbers are measures at the observation, of which one is
OBS_VALUE; text is attributes. A value that is NULL, withheld ones among them, is an empty field: no value is reported,
and OBS_STATUS and CONF_STATUS say why. Codes of those two are SDMX's own, in capitals as its lists have them.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import polars as pl
from lxml import etree
from pysdmx.io.xml.sdmx30.writer.structure import write
from pysdmx.model import (
    Agency,
    AgencyScheme,
    Code,
    Codelist,
    Component,
    Components,
    Concept,
    ConceptScheme,
    Dataflow,
    DataStructureDefinition,
    DataType,
    ItemReference,
    Organisation,
    Role,
)
from pysdmx.model.message import Header

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Code as ContractCode
from pipelines.contracts.models import Column
from pipelines.contracts.outputs import OutputForms, SdmxTable
from pipelines.errors import AxstatError
from pipelines.reporting.code_lists import codes_by_column

TIME_PERIOD, OBS_VALUE = "TIME_PERIOD", "OBS_VALUE"
_SDMX_OWN = ("obs_status", "conf_status")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_@$\-]+")
_TYPES: Mapping[str, DataType] = MappingProxyType(
    {"DOUBLE": DataType.DOUBLE, "BIGINT": DataType.LONG, "INTEGER": DataType.INTEGER, "VARCHAR": DataType.STRING}
)
_Artefact = AgencyScheme | Codelist | ConceptScheme | DataStructureDefinition | Dataflow
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_COMMON = "{http://www.sdmx.org/resources/sdmxml/schemas/v3_0/common}"


def component_id(entry: SdmxTable, column: str) -> str:
    """The component that a column is: TIME_PERIOD, OBS_VALUE, or its name in capitals."""
    return TIME_PERIOD if column == "wave" else OBS_VALUE if column == entry.value else column.upper()


def code_id(code: str, column: str, forms: OutputForms) -> str:
    """A code as an SDMX identifier.

    Raises:
        AxstatError: a character that SDMX does not allow and `outputs.yaml` does not replace.
    """
    if column in _SDMX_OWN:
        return code.upper()
    made = code
    for character, text in forms.sdmx.replaced.items():
        made = made.replace(character, text)
    if not _IDENTIFIER.fullmatch(made):
        raise AxstatError(
            "sdmx_identifier",
            where=f"code of {column}",
            expected="letters without accents, digits, _, -, @, $",
            got=code,
            hint="say under sdmx.replaced of data_contracts/outputs.yaml what stands for the character",
        )
    return made


def code_ids(
    entry: SdmxTable, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> Mapping[str, Mapping[str, str]]:
    """Column -> code -> SDMX identifier, for the coded columns of a table.

    Raises:
        AxstatError: two codes of a column with the same identifier.
    """
    made: dict[str, dict[str, str]] = {}
    for column, codes in codes_by_column(library.marts[entry.table], marts).items():
        ids = {code.value: code_id(code.value, column, library.outputs) for code in codes}
        if len(set(ids.values())) < len(ids):
            raise AxstatError(
                "sdmx_identifier",
                where=f"codes of {column}",
                expected="one identifier a code",
                got="two codes with the same",
                hint="choose other texts under sdmx.replaced of data_contracts/outputs.yaml",
            )
        made[column] = ids
    return MappingProxyType(made)


def sdmx_rows(entry: SdmxTable, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of a table's SDMX-CSV file: STRUCTURE, STRUCTURE_ID, ACTION, dimensions, measures, attributes."""
    table = library.marts[entry.table]
    ids = code_ids(entry, library, marts)
    ordered = [
        column for role in (Role.DIMENSION, Role.MEASURE, Role.ATTRIBUTE) for column in _of(entry, library, role)
    ]
    structure = f"{library.outputs.publisher.id}:{entry.id}({library.outputs.sdmx.version})"
    return marts[table.name.partition(".")[2]].select(
        pl.lit("dataflow").alias("STRUCTURE"),
        pl.lit(structure).alias("STRUCTURE_ID"),
        pl.lit("I").alias("ACTION"),
        *(
            (pl.col(column.name).replace_strict(ids[column.name]) if column.name in ids else pl.col(column.name)).alias(
                component_id(entry, column.name)
            )
            for column in ordered
        ),
    )


def write_sdmx_csv(entry: SdmxTable, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], target: Path) -> None:
    """One table as SDMX-CSV 2.0: UTF-8, codes without labels, an empty field where there is no value."""
    sdmx_rows(entry, library, marts).write_csv(target)


def write_structure(
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    target: Path,
    *,
    release: str,
    published: datetime.date,
    synthetic: bool,
    remark: str | None = None,
) -> None:
    """The SDMX-ML 3.0 structure message of all SDMX tables: agency, code lists, concepts, data structures, dataflows.

    Names and descriptions are in English and Korean. The header is dated by the day of publication and says `Test`
    of synthetic data.

    Args:
        marts: published tables by name without schema.
        remark: ends every dataflow's description, e.g. that the data are synthetic.
    """
    made = _Structures(library, marts, remark)
    header = Header(
        id=f"{library.outputs.publisher.id}_{release}".replace(".", "_"),
        test=synthetic,
        prepared=datetime.datetime.combine(published, datetime.time(), datetime.UTC),
        sender=Organisation(id=library.outputs.publisher.id),
    )
    text = write(made.artefacts(), prettyprint=True, header=header)
    if text is None:
        raise AxstatError(
            "no_structure", where=target.name, expected="an SDMX-ML message", got="nothing", hint="report the fault"
        )
    target.write_bytes(_with_korean(text, made.korean))


def _role(entry: SdmxTable, column: Column, key: tuple[str, ...]) -> Role:
    if column.name in key:
        return Role.DIMENSION
    return Role.ATTRIBUTE if column.type == "VARCHAR" else Role.MEASURE


def _of(entry: SdmxTable, library: ContractLibrary, role: Role) -> list[Column]:
    """Columns of a role; the time is the last dimension, OBS_VALUE the first measure."""
    table = library.marts[entry.table]
    found = [column for column in table.columns if _role(entry, column, table.key) == role]
    return sorted(found, key=lambda column: (column.name == "wave", column.name != entry.value))


@dataclass
class _Structures:
    """The artefacts under construction, and the Korean of each: by kind, scheme and id, name and description."""

    library: ContractLibrary
    marts: Mapping[str, pl.DataFrame]
    remark: str | None

    def __post_init__(self) -> None:
        forms = self.library.outputs
        self.agency, self.version = forms.publisher.id, forms.sdmx.version
        self.korean: dict[tuple[str, str, str], tuple[str, str | None]] = {}
        self.codelists: dict[str, Codelist] = {}

    def artefacts(self) -> list[_Artefact]:
        """All of them, what is referred to before what refers to it."""
        publisher = self.library.outputs.publisher
        self.korean["Agency", "AGENCIES", self.agency] = (publisher.label_ko, None)
        self.korean["AgencyScheme", "", "AGENCIES"] = (publisher.label_ko, None)
        data_sets = [made for entry in self.library.outputs.sdmx.tables for made in self._data_set(entry)]
        agencies = AgencyScheme(
            agency="SDMX", name=publisher.label_en, items=[Agency(id=self.agency, name=publisher.label_en)]
        )
        return [agencies, *self.codelists.values(), *data_sets]

    def _data_set(self, entry: SdmxTable) -> list[_Artefact]:
        """Concepts, data structure and dataflow of a table."""
        table = self.library.marts[entry.table]
        codes = codes_by_column(table, self.marts)
        ids = code_ids(entry, self.library, self.marts)
        scheme = f"CS_{entry.id}"
        concepts, components = [], []
        for role in (Role.DIMENSION, Role.MEASURE, Role.ATTRIBUTE):
            for column in _of(entry, self.library, role):
                id_ = component_id(entry, column.name)
                listed = (
                    self._codelist(entry, column, codes[column.name], ids[column.name])
                    if column.name in codes
                    else None
                )
                concepts.append(Concept(id=id_, name=column.label_en, description=column.description))
                self.korean["Concept", scheme, id_] = (column.label_ko, column.description_ko)
                reference = ItemReference(
                    sdmx_type="Concept", agency=self.agency, id=scheme, version=self.version, item_id=id_
                )
                components.append(
                    Component(
                        id=id_,
                        required=role is Role.DIMENSION or column.required,
                        role=role,
                        concept=reference,
                        local_dtype=None if listed else DataType.YEAR if id_ == TIME_PERIOD else _TYPES[column.type],
                        local_codes=listed,
                        attachment_level="O" if role is Role.ATTRIBUTE else None,
                    )
                )
        self.korean["ConceptScheme", "", scheme] = (table.title_ko, None)
        for kind in ("DataStructure", "Dataflow"):
            self.korean[kind, "", entry.id] = (table.title_ko, None)
        structure = DataStructureDefinition(
            id=entry.id,
            name=table.title_en,
            description=table.description,
            agency=self.agency,
            version=self.version,
            components=Components(components),
        )
        flow = Dataflow(
            id=entry.id,
            name=table.title_en,
            description=" ".join((table.description, *([self.remark] if self.remark else []))),
            agency=self.agency,
            version=self.version,
            structure=structure,
        )
        explained = ConceptScheme(
            id=scheme, name=table.title_en, agency=self.agency, version=self.version, items=concepts
        )
        return [explained, structure, flow]

    def _codelist(
        self, entry: SdmxTable, column: Column, codes: Sequence[ContractCode], ids: Mapping[str, str]
    ) -> Codelist:
        """The list of a column; two tables share one where their codes are the same."""
        items = [Code(id=ids[code.value], name=code.label_en) for code in codes]
        id_ = f"CL_{column.name.upper()}"
        if id_ in self.codelists and list(self.codelists[id_].items) != items:
            id_ = f"CL_{entry.id}_{column.name.upper()}"
        if id_ not in self.codelists:
            self.codelists[id_] = Codelist(
                id=id_, name=column.label_en, agency=self.agency, version=self.version, items=items
            )
            self.korean["Codelist", "", id_] = (column.label_ko, None)
            for code in codes:
                self.korean["Code", id_, ids[code.value]] = (code.label_ko, None)
        return self.codelists[id_]


def _with_korean(text: str, korean: Mapping[tuple[str, str, str], tuple[str, str | None]]) -> bytes:
    """The message with a Korean name beside each English one: the library that writes it knows one language.

    Raises:
        AxstatError: something in the message has no Korean name.
    """
    root = etree.fromstring(text.encode("utf-8"))
    for english in list(root.iter(f"{_COMMON}Name", f"{_COMMON}Description")):
        owner = english.getparent()
        kind = etree.QName(owner).localname
        scheme = owner.getparent().get("id", "") if kind in ("Code", "Concept", "Agency") else ""
        names = korean.get((kind, scheme, owner.get("id")))
        if names is None:
            raise AxstatError(
                "no_korean",
                where=f"SDMX {kind} {owner.get('id')}",
                expected="a name in Korean",
                got="none",
                hint="add the Korean label to the contract",
            )
        told = names[0] if english.tag == f"{_COMMON}Name" else names[1]
        if told is not None:
            beside = etree.Element(english.tag)
            beside.set(_XML_LANGUAGE, "ko")
            beside.text, beside.tail = told, english.tail
            owner.insert(owner.index(english) + 1, beside)
    made: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return made + b"\n"
