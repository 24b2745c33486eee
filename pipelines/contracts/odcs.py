"""From an ODCS object to our records: the one place that knows which custom properties axstat uses.

Belongs here: reading table, column, code and quality rule out of the ODCS model. Does not belong here:
finding and opening files (files), checks across contracts (consistency).
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from pipelines.contracts.models import Code, Column, MissingKind, QualityRule, Severity, TableContract


class OdcsProblemError(Exception):
    """Something an ODCS object lacks; caught where the file is known."""

    def __init__(self, expected: str, got: str) -> None:
        """Keep what axstat needs here and what is there."""
        self.expected = expected
        self.got = got
        super().__init__(f"{expected}; got {got}")


def _custom(properties: Iterable[CustomProperty] | None) -> dict[str, Any]:
    return {entry.property: entry.value for entry in properties or () if entry.property is not None}


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise OdcsProblemError(f"{what} as text", repr(value))
    return value.strip()


def _optional_text(custom: Mapping[str, object], key: str, name: str) -> str | None:
    return None if custom.get(key) is None else _text(custom[key], f"{name}: {key}")


def _texts(value: object, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise OdcsProblemError(f"{what} as a list", repr(value))
    return tuple(_text(entry, what) for entry in value)


def _flag(value: object, what: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise OdcsProblemError(f"{what} true or false", repr(value))


def table_contract(contract: OpenDataContractStandard, entry: SchemaObject) -> TableContract:
    """One schema object of an ODCS contract as a record; codes of classifications are not resolved yet.

    Raises:
        OdcsProblemError: something that axstat needs is missing or of the wrong kind.
    """
    name = _text(entry.name, "a name")
    of_file = _custom(contract.customProperties)
    of_table = _custom(entry.customProperties)
    # A delivery is known by its own name; a table by schema.table, and the schema stands in physicalName.
    full_name = name if entry.physicalType == "file" else _text(entry.physicalName, f"{name}: physicalName")
    properties = entry.properties or []
    columns = tuple(_column(item) for item in properties)
    keyed = [item for item in properties if item.primaryKey]
    keyed.sort(key=lambda item: item.primaryKeyPosition or 0)
    rules = list(entry.quality or [])
    rules.extend(rule for item in properties for rule in item.quality or [])
    return TableContract(
        name=full_name,
        version=_text(contract.version, "version"),
        title_ko=_text(entry.businessName, f"{name}: businessName"),
        title_en=_text(of_table.get("labelEn"), f"{name}: labelEn"),
        description=_text(entry.description, f"{name}: description"),
        grain=_text(entry.dataGranularityDescription, f"{name}: dataGranularityDescription"),
        columns=columns,
        key=tuple(_text(item.name, "a key column") for item in keyed),
        quality=tuple(_rule(rule) for rule in rules),
        owner=_text(of_file.get("owner"), "customProperties owner"),
        source=_text(of_file.get("source"), "customProperties source"),
        licence=_text(of_file.get("licence"), "customProperties licence"),
    )


def _column(item: SchemaProperty) -> Column:
    name = _text(item.name, "a column name")
    custom = _custom(item.customProperties)
    return Column(
        name=name,
        label_ko=_text(item.businessName, f"{name}: businessName"),
        label_en=_text(custom.get("labelEn"), f"{name}: labelEn"),
        description=_text(item.description, f"{name}: description"),
        description_ko=_optional_text(custom, "descriptionKo", name),
        type=_text(item.physicalType, f"{name}: physicalType"),
        required=bool(item.required),
        codes=tuple(
            Code(
                value=_text(entry.value, f"{name}: enum value"),
                label_ko=_text(_custom(entry.customProperties).get("labelKo"), f"{name}: labelKo of {entry.value}"),
                label_en=_text(entry.label, f"{name}: label of {entry.value}"),
            )
            for entry in item.enum or []
        ),
        classification=_optional_text(custom, "classification", name),
        synonyms=tuple(_text(entry.synonym, f"{name}: synonym") for entry in item.synonyms or []),
        missing_codes=MappingProxyType(_missing_codes(name, custom.get("missingCodes"))),
        question_versions=_texts(custom.get("questionVersions"), f"{name}: questionVersions"),
        identifier=_flag(custom.get("identifier"), f"{name}: identifier"),
        unit=_optional_text(custom, "unit", name),
    )


def _missing_codes(name: str, value: object) -> dict[str, MissingKind]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OdcsProblemError(f"{name}: missingCodes as code and kind", repr(value))
    kinds: dict[str, MissingKind] = {}
    for code, kind in value.items():
        if kind == "dont_know":
            kinds[_text(code, f"{name}: missing code")] = "dont_know"
        elif kind == "refused":
            kinds[_text(code, f"{name}: missing code")] = "refused"
        else:
            raise OdcsProblemError(f"{name}: missingCodes 'dont_know' or 'refused'", repr(kind))
    return kinds


def _rule(rule: DataQuality) -> QualityRule:
    rule_id = _text(rule.id, "an id for every quality rule")
    if rule.type != "custom" or rule.engine != "greatExpectations":
        raise OdcsProblemError(f"{rule_id}: type custom, engine greatExpectations", f"{rule.type}, {rule.engine}")
    implementation = rule.implementation
    if not isinstance(implementation, dict) or not isinstance(implementation.get("kwargs"), dict):
        raise OdcsProblemError(f"{rule_id}: implementation with type and kwargs", repr(implementation))
    custom = _custom(rule.customProperties)
    return QualityRule(
        id=rule_id,
        expectation=_text(implementation.get("type"), f"{rule_id}: implementation type"),
        kwargs=MappingProxyType(dict(implementation["kwargs"])),
        severity=_severity(rule_id, rule.severity),
        message_ko=_text(custom.get("messageKo"), f"{rule_id}: messageKo"),
        message_en=_text(custom.get("messageEn"), f"{rule_id}: messageEn"),
        action=_text(custom.get("action"), f"{rule_id}: action"),
    )


def _severity(rule_id: str, value: str | None) -> Severity:
    if value == "error":
        return "error"
    if value == "warning":
        return "warning"
    raise OdcsProblemError(f"{rule_id}: severity error or warning", repr(value))
