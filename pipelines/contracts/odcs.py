"""From an ODCS object to our records: the one place that knows which custom properties axstat uses.

Belongs here: reading table, column, code and quality rule out of the ODCS model. Does not belong here:
finding and opening files (files), checks across contracts (consistency).
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from pipelines.contracts.models import (
    Code,
    Column,
    MissingKind,
    QualityRule,
    Rule,
    RuleInput,
    Severity,
    SqlRule,
    TableContract,
)


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
    owner = _text(of_file.get("owner"), "customProperties owner")
    rules: list[Rule] = [_rule(rule, owner=owner, column=None) for rule in entry.quality or []]
    rules += [_rule(rule, owner=owner, column=item.name) for item in properties for rule in item.quality or []]
    return TableContract(
        name=full_name,
        version=_text(contract.version, "version"),
        title_ko=_text(entry.businessName, f"{name}: businessName"),
        title_en=_text(of_table.get("labelEn"), f"{name}: labelEn"),
        description=_text(entry.description, f"{name}: description"),
        grain=_text(entry.dataGranularityDescription, f"{name}: dataGranularityDescription"),
        columns=columns,
        key=tuple(_text(item.name, "a key column") for item in keyed),
        quality=tuple(rule for rule in rules if isinstance(rule, QualityRule)),
        sql_rules=tuple(rule for rule in rules if isinstance(rule, SqlRule)),
        owner=owner,
        source=_text(of_file.get("source"), "customProperties source"),
        licence=_text(of_file.get("licence"), "customProperties licence"),
        made_by=_texts(of_table.get("madeBy"), f"{name}: madeBy"),
        reads=_texts(of_table.get("reads"), f"{name}: reads"),
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
        optional=_flag(custom.get("optional"), f"{name}: optional"),
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


def _rule(rule: DataQuality, *, owner: str, column: str | None) -> Rule:
    rule_id = _text(rule.id, "an id for every quality rule")
    custom = _custom(rule.customProperties)
    severity = _severity(rule_id, rule.severity)
    said = {
        "why": _text(rule.description, f"{rule_id}: description (why the rule is there)"),
        "owner": _optional_text(custom, "owner", rule_id) or owner,
        "message_ko": _text(custom.get("messageKo"), f"{rule_id}: messageKo"),
        "message_en": _text(custom.get("messageEn"), f"{rule_id}: messageEn"),
        "action_ko": _text(custom.get("actionKo"), f"{rule_id}: actionKo"),
        "action_en": _text(custom.get("actionEn"), f"{rule_id}: actionEn"),
    }
    max_share = _max_share(rule_id, custom.get("maxShare"), severity)
    if rule.type == "sql":
        if rule.mustBe != 0:
            raise OdcsProblemError(f"{rule_id}: mustBe 0, the rows that the query may return", repr(rule.mustBe))
        return SqlRule(
            id=rule_id,
            severity=severity,
            max_share=max_share,
            query=_text(rule.query, f"{rule_id}: query"),
            reads=_reads(rule_id, custom.get("reads")),
            parameters=MappingProxyType(_parameters(rule_id, custom.get("parameters"))),
            column=column,
            **said,
        )
    if rule.type != "custom" or rule.engine != "greatExpectations":
        expected = f"{rule_id}: type sql, or type custom with engine greatExpectations"
        raise OdcsProblemError(expected, f"{rule.type}, {rule.engine}")
    implementation = rule.implementation
    if not isinstance(implementation, dict) or not isinstance(implementation.get("kwargs"), dict):
        raise OdcsProblemError(f"{rule_id}: implementation with type and kwargs", repr(implementation))
    return QualityRule(
        id=rule_id,
        severity=severity,
        max_share=max_share,
        expectation=_text(implementation.get("type"), f"{rule_id}: implementation type"),
        kwargs=MappingProxyType(dict(implementation["kwargs"])),
        **said,
    )


def _severity(rule_id: str, value: str | None) -> Severity:
    for severity in get_args(Severity):
        if value == severity:
            return severity  # type: ignore[no-any-return]
    raise OdcsProblemError(f"{rule_id}: severity {', '.join(get_args(Severity))}", repr(value))


def _max_share(rule_id: str, value: object, severity: Severity) -> float:
    if value is None:
        return 0.0
    if severity != "fail_file":
        raise OdcsProblemError(f"{rule_id}: maxShare with severity fail_file only", severity)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise OdcsProblemError(f"{rule_id}: maxShare from 0 to below 1", repr(value))
    return float(value)


def _reads(rule_id: str, value: object) -> tuple[RuleInput, ...]:
    named = _texts(value, f"{rule_id}: reads")
    known: tuple[RuleInput, ...] = get_args(RuleInput)
    if unknown := [name for name in named if name not in known]:
        raise OdcsProblemError(f"{rule_id}: reads some of {', '.join(known)}", ", ".join(unknown))
    return tuple(name for name in known if name in named)


def _parameters(rule_id: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OdcsProblemError(f"{rule_id}: parameters as name and value", repr(value))
    return {_text(name, f"{rule_id}: a parameter's name"): given for name, given in value.items()}
