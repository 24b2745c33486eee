"""Holds the contract files against each other: every name that one uses, another must define.

Belongs here: checks across files, and on a file what its model cannot check. Does not belong here: reading
files (files), checks of data (quality, sql/checks).
"""

import unicodedata
from typing import TYPE_CHECKING

from pipelines.contracts.classifications import Classification
from pipelines.contracts.compiler import polars_type
from pipelines.contracts.findings import Findings
from pipelines.contracts.models import QualityRule, TableContract
from pipelines.contracts.surveys import Domain, Survey
from pipelines.errors import AxstatError

if TYPE_CHECKING:
    from pipelines.contracts.library import ContractLibrary

MEASUREMENT_UNITS = "measurement_units"
# Lists of answers that every unit is asked; fields are asked of those alone that serve them.
IMPUTABLE = ("stage_answers", "yes_no_answers")


def _header_key(header: str) -> str:
    """Form in which headers are compared: composed (NFKC), without white space or letter case."""
    return "".join(unicodedata.normalize("NFKC", header).casefold().split())


def cross_checks(library: "ContractLibrary", findings: Findings) -> None:
    """Add to `findings` whatever does not fit together between the files of a library."""
    for classification in library.classifications.values():
        _check_classification(classification, library, findings)
    _check_ksic(library, findings)
    for table in (*library.deliveries.values(), *library.tables.values()):
        _check_table(table, library, findings)
    for delivery in library.deliveries.values():
        _check_delivery(delivery, library, findings)
        _check_fault_codes(delivery, library, findings)
    for mart in library.marts.values():
        _check_mart(mart, library, findings)
    for survey in library.surveys.values():
        _check_survey(survey, library, findings)
    _check_targets(library, findings)
    _check_sources(library, findings)
    _check_signed(library, findings)
    _check_manifest_schema(library, findings)


