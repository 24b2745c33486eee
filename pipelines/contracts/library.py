"""Reads `data_contracts/` into one frozen library and holds its files against each other.

Belongs here: reading YAML and JSON, turning ODCS objects into our records, checks across files. Does not belong
here: what contracts compile to (compiler), validation against the ODCS JSON schema (check), any query of data.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)
from pydantic import BaseModel, ValidationError

from pipelines.contracts.calendar import ReleaseCalendar
from pipelines.contracts.classifications import (
    Classification,
    KsicFile,
    KsicScope,
    Measure,
    MeasureFile,
    QuestionVersion,
    QuestionVersions,
)
from pipelines.contracts.compiler import polars_type, raw_table
from pipelines.contracts.models import Code, Column, MissingKind, QualityRule, Severity, TableContract
from pipelines.contracts.surveys import CollapseStep, Domain, Survey
from pipelines.contracts.targets import Target, TargetFile
from pipelines.errors import AxstatError, Violation, ViolationsError

Model = TypeVar("Model", bound=BaseModel)

# Codes of this list are the kinds of missing answer; its labels name missing codes in every delivery.
ANSWER_STATUSES = "answer_statuses"
MEASUREMENT_UNITS = "measurement_units"
DELIVERY = "delivery"


@dataclass(frozen=True, kw_only=True)
class ContractLibrary:
    """Everything under `data_contracts/`.

    Attributes:
        root: the folder it was read from.
        deliveries: by contract name, e.g. ``industry_response``.
        tables: every table of the warehouse, marts and compiled raw tables included, by ``schema.table``.
        classifications: code lists by id; ``ksic_sections``, ``ksic_groups`` and ``ksic_divisions`` are made from
            the KSIC file, ``measures`` and ``question_versions`` are not code lists.
        ksic: one row per revision and division.
        measures: every measure, those made from code lists included, by code.
        targets: by survey.
        calendar: dates of publication by wave.
        manifest_schema: JSON schema of a delivery's manifest.
        versions: contract version by path below the root, e.g. ``deliveries/business_frame.yaml``.
    """

    root: Path
    deliveries: Mapping[str, TableContract]
    tables: Mapping[str, TableContract]
    surveys: Mapping[str, Survey]
    classifications: Mapping[str, Classification]
    ksic: tuple[KsicScope, ...]
    question_versions: Mapping[str, QuestionVersion]
    measures: Mapping[str, Measure]
    targets: Mapping[str, Target]
    calendar: ReleaseCalendar
    manifest_schema: Mapping[str, Any]
    versions: Mapping[str, str]

    def groups_of(self, step: CollapseStep) -> Mapping[str, str] | None:
        """Code of the part -> code of the group that a collapse step puts in its place; None: the part is dropped."""
        if step.into is None:
            return None
        code_list = self.tables["core.frame"].column(step.part).classification
        if code_list is None:
            raise AxstatError(
                "uncoded_part",
                where=f"collapse step {step.name}",
                expected=f"a code list for core.frame.{step.part}",
                got="none",
                hint="give the column its classification in data_contracts/warehouse/core.yaml",
            )
        return self.classifications[code_list].parents

    @property
    def marts(self) -> Mapping[str, TableContract]:
        """The published tables, by ``mart.<table>``."""
        return MappingProxyType(
            {name: table for name, table in self.tables.items() if name.startswith("mart.")}
        )

    def survey_of_contract(self, contract: str) -> Survey:
        """The survey that takes deliveries of this contract.

        Raises:
            AxstatError: no survey names the contract.
        """
        for survey in self.surveys.values():
            if contract in (survey.contracts.response, survey.contracts.sample, survey.contracts.frame):
                return survey
        raise AxstatError(
            "unknown_contract",
            where="data_contracts/surveys",
            expected=f"one of {', '.join(self.deliveries)}",
            got=contract,
            hint="correct the contract's name in the manifest, or name it in a survey's contract",
        )


def load_library(root: Path) -> ContractLibrary:
    """Read and cross-check the contracts below `root` (the folder `data_contracts`).

    Raises:
        ViolationsError: with everything that is wrong in any file, or between files.
    """
    reader = _Reader(root)
    classifications = reader.classifications()
    ksic_file = reader.one("classifications/ksic.yaml", KsicFile)
    if ksic_file is not None:
        for made in ksic_file.code_lists():
            classifications[made.id] = made
    question_file = reader.one("classifications/question_versions.yaml", QuestionVersions)
    measure_file = reader.one("classifications/measures.yaml", MeasureFile)
    target_file = reader.one("targets.yaml", TargetFile)
    calendar = reader.one("release_calendar.yaml", ReleaseCalendar)
    surveys = {survey.survey: survey for survey in reader.each("surveys", Survey)}
    deliveries = reader.contracts(("deliveries",))
    tables = reader.contracts(("warehouse", "marts"))
    manifest_schema = reader.manifest_schema()
    reader.fail_if_any()
    # A file that could not be read has been reported above; this tells the type checker so.
    assert ksic_file is not None
    assert question_file is not None
    assert measure_file is not None
    assert target_file is not None
    assert calendar is not None

    measures = _expand_measures(measure_file, classifications, reader)
    surveys = {name: _expand_survey(survey, measures, reader) for name, survey in surveys.items()}
    deliveries = {
        name: _resolve_codes(table, classifications, reader) for name, table in sorted(deliveries.items())
    }
    tables = {name: _resolve_codes(table, classifications, reader) for name, table in sorted(tables.items())}
    for contract in deliveries.values():
        raw = raw_table(contract)
        tables.setdefault(raw.name, raw)

    library = ContractLibrary(
        root=root,
        deliveries=MappingProxyType(deliveries),
        tables=MappingProxyType(tables),
        surveys=MappingProxyType(surveys),
        classifications=MappingProxyType(dict(sorted(classifications.items()))),
        ksic=ksic_file.scope(),
        question_versions=MappingProxyType(
            {entry.question_version: entry for entry in question_file.versions}
        ),
        measures=MappingProxyType(measures),
        targets=MappingProxyType({target.survey: target for target in target_file.targets}),
        calendar=calendar,
        manifest_schema=MappingProxyType(manifest_schema),
        versions=MappingProxyType(dict(sorted(reader.versions.items()))),
    )
    reader.violations.extend(_cross_checks(library))
    reader.fail_if_any()
    return library


class _Reader:
    """Reads files below the root, and keeps what is wrong with them instead of stopping at the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.violations: list[Violation] = []
        self.versions: dict[str, str] = {}

    def add(self, code: str, where: str, expected: str, got: str, hint: str) -> None:
        self.violations.append(Violation(code, f"data_contracts/{where}", expected, got, hint))

    def fail_if_any(self) -> None:
        if self.violations:
            raise ViolationsError(f"contracts in {self.root}", self.violations)

    def paths(self, folder: str) -> list[str]:
        found = sorted(path.name for path in (self.root / folder).glob("*.yaml"))
        if not found:
            self.add(
                "no_contracts",
                folder,
                "at least one .yaml file",
                "none",
                "check that the root is the folder data_contracts of a complete checkout",
            )
        return [f"{folder}/{name}" for name in found]

    def document(self, path: str) -> dict[str, Any] | None:
        try:
            loaded = yaml.safe_load((self.root / path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.add("missing_file", path, "the file", "not there", "restore the file")
            return None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.add("not_yaml", path, "a YAML file in UTF-8", str(error), "mend the file's syntax")
            return None
        if not isinstance(loaded, dict):
            self.add(
                "not_a_mapping", path, "keys and values", type(loaded).__name__, "start the file with keys"
            )
            return None
        return loaded

    def one(self, path: str, model: type[Model]) -> Model | None:
        document = self.document(path)
        if document is None:
            return None
        try:
            parsed = model.model_validate(document)
        except ValidationError as error:
            self.invalid(path, error)
            return None
        self.versions[path] = str(document.get("version"))
        return parsed

    def invalid(self, path: str, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            place = ".".join(str(part) for part in detail["loc"])
            self.add(
                "invalid_contract",
                f"{path}: {place}" if place else path,
                str(detail["msg"]),
                repr(detail["input"])[:200],
                "correct the entry; the file's neighbours show the form",
            )

    def each(self, folder: str, model: type[Model]) -> list[Model]:
        parsed = [self.one(path, model) for path in self.paths(folder)]
        return [entry for entry in parsed if entry is not None]

    def classifications(self) -> dict[str, Classification]:
        special = {
            "classifications/ksic.yaml",
            "classifications/measures.yaml",
            "classifications/question_versions.yaml",
        }
        found: dict[str, Classification] = {}
        for path in self.paths("classifications"):
            if path in special:
                continue
            parsed = self.one(path, Classification)
            if parsed is None:
                continue
            if path != f"classifications/{parsed.id}.yaml":
                self.add("file_name", path, f"{parsed.id}.yaml", path, "give file and id the same name")
            found[parsed.id] = parsed
        return found

    def contracts(self, folders: Sequence[str]) -> dict[str, TableContract]:
        found: dict[str, TableContract] = {}
        for folder in folders:
            for path in self.paths(folder):
                for table in self.odcs(path):
                    if table.name in found:
                        self.add("twice", path, "one contract a table", table.name, "delete one of the two")
                    found[table.name] = table
        return found

    def odcs(self, path: str) -> list[TableContract]:
        if self.document(path) is None:
            return []
        try:
            parsed = OpenDataContractStandard.from_file(str(self.root / path))
        except ValidationError as error:
            self.invalid(path, error)
            return []
        self.versions[path] = str(parsed.version)
        tables = []
        for entry in parsed.schema_ or []:
            try:
                tables.append(_table(parsed, entry))
            except _ContractProblem as problem:
                self.add(
                    "invalid_contract",
                    f"{path}: {entry.name}",
                    problem.expected,
                    problem.got,
                    "complete the entry; the file's neighbours show the form",
                )
        if not tables:
            self.add(
                "no_tables", path, "at least one readable schema object", "none", "add it under `schema`"
            )
        return tables

    def manifest_schema(self) -> dict[str, Any]:
        path = self.root / "manifest.schema.json"
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.add("missing_file", path.name, "the file", "not there", "restore the file")
            return {}
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self.add("not_json", path.name, "a JSON file in UTF-8", str(error), "mend the file's syntax")
            return {}
        if not isinstance(loaded, dict):
            self.add("not_a_mapping", path.name, "a JSON object", type(loaded).__name__, "restore the file")
            return {}
        self.versions[path.name] = str(loaded.get("version"))
        return loaded


class _ContractProblem(Exception):
    """Something an ODCS object lacks; caught by the reader, which knows the file."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected = expected
        self.got = got
        super().__init__(f"{expected}; got {got}")


def _custom(properties: Iterable[CustomProperty] | None) -> dict[str, Any]:
    return {entry.property: entry.value for entry in properties or () if entry.property is not None}


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _ContractProblem(f"{what} as text", repr(value))
    return value.strip()


def _table(contract: OpenDataContractStandard, entry: SchemaObject) -> TableContract:
    name = _text(entry.name, "a name")
    of_file = _custom(contract.customProperties)
    of_table = _custom(entry.customProperties)
    # A delivery is known by its own name; a table by schema.table, and the schema stands in physicalName.
    full_name = name if entry.physicalType == "file" else _text(entry.physicalName, f"{name}: physicalName")
    properties = entry.properties or []
    columns = tuple(_column(item) for item in properties)
    keyed = [item for item in properties if item.primaryKey]
    keyed.sort(key=lambda item: item.primaryKeyPosition or 0)
    rules = [rule for rule in entry.quality or []]
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
        description_ko=custom.get("descriptionKo"),
        type=_text(item.physicalType, f"{name}: physicalType"),
        required=bool(item.required),
        codes=tuple(
            Code(
                value=_text(entry.value, f"{name}: enum value"),
                label_ko=_text(
                    _custom(entry.customProperties).get("labelKo"), f"{name}: labelKo of {entry.value}"
                ),
                label_en=_text(entry.label, f"{name}: label of {entry.value}"),
            )
            for entry in item.enum or []
        ),
        classification=custom.get("classification"),
        synonyms=tuple(_text(entry.synonym, f"{name}: synonym") for entry in item.synonyms or []),
        missing_codes=MappingProxyType(_missing_codes(name, custom.get("missingCodes"))),
        question_versions=tuple(custom.get("questionVersions") or ()),
        identifier=bool(custom.get("identifier", False)),
        unit=custom.get("unit"),
    )


def _missing_codes(name: str, value: object) -> dict[str, MissingKind]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _ContractProblem(f"{name}: missingCodes as code and kind", repr(value))
    kinds: dict[str, MissingKind] = {}
    for code, kind in value.items():
        if kind == "dont_know":
            kinds[_text(code, f"{name}: missing code")] = "dont_know"
        elif kind == "refused":
            kinds[_text(code, f"{name}: missing code")] = "refused"
        else:
            raise _ContractProblem(f"{name}: missingCodes 'dont_know' or 'refused'", repr(kind))
    return kinds


def _rule(rule: DataQuality) -> QualityRule:
    rule_id = _text(rule.id, "an id for every quality rule")
    if rule.type != "custom" or rule.engine != "greatExpectations":
        raise _ContractProblem(
            f"{rule_id}: type custom, engine greatExpectations", f"{rule.type}, {rule.engine}"
        )
    implementation = rule.implementation
    if not isinstance(implementation, dict) or not isinstance(implementation.get("kwargs"), dict):
        raise _ContractProblem(f"{rule_id}: implementation with type and kwargs", repr(implementation))
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
    raise _ContractProblem(f"{rule_id}: severity error or warning", repr(value))


def _expand_measures(
    file: MeasureFile, classifications: Mapping[str, Classification], reader: _Reader
) -> dict[str, Measure]:
    where = "classifications/measures.yaml"
    measures = list(file.measures)
    for template in file.templates:
        listed = classifications.get(template.classification)
        if listed is None:
            reader.add(
                "unknown_classification", where, "an existing list", template.classification, "correct the id"
            )
            continue
        measures.extend(template.expand(listed))
    _no_duplicates([measure.measure for measure in measures], "measure", where, reader)
    return {measure.measure: measure for measure in sorted(measures, key=lambda entry: entry.sort_order)}


def _expand_survey(survey: Survey, measures: Mapping[str, Measure], reader: _Reader) -> Survey:
    """Write `tech_*` out, so that nobody after this has to know the lists."""
    expanded: dict[str, tuple[str, ...]] = {}
    for version, patterns in survey.measures_by_question.items():
        names: list[str] = []
        for pattern in patterns:
            found = (
                [name for name in measures if name.startswith(pattern.removesuffix("*"))]
                if pattern.endswith("*")
                else [name for name in measures if name == pattern]
            )
            if not found:
                reader.add(
                    "unknown_measure",
                    f"surveys/{survey.survey}.yaml: measures_by_question.{version}",
                    "a measure of classifications/measures.yaml",
                    pattern,
                    "correct the measure or define it there",
                )
            names.extend(found)
        expanded[version] = tuple(names)
    return survey.model_copy(update={"measures_by_question": expanded})


def _resolve_codes(
    table: TableContract, classifications: Mapping[str, Classification], reader: _Reader
) -> TableContract:
    """Give every coded column its codes: those of its list, then its missing codes under their common labels."""
    statuses = classifications.get(ANSWER_STATUSES)
    columns = []
    for column in table.columns:
        codes = list(column.codes)
        if column.classification is not None:
            listed = classifications.get(column.classification)
            if listed is None:
                reader.add(
                    "unknown_classification",
                    f"{table.name}.{column.name}",
                    f"one of {', '.join(sorted(classifications))}",
                    column.classification,
                    "correct the id, or add the list",
                )
                columns.append(column)
                continue
            if codes:
                reader.add(
                    "two_code_lists",
                    f"{table.name}.{column.name}",
                    "either enum or classification",
                    "both",
                    "keep the classification",
                )
            codes = [
                Code(value=item.code, label_ko=item.label_ko, label_en=item.label_en) for item in listed.items
            ]
        if column.missing_codes and statuses is not None:
            for value, kind in column.missing_codes.items():
                status = statuses.item(kind)
                codes.append(Code(value=value, label_ko=status.label_ko, label_en=status.label_en))
        columns.append(replace(column, codes=tuple(codes)))
    return replace(table, columns=tuple(columns))


def _no_duplicates(values: Sequence[str], what: str, where: str, reader: _Reader) -> None:
    for value in sorted({entry for entry in values if values.count(entry) > 1}):
        reader.add("duplicate", where, f"each {what} once", value, "delete one of the two")


def _header_key(header: str) -> str:
    """Form in which headers are compared: compatibility-composed (NFKC), without white space or letter case."""
    return "".join(unicodedata.normalize("NFKC", header).casefold().split())


def _cross_checks(library: ContractLibrary) -> list[Violation]:
    checker = _Reader(library.root)
    for classification in library.classifications.values():
        _check_classification(classification, library, checker)
    _check_ksic(library, checker)
    for table in (*library.deliveries.values(), *library.tables.values()):
        _check_table(table, library, checker)
    for delivery in library.deliveries.values():
        _check_delivery(delivery, library, checker)
    for mart in library.marts.values():
        _check_mart(mart, library, checker)
    for survey in library.surveys.values():
        _check_survey(survey, library, checker)
    _check_targets(library, checker)
    return checker.violations


def _check_classification(classification: Classification, library: ContractLibrary, checker: _Reader) -> None:
    where = f"classifications/{classification.id}.yaml"
    _no_duplicates(list(classification.codes), "code", where, checker)
    _no_duplicates([str(item.sort_order) for item in classification.items], "sort_order", where, checker)
    parent_list = classification
    if classification.parent_classification is not None:
        named = library.classifications.get(classification.parent_classification)
        if named is None:
            checker.add(
                "unknown_classification",
                where,
                "an existing list",
                classification.parent_classification,
                "correct it",
            )
            return
        parent_list = named
    for item in classification.items:
        if item.parent is not None and item.parent not in parent_list.codes:
            checker.add(
                "unknown_parent",
                f"{where}: {item.code}",
                f"a code of {parent_list.id}",
                item.parent,
                "correct it",
            )
        if classification.parent_classification is not None and item.parent is None:
            checker.add(
                "no_parent", f"{where}: {item.code}", f"a code of {parent_list.id}", "none", "add `parent`"
            )


def _check_ksic(library: ContractLibrary, checker: _Reader) -> None:
    where = "classifications/ksic.yaml"
    _no_duplicates(
        [f"{row.revision}/{row.division}" for row in library.ksic], "division a revision", where, checker
    )
    groups = library.classifications["ksic_groups"]
    sections = library.classifications["ksic_sections"]
    industries = library.classifications.get("ax_industries")
    for row in library.ksic:
        place = f"{where}: {row.revision}/{row.division}"
        if row.section not in sections.codes:
            checker.add("unknown_section", place, "a section of the file", row.section, "correct it")
        if row.ksic_group is not None:
            if row.ksic_group not in groups.codes:
                checker.add("unknown_group", place, "a group of the file", row.ksic_group, "correct it")
            elif groups.item(row.ksic_group).parent != row.section:
                checker.add(
                    "group_of_another_section",
                    place,
                    f"a group of section {row.section}",
                    row.ksic_group,
                    "correct it",
                )
        if row.ax_industry is not None:
            if industries is None or row.ax_industry not in industries.codes:
                checker.add(
                    "unknown_industry", place, "a code of ax_industries", row.ax_industry, "correct it"
                )
            if row.ksic_group is None:
                checker.add(
                    "industry_out_of_scope", place, "a division in scope", row.ax_industry, "correct it"
                )


def _check_table(table: TableContract, library: ContractLibrary, checker: _Reader) -> None:
    _no_duplicates(list(table.column_names), "column", table.name, checker)
    _no_duplicates([rule.id for rule in table.quality], "rule id", table.name, checker)
    units = library.classifications.get(MEASUREMENT_UNITS)
    for column in table.columns:
        where = f"{table.name}.{column.name}"
        try:
            polars_type(column.type)
        except AxstatError as error:
            checker.add("unknown_type", where, error.expected, error.got, error.hint)
        if column.unit is not None and (units is None or column.unit not in units.codes):
            checker.add("unknown_unit", where, f"a code of {MEASUREMENT_UNITS}", column.unit, "correct it")
        _no_duplicates([code.value for code in column.codes], "code", where, checker)
        for version in column.question_versions:
            if version not in library.question_versions:
                checker.add("unknown_question_version", where, "a known version", version, "correct it")
    for name in table.key:
        if not table.column(name).required:
            checker.add(
                "nullable_key", f"{table.name}.{name}", "required: true", "false", "a key has no NULL"
            )
    for rule in table.quality:
        for name in _columns_of_rule(rule):
            if name not in table.column_names:
                checker.add("unknown_column", f"{table.name}: rule {rule.id}", "a column", name, "correct it")


def _columns_of_rule(rule: QualityRule) -> list[str]:
    names = [rule.kwargs[key] for key in ("column", "column_A", "column_B") if key in rule.kwargs]
    listed = rule.kwargs.get("column_list")
    if isinstance(listed, list):
        names.extend(listed)
    return [str(name) for name in names]


def _check_delivery(delivery: TableContract, library: ContractLibrary, checker: _Reader) -> None:
    owner_of: dict[str, str] = {}
    for column in delivery.columns:
        where = f"deliveries/{delivery.name}.yaml: {column.name}"
        two_row = [synonym for synonym in column.synonyms if " / " in synonym]
        if len(two_row) != 1:
            checker.add(
                "two_row_header", where, "one synonym with ' / '", str(len(two_row)), "give it exactly one"
            )
        if len(column.synonyms) < 2 or (two_row and two_row[0] in column.synonyms[:2]):
            checker.add(
                "synonyms",
                where,
                "Korean header, SPSS name, then others",
                repr(column.synonyms),
                "put them in order",
            )
        elif not column.synonyms[1].isascii() or len(column.synonyms[1]) > 64:
            checker.add("spss_name", where, "ASCII, at most 64 characters", column.synonyms[1], "shorten it")
        for header in (column.name, *column.synonyms):
            taken = owner_of.setdefault(_header_key(header), column.name)
            if taken != column.name:
                checker.add(
                    "ambiguous_header",
                    where,
                    f"a header not used by {taken}",
                    header,
                    "change one of the two",
                )
        if column.unit is None:
            checker.add(
                "no_unit", where, f"a code of {MEASUREMENT_UNITS}", "none", "add the custom property unit"
            )
    surveys = [
        survey
        for survey in library.surveys.values()
        if delivery.name in (survey.contracts.response, survey.contracts.sample, survey.contracts.frame)
    ]
    if len(surveys) != 1:
        checker.add(
            "survey_of_delivery",
            f"deliveries/{delivery.name}.yaml",
            "named by exactly one survey",
            str(len(surveys)),
            "name it in data_contracts/surveys",
        )


def _check_mart(mart: TableContract, library: ContractLibrary, checker: _Reader) -> None:
    if not mart.key:
        checker.add("no_key", mart.name, "a key", "none", "mark primaryKey columns")
    for column in mart.columns:
        where = f"{mart.name}.{column.name}"
        if column.unit is None:
            checker.add(
                "no_unit", where, f"a code of {MEASUREMENT_UNITS}", "none", "add the custom property unit"
            )
        if not column.description_ko:
            checker.add("no_korean", where, "descriptionKo", "none", "add the Korean description")
        if column.identifier:
            checker.add(
                "identifier_in_mart", where, "no identifier", column.name, "a mart holds no microdata"
            )


def _check_survey(survey: Survey, library: ContractLibrary, checker: _Reader) -> None:
    where = f"surveys/{survey.survey}.yaml"
    contracts = survey.contracts
    for name in (contracts.response, contracts.sample, contracts.frame):
        if name not in library.deliveries:
            checker.add("unknown_contract", where, "a delivery contract", name, "correct the name")
        elif survey.unit_id_column not in library.deliveries[name].column_names:
            checker.add(
                "no_unit_id",
                f"deliveries/{name}.yaml",
                f"column {survey.unit_id_column}",
                "none",
                "add the column",
            )
    for question in survey.questions:
        version = library.question_versions.get(question.question_version)
        if version is None:
            checker.add(
                "unknown_question_version", where, "a known version", question.question_version, "correct it"
            )
            continue
        if version.tech_list_version != question.tech_list_version:
            checker.add(
                "tech_list_version",
                where,
                version.tech_list_version,
                question.tech_list_version,
                "make them agree",
            )
        ends_late = version.to_wave is not None and (
            question.to_wave is None or question.to_wave > version.to_wave
        )
        if question.from_wave < version.from_wave or ends_late:
            checker.add(
                "question_period",
                where,
                f"{version.question_version} within {version.from_wave} to {version.to_wave or 'today'}",
                f"{question.from_wave} to {question.to_wave or 'today'}",
                "make survey and question_versions.yaml agree",
            )
        if question.question_version not in survey.measures_by_question:
            checker.add("no_measures", where, f"measures of {question.question_version}", "none", "add them")
    revisions = {row.revision for row in library.ksic}
    for period in survey.ksic_revisions:
        if period.revision not in revisions:
            checker.add(
                "unknown_revision", where, f"one of {sorted(revisions)}", period.revision, "correct it"
            )
    _check_cells(survey, library, checker, where)
    for domain in survey.domains:
        _check_domain(domain, survey, library, checker, where)
    if survey.headline.domain_type not in [domain.type for domain in survey.domains]:
        checker.add(
            "headline", where, "a domain type of the survey", survey.headline.domain_type, "correct it"
        )
    if (
        survey.headline.base not in survey.bases
        or survey.headline.unit_weighting not in survey.unit_weightings
    ):
        checker.add(
            "headline", where, "a base and weighting of the survey", str(survey.headline), "correct it"
        )


def _check_cells(survey: Survey, library: ContractLibrary, checker: _Reader, where: str) -> None:
    frame = library.tables["core.frame"]
    for name, rule in (
        ("stratum", survey.stratum),
        ("nonresponse_class", survey.nonresponse_class),
        ("post_stratum", survey.post_stratum),
    ):
        place = f"{where}: {name}"
        for part in rule.parts:
            if part not in frame.column_names:
                checker.add("unknown_part", place, "a column of core.frame", part, "correct it")
        for step in rule.collapse:
            if step.into is None or step.part not in frame.column_names:
                continue
            code_list = library.classifications.get(frame.column(step.part).classification or "")
            parents = None if code_list is None else code_list.parent_classification
            if parents != step.into:
                checker.add(
                    "not_the_parent_list",
                    place,
                    f"the parent list of {step.part}'s codes ({parents})",
                    step.into,
                    "name the parent list, or leave `into` out to drop the part",
                )
    selection = library.deliveries.get(survey.contracts.sample)
    for part in survey.stratum.parts:
        if selection is not None and f"selection_{part}" not in selection.column_names:
            checker.add(
                "no_selection_column",
                f"deliveries/{selection.name}.yaml",
                f"column selection_{part}",
                "none",
                f"the survey's strata need it: add the column or correct {where}",
            )


def _check_domain(
    domain: Domain, survey: Survey, library: ContractLibrary, checker: _Reader, where: str
) -> None:
    place = f"{where}: domain {domain.type}"
    types = library.classifications.get("domain_types")
    if types is None or domain.type not in types.codes:
        checker.add(
            "unknown_domain_type", place, "a code of domain_types", domain.type, "add it with its labels"
        )
    table = library.tables.get("core.unit_measure" if domain.rows == "field" else "core.units")
    for name in (*domain.columns, *([domain.requires] if domain.requires else [])):
        if table is None or name not in table.column_names:
            checker.add(
                "unknown_column",
                place,
                "a column of core.units, or of core.unit_measure for rows field",
                name,
                "correct",
            )
        elif table.column(name).classification is None:
            checker.add(
                "uncoded_domain", place, "a column with a classification", name, "give the column its list"
            )
    for measure in domain.measures:
        if not any(measure in listed for listed in survey.measures_by_question.values()):
            checker.add("unknown_measure", place, "a measure of the survey", measure, "correct it")


def _check_targets(library: ContractLibrary, checker: _Reader) -> None:
    where = "targets.yaml"
    for name in library.surveys:
        if name not in library.targets:
            checker.add("no_target", where, f"a target of survey {name}", "none", "add it")
    for name, target in library.targets.items():
        if name not in library.surveys:
            checker.add("unknown_survey", where, "a survey", name, "correct it")
        if target.measure not in library.measures:
            checker.add("unknown_measure", where, "a measure", target.measure, "correct it")
