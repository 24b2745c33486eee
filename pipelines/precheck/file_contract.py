"""One contract file, from anywhere, for a file that is no delivery of ours: ODCS -> what reading it needs.

Belongs here: which keys and custom properties such a contract may have, and what stands in for those that only our own
contracts must have. Does not belong here: what keys mean (contracts.odcs, contracts.cell_form), the reading (reading).
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    EnumValue,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
    Synonym,
)
from pydantic import BaseModel, ValidationError

from pipelines.contracts.cell_form import PLAIN, CellForm, Unpivot
from pipelines.contracts.compiler import polars_type
from pipelines.contracts.findings import Findings
from pipelines.contracts.library import ContractLibrary, resolve_codes
from pipelines.contracts.models import TableContract
from pipelines.contracts.odcs import OdcsProblemError, table_contract
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.sections import checked_section, optional_section, read_document
from pipelines.intake.form import FileForm
from pipelines.intake.typed import FLAG_SUFFIX
from pipelines.stats.terms import unknown_name

TABLE_PROPERTIES = ("labelEn", "form", "content", "unpivot", "dropRowsBlankIn")
COLUMN_PROPERTIES = ("labelEn", "descriptionKo", "unit", "classification", "missingCodes", "identifier", "reading")
# An ODCS contract may carry properties that are others' business; one this near to ours is a slip.
_SLIP = 0.8
_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "array": "VARCHAR[]",
}
# Formats of dates in ODCS are Java's.
_DATE_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "'T'": "T"}
_LIMITS = {"minimum": "min_value", "maximum": "max_value"}
_LENGTHS = {"minLength": "min_value", "maxLength": "max_value"}
_OPTIONS = (*_LIMITS, *_LENGTHS, "pattern", "format")


@dataclass(frozen=True, kw_only=True)
class FileContract:
    """A contract with what is needed to read a file by it.

    Attributes:
        table: columns, codes, key and rules.
        content: a name of `formats.dispatch.CONTENTS`, or None: by the end of the file's name.
        cells: form of the cells, by column.
        drop_blank_in: see `typed_records`.
    """

    table: TableContract
    form: FileForm
    content: str | None
    unpivot: Unpivot | None
    drop_blank_in: tuple[str, ...]
    cells: Mapping[str, CellForm]


def load_file_contract(
    path: Path, library: ContractLibrary, *, contents: Sequence[str], table: str | None = None
) -> FileContract:
    """The contract in a file.

    Args:
        library: its code lists may be named as `classification`.
        contents: names of the contents there are.
        table: name of the schema object; None: the only one.

    Raises:
        ViolationsError: unknown keys and values with the nearest valid name, whatever is missing or does not agree.
        AxstatError: no such file, or not YAML.
    """
    document = read_document(path)
    where = f"contract {path.name}"
    faults = list(_unknown_keys(document, OpenDataContractStandard, ""))
    _raise(where, faults)
    try:
        contract = OpenDataContractStandard.model_validate(document)
    except ValidationError as error:
        raise ViolationsError(where, [_invalid(each) for each in error.errors(include_url=False)]) from error
    entry = _entry(contract, table, where)
    _raise(where, list(_slips(entry)))
    return _file_contract(_completed_file(contract), entry, library, contents, path.name)


def _raise(where: str, faults: Sequence[Violation]) -> None:
    if faults:
        raise ViolationsError(where, faults)


def _unknown_keys(raw: object, model: type[BaseModel], place: str) -> Iterator[Violation]:
    """Keys that ODCS does not have; its model would leave them out without a word."""
    if not isinstance(raw, dict):
        yield Violation("not_a_mapping", place or "the whole", "keys and values", repr(raw)[:80], "write key: value")
        return
    known = {field.alias or name: name for name, field in model.model_fields.items()}
    parts: dict[str, type[BaseModel]] = {
        "schema": SchemaObject,
        "properties": SchemaProperty,
        "quality": DataQuality,
        "enum": EnumValue,
        "synonyms": Synonym,
        "customProperties": CustomProperty,
    }
    for key, value in raw.items():
        at = f"{place}.{key}" if place else str(key)
        if key not in known:
            yield unknown_name("unknown_key", at, "a key of ODCS", str(key), list(known))
        elif key in parts and isinstance(value, list):
            for number, item in enumerate(value):
                name = item.get("name") if isinstance(item, dict) else None
                if key != "enum" or isinstance(item, dict):
                    yield from _unknown_keys(item, parts[key], f"{at}[{name or number}]")


def _invalid(error: Mapping[str, Any]) -> Violation:
    place = ".".join(str(part) for part in error["loc"])
    return Violation("invalid_contract", place or "the whole", str(error["msg"]), repr(error["input"])[:200], "mend it")


def _entry(contract: OpenDataContractStandard, table: str | None, where: str) -> SchemaObject:
    entries = {str(entry.name): entry for entry in contract.schema_ or ()}
    if table is not None and table not in entries:
        raise ViolationsError(where, [unknown_name("unknown_table", "--table", "a schema", table, list(entries))])
    if table is None and len(entries) != 1:
        raise AxstatError(
            "which_table",
            where=where,
            expected="one schema object, or --table to say which",
            got=", ".join(entries) or "none",
            hint="name one of them with --table" if entries else "add the table under `schema`",
        )
    return entries[table] if table is not None else next(iter(entries.values()))


def _slips(entry: SchemaObject) -> Iterator[Violation]:
    of_columns = [(f"{entry.name}.{item.name}", item.customProperties, COLUMN_PROPERTIES) for item in _items(entry)]
    for where, properties, known in ((str(entry.name), entry.customProperties, TABLE_PROPERTIES), *of_columns):
        for item in properties or ():
            name = str(item.property)
            if name not in known and difflib.get_close_matches(name, known, n=1, cutoff=_SLIP):
                yield unknown_name("unknown_property", where, "a custom property", name, known)


def _items(entry: SchemaObject) -> Sequence[SchemaProperty]:
    return entry.properties or ()


def _custom(properties: Sequence[CustomProperty] | None) -> dict[str, Any]:
    return {str(item.property): item.value for item in properties or ()}


def _with(properties: Sequence[CustomProperty] | None, **defaults: object) -> list[CustomProperty]:
    """The properties, and these where they are not among them."""
    said = _custom(properties)
    return [
        *(properties or ()),
        *(CustomProperty(property=name, value=value) for name, value in defaults.items() if said.get(name) is None),
    ]


def _completed_file(contract: OpenDataContractStandard) -> OpenDataContractStandard:
    custom = _with(contract.customProperties, owner="not stated", source="not stated", licence="not stated")
    return contract.model_copy(update={"customProperties": custom, "version": contract.version or "not stated"})


def _file_contract(
    contract: OpenDataContractStandard,
    entry: SchemaObject,
    library: ContractLibrary,
    contents: Sequence[str],
    file: str,
) -> FileContract:
    where = f"contract {file}"
    faults: list[Violation] = []
    custom = _custom(entry.customProperties)
    form = checked_section(FileForm, custom.get("form") or {}, "form", faults)
    unpivot = optional_section(Unpivot, custom.get("unpivot"), "unpivot", faults)
    content = custom.get("content")
    if content is not None and content not in contents:
        faults.append(unknown_name("unknown_content", "content", "one of", str(content), contents))
    cells = {
        str(item.name): checked_section(
            CellForm, _custom(item.customProperties).get("reading") or {}, f"{item.name}.reading", faults
        )
        for item in _items(entry)
    }
    items = []
    for item in _items(entry):
        try:
            items.append(_completed_column(item, cells.get(str(item.name)) or PLAIN))
        except OdcsProblemError as problem:
            faults.append(_problem(f"{entry.name}.{item.name}", problem))
    _raise(where, faults)
    completed = entry.model_copy(
        update={
            "physicalType": "file",
            "businessName": entry.businessName or entry.name,
            "description": entry.description or entry.name,
            "dataGranularityDescription": entry.dataGranularityDescription or "one record",
            "customProperties": _with(entry.customProperties, labelEn=entry.businessName or entry.name),
            "properties": [item for item, _ in items],
            "quality": [_completed_rule(rule, None) for rule in entry.quality or ()],
        }
    )
    try:
        table = table_contract(contract, completed)
    except OdcsProblemError as problem:
        raise ViolationsError(where, [_problem(str(entry.name), problem)]) from problem
    findings = Findings(library.root)
    table = resolve_codes(table, library.classifications, findings)
    drop = tuple(str(name) for name in custom.get("dropRowsBlankIn") or ())
    faults += findings.violations
    faults += _name_faults(table, unpivot, drop, {name: form for name, form in cells.items() if form is not None})
    _raise(where, faults)
    assert form is not None
    return FileContract(
        table=table,
        form=form,
        content=content,
        unpivot=unpivot,
        drop_blank_in=drop,
        cells={str(item.name): made for item, made in items},
    )


def _problem(where: str, problem: OdcsProblemError) -> Violation:
    return Violation("invalid_contract", where, problem.expected, problem.got, "complete the entry")


def _name_faults(
    table: TableContract, unpivot: Unpivot | None, drop: Sequence[str], cells: Mapping[str, CellForm]
) -> Iterator[Violation]:
    names = list(table.column_names)
    if not names:
        yield Violation("no_columns", table.name, "at least one property", "none", "list the file's columns")
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Violation("duplicate", table.name, "each column once", name, "delete or rename one of the two")
    made = () if unpivot is None else (*unpivot.names, unpivot.value)
    for where, asked in (("unpivot", made), ("dropRowsBlankIn", drop)):
        for name in asked:
            if name not in names:
                yield unknown_name("unknown_column", where, "a column of the contract", name, names)
    for name, form in cells.items():
        if form.has_flags and name + FLAG_SUFFIX in names:
            yield Violation(
                "duplicate",
                f"{table.name}.{name + FLAG_SUFFIX}",
                f"no column of this name: it is made of the flags of {name}",
                "one",
                "rename the column",
            )


def _completed_column(item: SchemaProperty, form: CellForm) -> tuple[SchemaProperty, CellForm]:
    """The column with what our own contracts say besides, and its form with the format of dates that ODCS has."""
    name = str(item.name)
    options = dict(item.logicalTypeOptions or {})
    if unknown := [key for key in options if key not in _OPTIONS]:
        raise OdcsProblemError(f"logicalTypeOptions among {', '.join(_OPTIONS)}", ", ".join(unknown))
    if "format" in options and not form.dates:
        form = form.model_copy(update={"dates": (_date_format(str(options["format"])),)})
    known = [str(synonym.synonym) for synonym in item.synonyms or ()]
    if item.physicalName is not None and item.physicalName not in known:
        known.append(item.physicalName)
    rules = [*(item.quality or ()), *_option_rules(name, options, unique=bool(item.unique))]
    completed = item.model_copy(
        update={
            "physicalType": _type(item),
            "businessName": item.businessName or name,
            "description": item.description or item.businessName or name,
            "synonyms": [Synonym(synonym=synonym) for synonym in known],
            "customProperties": _with(item.customProperties, labelEn=item.businessName or name),
            "enum": [_completed_code(code) for code in item.enum or ()] or None,
            "quality": [_completed_rule(rule, name) for rule in rules],
        }
    )
    return completed, form


def _type(item: SchemaProperty) -> str:
    """One of our types: the physical type where it is one, else what the logical type asks for."""
    written = (item.physicalType or "").strip().upper()
    try:
        polars_type(written)
    except AxstatError as error:
        found = _TYPES.get(item.logicalType or "")
        if found is None:
            expected = f"{error.expected} as physicalType, or one of {', '.join(_TYPES)} as logicalType"
            got = f"physicalType {item.physicalType}, logicalType {item.logicalType}"
            raise OdcsProblemError(expected, got) from error
        return found
    return written


def _date_format(java: str) -> str:
    made = re.sub("|".join(_DATE_PARTS), lambda found: _DATE_PARTS[found[0]], java)
    if re.search("[A-Za-z]", re.sub("%[YmdHMS]|T", "", made)):
        raise OdcsProblemError(f"format of {', '.join(_DATE_PARTS)}, or reading.dates as strftime writes them", java)
    return made


def _completed_code(code: EnumValue) -> EnumValue:
    value = code.value if isinstance(code.value, str) else str(code.value)
    label = code.label or value
    return code.model_copy(
        update={"value": value, "label": label, "customProperties": _with(code.customProperties, labelKo=label)}
    )


def _option_rules(name: str, options: Mapping[str, Any], *, unique: bool) -> Iterator[DataQuality]:
    """The limits that ODCS has of its own, as rules of the engine."""
    for suffix, expectation, keys in (
        ("in_range", "expect_column_values_to_be_between", _LIMITS),
        ("length", "expect_column_value_lengths_to_be_between", _LENGTHS),
        ("pattern", "expect_column_values_to_match_regex", {"pattern": "regex"}),
    ):
        kwargs = {keys[key]: options[key] for key in keys if key in options}
        if kwargs:
            said = (f"{name}: 계약의 조건에 맞지 않는 값입니다. {kwargs}", f"{name}: {suffix} of {kwargs}")
            yield _rule(f"{name}_{suffix}", expectation, kwargs, *said)
    if unique:
        said = (f"{name}: 같은 값이 둘 이상 있습니다.", f"{name}: stands more than once")
        yield _rule(f"{name}_unique", "expect_column_values_to_be_unique", {}, *said)


def _rule(rule: str, expectation: str, kwargs: Mapping[str, Any], said_ko: str, said_en: str) -> DataQuality:
    return DataQuality.model_validate(
        {
            "id": rule,
            "type": "custom",
            "engine": "greatExpectations",
            "severity": "error",
            "description": said_en,
            "implementation": {"type": expectation, "kwargs": dict(kwargs)},
            "customProperties": [{"property": "messageKo", "value": said_ko}],
        }
    )


def _completed_rule(rule: DataQuality, column: str | None) -> DataQuality:
    implementation = rule.implementation
    if isinstance(implementation, dict):
        kwargs = dict(implementation.get("kwargs") or {})
        if column is not None:
            kwargs.setdefault("column", column)
        implementation = {**implementation, "kwargs": kwargs}
    said_ko = rule.description or f"{column or '이 행'}: 규칙 {rule.id or rule.name}에 맞지 않습니다."
    said_en = rule.description or f"{column or 'the row'} breaks the rule {rule.id or rule.name}"
    return rule.model_copy(
        update={
            "id": rule.id or rule.name,
            "severity": rule.severity or "error",
            "implementation": implementation,
            "customProperties": _with(
                rule.customProperties,
                messageKo=said_ko,
                messageEn=said_en,
                actionKo="제출처에 값을 수정하도록 요청하십시오.",
                actionEn="have the sender correct the value",
            ),
        }
    )