def _check_classification(classification: Classification, library: "ContractLibrary", findings: Findings) -> None:
    where = f"classifications/{classification.id}.yaml"
    findings.add_duplicates(list(classification.codes), "code", where)
    findings.add_duplicates([str(item.sort_order) for item in classification.items], "sort_order", where)
    parent_list = classification
    if classification.parent_classification is not None:
        named = library.classifications.get(classification.parent_classification)
        if named is None:
            findings.add(
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
            findings.add(
                "unknown_parent",
                f"{where}: {item.code}",
                f"a code of {parent_list.id}",
                item.parent,
                "correct it",
            )
        if classification.parent_classification is not None and item.parent is None:
            findings.add("no_parent", f"{where}: {item.code}", f"a code of {parent_list.id}", "none", "add `parent`")


def _check_ksic(library: "ContractLibrary", findings: Findings) -> None:
    where = "classifications/ksic.yaml"
    findings.add_duplicates([f"{row.revision}/{row.division}" for row in library.ksic], "division a revision", where)
    groups = library.classifications["ksic_groups"]
    sections = library.classifications["ksic_sections"]
    industries = library.classifications.get("ax_industries")
    for row in library.ksic:
        place = f"{where}: {row.revision}/{row.division}"
        if row.section not in sections.codes:
            findings.add("unknown_section", place, "a section of the file", row.section, "correct it")
        if row.ksic_group is not None:
            if row.ksic_group not in groups.codes:
                findings.add("unknown_group", place, "a group of the file", row.ksic_group, "correct it")
            elif groups.item(row.ksic_group).parent != row.section:
                findings.add(
                    "group_of_another_section",
                    place,
                    f"a group of section {row.section}",
                    row.ksic_group,
                    "correct it",
                )
        if row.ax_industry is not None:
            if industries is None or row.ax_industry not in industries.codes:
                findings.add("unknown_industry", place, "a code of ax_industries", row.ax_industry, "correct it")
            if row.ksic_group is None:
                findings.add("industry_out_of_scope", place, "a division in scope", row.ax_industry, "correct it")


def _check_table(table: TableContract, library: "ContractLibrary", findings: Findings) -> None:
    findings.add_duplicates(list(table.column_names), "column", table.name)
    findings.add_duplicates([rule.id for rule in (*table.quality, *table.sql_rules)], "rule id", table.name)
    units = library.classifications.get(MEASUREMENT_UNITS)
    for column in table.columns:
        where = f"{table.name}.{column.name}"
        try:
            polars_type(column.type)
        except AxstatError as error:
            findings.add("unknown_type", where, error.expected, error.got, error.hint)
        if column.unit is not None and (units is None or column.unit not in units.codes):
            findings.add("unknown_unit", where, f"a code of {MEASUREMENT_UNITS}", column.unit, "correct it")
        findings.add_duplicates([code.value for code in column.codes], "code", where)
        for version in column.question_versions:
            if version not in library.question_versions:
                findings.add("unknown_question_version", where, "a known version", version, "correct it")
    for name in table.key:
        if not table.column(name).required:
            findings.add("nullable_key", f"{table.name}.{name}", "required: true", "false", "a key has no NULL")
    for rule in table.quality:
        for name in _columns_of_rule(rule):
            if name not in table.column_names:
                findings.add("unknown_column", f"{table.name}: rule {rule.id}", "a column", name, "correct it")


def _check_sql_rules(delivery: TableContract, survey: Survey, findings: Findings) -> None:
    """What a rule may read: files are staged frame first, then sample, then answers."""
    contracts = survey.contracts
    there = {
        contracts.frame: {"previous"},
        contracts.sample: {"frame", "previous"},
        contracts.response: {"frame", "sample", "previous"},
    }[delivery.name]
    for rule in delivery.sql_rules:
        where = f"deliveries/{delivery.name}.yaml: rule {rule.id}"
        if late := sorted({*rule.reads} - there):
            findings.add("reads_too_early", where, f"reads of {', '.join(sorted(there))}", ", ".join(late), "correct")
        if "previous" in rule.reads and rule.severity != "warning":
            hint = "warn: what another wave says keeps no row out, or results would hang on the order of runs"
            findings.add("previous_keeps_out", where, "severity warning with previous", rule.severity, hint)


def _check_fault_codes(delivery: TableContract, library: "ContractLibrary", findings: Findings) -> None:
    """Violations of a file are told by their code, be it a rule's id or a fault's."""
    for rule in (*delivery.quality, *delivery.sql_rules):
        if rule.severity == "fail_file" and rule.id in library.file_faults:
            where = f"deliveries/{delivery.name}.yaml: rule {rule.id}"
            findings.add(
                "id_is_a_fault", where, "an id that no code of file_faults.yaml has", rule.id, "rename the rule"
            )


def _columns_of_rule(rule: QualityRule) -> list[str]:
    names = [rule.kwargs[key] for key in ("column", "column_A", "column_B") if key in rule.kwargs]
    listed = rule.kwargs.get("column_list")
    if isinstance(listed, list):
        names.extend(listed)
    return [str(name) for name in names]


def _check_delivery(delivery: TableContract, library: "ContractLibrary", findings: Findings) -> None:
    owner_of: dict[str, str] = {}
    for column in delivery.columns:
        where = f"deliveries/{delivery.name}.yaml: {column.name}"
        two_row = [synonym for synonym in column.synonyms if " / " in synonym]
        if len(two_row) != 1:
            findings.add("two_row_header", where, "one synonym with ' / '", str(len(two_row)), "give it exactly one")
        if len(column.synonyms) < 2 or (two_row and two_row[0] in column.synonyms[:2]):
            findings.add(
                "synonyms",
                where,
                "Korean header, SPSS name, then others",
                repr(column.synonyms),
                "put them in order",
            )
        elif not column.synonyms[1].isascii() or len(column.synonyms[1]) > 64:
            findings.add("spss_name", where, "ASCII, at most 64 characters", column.synonyms[1], "shorten it")
        for header in (column.name, *column.synonyms):
            taken = owner_of.setdefault(_header_key(header), column.name)
            if taken != column.name:
                findings.add(
                    "ambiguous_header",
                    where,
                    f"a header not used by {taken}",
                    header,
                    "change one of the two",
                )
        if column.unit is None:
            findings.add("no_unit", where, f"a code of {MEASUREMENT_UNITS}", "none", "add the custom property unit")
    surveys = [
        survey
        for survey in library.surveys.values()
        if delivery.name in (survey.contracts.response, survey.contracts.sample, survey.contracts.frame)
    ]
    if len(surveys) != 1:
        findings.add(
            "survey_of_delivery",
            f"deliveries/{delivery.name}.yaml",
            "named by exactly one survey",
            str(len(surveys)),
            "name it in data_contracts/surveys",
        )
    else:
        _check_sql_rules(delivery, surveys[0], findings)


def _check_mart(mart: TableContract, library: "ContractLibrary", findings: Findings) -> None:
    if not mart.key:
        findings.add("no_key", mart.name, "a key", "none", "mark primaryKey columns")
    for column in mart.columns:
        where = f"{mart.name}.{column.name}"
        if column.unit is None:
            findings.add("no_unit", where, f"a code of {MEASUREMENT_UNITS}", "none", "add the custom property unit")
        if not column.description_ko:
            findings.add("no_korean", where, "descriptionKo", "none", "add the Korean description")
        if column.identifier:
            findings.add("identifier_in_mart", where, "no identifier", column.name, "a mart holds no microdata")


def _check_survey(survey: Survey, library: "ContractLibrary", findings: Findings) -> None:
    where = f"surveys/{survey.survey}.yaml"
    contracts = survey.contracts
    for name in (contracts.response, contracts.sample, contracts.frame):
        if name not in library.deliveries:
            findings.add("unknown_contract", where, "a delivery contract", name, "correct the name")
        elif survey.unit_id_column not in library.deliveries[name].column_names:
            findings.add(
                "no_unit_id",
                f"deliveries/{name}.yaml",
                f"column {survey.unit_id_column}",
                "none",
                "add the column",
            )
    for question in survey.questions:
        version = library.question_versions.get(question.question_version)
        if version is None:
            findings.add("unknown_question_version", where, "a known version", question.question_version, "correct it")
            continue
        if version.tech_list_version != question.tech_list_version:
            findings.add(
                "tech_list_version",
                where,
                version.tech_list_version,
                question.tech_list_version,
                "make them agree",
            )
        ends_late = version.to_wave is not None and (question.to_wave is None or question.to_wave > version.to_wave)
        if question.from_wave < version.from_wave or ends_late:
            findings.add(
                "question_period",
                where,
                f"{version.question_version} within {version.from_wave} to {version.to_wave or 'today'}",
                f"{question.from_wave} to {question.to_wave or 'today'}",
                "make survey and question_versions.yaml agree",
            )
        if question.question_version not in survey.measures_by_question:
            findings.add("no_measures", where, f"measures of {question.question_version}", "none", "add them")
    revisions = {row.revision for row in library.ksic}
    for period in survey.ksic_revisions:
        if period.revision not in revisions:
            findings.add("unknown_revision", where, f"one of {sorted(revisions)}", period.revision, "correct it")
    _check_cells(survey, library, findings, where)
    _check_imputation(survey, library, findings, where)
    _check_small_area(survey, library, findings, where)
    for domain in survey.domains:
        _check_domain(domain, survey, library, findings, where)
    if survey.headline.domain_type not in [domain.type for domain in survey.domains]:
        findings.add("headline", where, "a domain type of the survey", survey.headline.domain_type, "correct it")
    dividing = [domain.type for domain in survey.domains if len(domain.columns) == 1 and domain.rows == "unit"]
    if survey.scenario_parts not in dividing:
        findings.add("scenario_parts", where, f"one of {', '.join(dividing)}", survey.scenario_parts, "correct it")
    if survey.headline.base not in survey.bases or survey.headline.unit_weighting not in survey.unit_weightings:
        findings.add("headline", where, "a base and weighting of the survey", str(survey.headline), "correct it")


def _check_cells(survey: Survey, library: "ContractLibrary", findings: Findings, where: str) -> None:
    frame = library.tables.get("core.frame")
    if frame is None:
        findings.add("missing_table", "warehouse", "a contract of core.frame", "none", "restore it")
        return
    for name, rule in (
        ("stratum", survey.stratum),
        ("nonresponse_class", survey.nonresponse_class),
        ("post_stratum", survey.post_stratum),
        *([("imputation", survey.imputation.classes)] if survey.imputation and survey.imputation.classes else []),
    ):
        place = f"{where}: {name}"
        modelled = survey.response_model is not None and survey.response_model.use == "classes"
        made = {"propensity_class"} if modelled and name == "nonresponse_class" else set()
        for part in rule.parts:
            if part not in frame.column_names and part not in made:
                findings.add("unknown_part", place, "a column of core.frame", part, "correct it")
        for step in rule.collapse:
            if step.into is None or step.part not in frame.column_names:
                continue
            code_list = library.classifications.get(frame.column(step.part).classification or "")
            parents = None if code_list is None else code_list.parent_classification
            if parents != step.into:
                findings.add(
                    "not_the_parent_list",
                    place,
                    f"the parent list of {step.part}'s codes ({parents})",
                    step.into,
                    "name the parent list, or leave `into` out to drop the part",
                )
    for term in survey.response_model.terms if survey.response_model else ():
        for column in term.split(":"):
            if column not in frame.column_names:
                findings.add("unknown_term", f"{where}: response_model", "a column of core.frame", column, "correct it")
    selection = library.deliveries.get(survey.contracts.sample)
    for part in survey.stratum.parts:
        if selection is not None and f"selection_{part}" not in selection.column_names:
            findings.add(
                "no_selection_column",
                f"deliveries/{selection.name}.yaml",
                f"column selection_{part}",
                "none",
                f"the survey's strata need it: add the column or correct {where}",
            )


def _check_imputation(survey: Survey, library: "ContractLibrary", findings: Findings, where: str) -> None:
    rule, delivery = survey.imputation, library.deliveries.get(survey.contracts.response)
    if rule is None or delivery is None:
        return
    place = f"{where}: imputation"
    for name in rule.variables:
        if name not in delivery.column_names:
            findings.add("unknown_column", place, f"a column of {delivery.name}", name, "correct it")
        elif delivery.column(name).classification not in IMPUTABLE:
            findings.add(
                "not_imputable",
                place,
                f"a column coded by {' or '.join(IMPUTABLE)}, which every unit is asked",
                f"{name}, coded by {delivery.column(name).classification}",
                "leave it out",
            )
    for deduction in rule.deductions:
        told = dict.fromkeys(deduction.variables, (deduction.value,)) | deduction.when
        for name, values in told.items():
            if name not in delivery.column_names:
                findings.add("unknown_column", f"{place}: deductions", f"a column of {delivery.name}", name, "correct")
                continue
            column = delivery.column(name)
            answers = [code.value for code in column.codes if code.value not in column.missing_codes]
            known = answers if name in deduction.variables else [code.value for code in column.codes]
            for value in values:
                if value not in known:
                    findings.add("unknown_code", f"{place}: {name}", f"one of {', '.join(known)}", value, "correct it")


def _check_small_area(survey: Survey, library: "ContractLibrary", findings: Findings, where: str) -> None:
    rule, frame = survey.small_area, library.tables.get("core.frame")
    if rule is None or frame is None:
        return
    place = f"{where}: small_area"
    dividing = [domain.type for domain in survey.domains if domain.columns and domain.rows == "unit"]
    if rule.domain_type not in dividing:
        findings.add("unknown_domain_type", place, f"one of {', '.join(dividing)}", rule.domain_type, "correct it")
    for measure in rule.measures:
        if not any(measure in listed for listed in survey.measures_by_question.values()):
            findings.add("unknown_measure", place, "a measure of the survey", measure, "correct it")
    for covariate in rule.covariates:
        if not covariate.column:
            continue
        if covariate.column not in frame.column_names:
            findings.add("unknown_column", place, "a column of core.frame", covariate.column, "correct it")
            continue
        known = [code.value for code in frame.column(covariate.column).codes]
        for code in covariate.codes:
            if code not in known:
                findings.add(
                    "unknown_code", f"{place}: {covariate.column}", f"one of {', '.join(known)}", code, "correct"
                )


def _check_domain(domain: Domain, survey: Survey, library: "ContractLibrary", findings: Findings, where: str) -> None:
    place = f"{where}: domain {domain.type}"
    types = library.classifications.get("domain_types")
    if types is None or domain.type not in types.codes:
        findings.add("unknown_domain_type", place, "a code of domain_types", domain.type, "add it with its labels")
    table = library.tables.get("core.unit_measure" if domain.rows == "field" else "core.units")
    for name in (*domain.columns, *([domain.requires] if domain.requires else [])):
        if table is None or name not in table.column_names:
            findings.add(
                "unknown_column",
                place,
                "a column of core.units, or of core.unit_measure for rows field",
                name,
                "correct",
            )
        elif table.column(name).classification is None:
            findings.add("uncoded_domain", place, "a column with a classification", name, "give the column its list")
    for measure in domain.measures:
        if not any(measure in listed for listed in survey.measures_by_question.values()):
            findings.add("unknown_measure", place, "a measure of the survey", measure, "correct it")


def _check_targets(library: "ContractLibrary", findings: Findings) -> None:
    where = "targets.yaml"
    for name in library.surveys:
        if name not in library.targets:
            findings.add("no_target", where, f"a target of survey {name}", "none", "add it")
    for name, target in library.targets.items():
        if name not in library.surveys:
            findings.add("unknown_survey", where, "a survey", name, "correct it")
        if target.measure not in library.measures:
            findings.add("unknown_measure", where, "a measure", target.measure, "correct it")


def _check_sources(library: "ContractLibrary", findings: Findings) -> None:
    for source in library.sources.sources:
        for survey in source.surveys:
            if survey not in library.surveys:
                findings.add("unknown_survey", f"sources.yaml: {source.id}", "a survey", survey, "correct it")


def _check_signed(library: "ContractLibrary", findings: Findings) -> None:
    """Explanations are about surveys that exist, overrides about rules that may be overridden, each once a release."""
    for explanation in library.explanations:
        if explanation.survey not in library.surveys:
            known = ", ".join(library.surveys)
            findings.add("unknown_survey", "explanations.yaml", f"one of {known}", explanation.survey, "correct it")
    rules = library.classifications["gate_rules"]
    overridable = [item.code for item in rules.items if item.properties.get("override") == "yes"]
    for override in library.overrides:
        if override.rule not in overridable:
            findings.add(
                "no_override",
                f"overrides.yaml: {override.release}",
                f"a rule that may be overridden: {', '.join(overridable)}",
                override.rule,
                "mend the cause, or correct the rule's code",
            )
    named = [f"{override.release} {override.rule}" for override in library.overrides]
    findings.add_duplicates(named, "release and rule", "overrides.yaml")


def _check_manifest_schema(library: "ContractLibrary", findings: Findings) -> None:
    """The schema is read by senders too, so it names surveys and contracts itself."""
    where = "manifest.schema.json"
    properties = library.manifest_schema.get("properties", {})
    file_properties = properties.get("files", {}).get("items", {}).get("properties", {})
    for what, listed, known in (
        ("survey", properties.get("survey", {}).get("enum"), library.surveys),
        ("contract", file_properties.get("contract", {}).get("enum"), library.deliveries),
    ):
        if sorted(listed or ()) != sorted(known):
            findings.add("manifest_enum", f"{where}: {what}", ", ".join(sorted(known)), str(listed), "list them all")
