"""Everything under `data_contracts/` as one frozen library, with lists expanded and codes resolved.

Belongs here: the library and how it is put together. Does not belong here: reading single files (files,
odcs), checks across files (consistency), what contracts compile to (compiler), any query of data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
from pipelines.contracts.codebooks import CodebookForm
from pipelines.contracts.compiler import edited_table, raw_table
from pipelines.contracts.consistency import cross_checks
from pipelines.contracts.file_faults import FileFault, FileFaults
from pipelines.contracts.files import ContractFiles
from pipelines.contracts.findings import Findings
from pipelines.contracts.models import Code, TableContract
from pipelines.contracts.series import Series
from pipelines.contracts.signed import Explanation, ExplanationFile, Override, OverrideFile, PreAccessFile
from pipelines.contracts.sources import SourceFile
from pipelines.contracts.surveys import CollapseStep, Survey
from pipelines.contracts.targets import Target, TargetFile
from pipelines.errors import AxstatError

# Codes of this list are the kinds of missing answer; its labels name missing codes in every delivery.
ANSWER_STATUSES = "answer_statuses"
_CODEBOOKS = "codebooks.yaml"
_FILE_FAULTS = "file_faults.yaml"
_SOURCES = "sources.yaml"
_EXPLANATIONS, _OVERRIDES, _PRE_ACCESS = "explanations.yaml", "overrides.yaml", "pre_access.yaml"
_GATE_RULES = "classifications/gate_rules.yaml"
# No number rests on these: their versions are none of a fingerprint's.
_WITHOUT_NUMBERS = (_CODEBOOKS, _FILE_FAULTS, _SOURCES, _EXPLANATIONS, _OVERRIDES, _PRE_ACCESS, _GATE_RULES)


@dataclass(frozen=True, kw_only=True)
class ContractLibrary:
    """Everything under `data_contracts/`.

    Attributes:
        root: the folder it was read from.
        deliveries: by contract name, e.g. ``industry_response``.
        tables: every table of the warehouse, marts and compiled raw tables included, by ``schema.table``.
        classifications: code lists by id; ``ksic_sections``, ``ksic_groups`` and ``ksic_divisions`` are
            made from the KSIC file, ``measures`` and ``question_versions`` are not code lists.
        ksic: one row per revision and division.
        measures: every measure, those made from code lists included, by code.
        targets: by survey.
        series: outside series by id.
        calendar: moments of publication by wave, and embargoes.
        explanations: of implausible changes.
        overrides: of the gate's rules, each for one release.
        pre_access: who may see a release beforehand.
        codebooks: how contractors head the tables of their codebooks.
        file_faults: what is wrong with a file as a whole, by code.
        sources: where deliveries come from.
        manifest_schema: JSON schema of a delivery's manifest.
        versions: contract version by path below the root, e.g. ``deliveries/business_frame.yaml``; without those of
            sources, codebooks, faults and what persons sign: no number rests on where a file was fetched, how a
            codebook is headed, a fault is worded or who lets a release out.
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
    series: Mapping[str, Series]
    calendar: ReleaseCalendar
    explanations: tuple[Explanation, ...]
    overrides: tuple[Override, ...]
    pre_access: PreAccessFile
    codebooks: CodebookForm
    file_faults: Mapping[str, FileFault]
    sources: SourceFile
    manifest_schema: Mapping[str, Any]
    versions: Mapping[str, str]

    def groups_of(self, step: CollapseStep) -> Mapping[str, str] | None:
        """Code of the part -> code of the group that takes its place in the step; None: it is dropped."""
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
        return MappingProxyType({name: table for name, table in self.tables.items() if name.startswith("mart.")})

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
    findings = Findings(root)
    reader = ContractFiles(root, findings)
    classifications = reader.classifications()
    ksic_file = reader.one("classifications/ksic.yaml", KsicFile)
    if ksic_file is not None:
        for made in ksic_file.code_lists():
            classifications[made.id] = made
    question_file = reader.one("classifications/question_versions.yaml", QuestionVersions)
    measure_file = reader.one("classifications/measures.yaml", MeasureFile)
    target_file = reader.one("targets.yaml", TargetFile)
    calendar = reader.one("release_calendar.yaml", ReleaseCalendar)
    explanation_file = reader.one(_EXPLANATIONS, ExplanationFile)
    override_file = reader.one(_OVERRIDES, OverrideFile)
    pre_access = reader.one(_PRE_ACCESS, PreAccessFile)
    codebooks = reader.one(_CODEBOOKS, CodebookForm)
    fault_file = reader.one(_FILE_FAULTS, FileFaults)
    sources = reader.one(_SOURCES, SourceFile)
    survey_files = reader.each("surveys", Survey)
    series_files = reader.each("benchmarks", Series)
    deliveries = reader.contracts(("deliveries",))
    tables = reader.contracts(("warehouse", "marts"))
    manifest_schema = reader.manifest_schema()
    findings.raise_if_any()
    # A file that could not be read has been reported above; this tells the type checker so.
    assert ksic_file is not None
    assert question_file is not None
    assert measure_file is not None
    assert target_file is not None
    assert calendar is not None
    assert explanation_file is not None
    assert override_file is not None
    assert pre_access is not None
    assert codebooks is not None
    assert fault_file is not None
    assert sources is not None

    for values, what, where in (
        ([survey.survey for survey in survey_files], "survey", "surveys"),
        ([target.survey for target in target_file.targets], "survey", "targets.yaml"),
        ([series.id for series in series_files], "series", "benchmarks"),
        (
            [version.question_version for version in question_file.versions],
            "question version",
            "classifications/question_versions.yaml",
        ),
        ([source.id for source in sources.sources], "source", _SOURCES),
        ([fault.code for fault in fault_file.faults], "fault", _FILE_FAULTS),
    ):
        findings.add_duplicates(values, what, where)
    measures = _expand_measures(measure_file, classifications, findings)
    surveys = {survey.survey: _expand_survey(survey, measures, findings) for survey in survey_files}
    deliveries = {name: resolve_codes(table, classifications, findings) for name, table in sorted(deliveries.items())}
    tables = {name: resolve_codes(table, classifications, findings) for name, table in sorted(tables.items())}
    for contract in deliveries.values():
        for table in (raw_table(contract), edited_table(contract)):
            tables.setdefault(table.name, table)

    library = ContractLibrary(
        root=root,
        deliveries=MappingProxyType(deliveries),
        tables=MappingProxyType(tables),
        surveys=MappingProxyType(surveys),
        classifications=MappingProxyType(dict(sorted(classifications.items()))),
        ksic=ksic_file.scope(),
        question_versions=MappingProxyType({entry.question_version: entry for entry in question_file.versions}),
        measures=MappingProxyType(measures),
        targets=MappingProxyType({target.survey: target for target in target_file.targets}),
        series=MappingProxyType({series.id: series for series in series_files}),
        calendar=calendar,
        explanations=explanation_file.explanations,
        overrides=override_file.overrides,
        pre_access=pre_access,
        codebooks=codebooks,
        file_faults=MappingProxyType({fault.code: fault for fault in fault_file.faults}),
        sources=sources,
        manifest_schema=MappingProxyType(manifest_schema),
        versions=MappingProxyType(
            {path: version for path, version in sorted(reader.versions.items()) if path not in _WITHOUT_NUMBERS}
        ),
    )
    cross_checks(library, findings)
    findings.raise_if_any()
    return library


def _expand_measures(
    file: MeasureFile, classifications: Mapping[str, Classification], findings: Findings
) -> dict[str, Measure]:
    where = "classifications/measures.yaml"
    measures = list(file.measures)
    for template in file.templates:
        listed = classifications.get(template.classification)
        if listed is None:
            findings.add("unknown_classification", where, "an existing list", template.classification, "correct the id")
            continue
        measures.extend(template.expand(listed))
    findings.add_duplicates([measure.measure for measure in measures], "measure", where)
    return {measure.measure: measure for measure in sorted(measures, key=lambda entry: entry.sort_order)}


def _expand_survey(survey: Survey, measures: Mapping[str, Measure], findings: Findings) -> Survey:
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
                findings.add(
                    "unknown_measure",
                    f"surveys/{survey.survey}.yaml: measures_by_question.{version}",
                    "a measure of classifications/measures.yaml",
                    pattern,
                    "correct the measure or define it there",
                )
            names.extend(found)
        expanded[version] = tuple(names)
    return survey.model_copy(update={"measures_by_question": expanded})


def resolve_codes(
    table: TableContract, classifications: Mapping[str, Classification], findings: Findings
) -> TableContract:
    """Give every coded column its codes: those of its list, then its missing codes with common labels.

    What cannot be resolved goes to `findings`.
    """
    statuses = classifications.get(ANSWER_STATUSES)
    columns = []
    for column in table.columns:
        codes = list(column.codes)
        if column.classification is not None:
            listed = classifications.get(column.classification)
            if listed is None:
                findings.add(
                    "unknown_classification",
                    f"{table.name}.{column.name}",
                    f"one of {', '.join(sorted(classifications))}",
                    column.classification,
                    "correct the id, or add the list",
                )
                columns.append(column)
                continue
            if codes:
                findings.add(
                    "two_code_lists",
                    f"{table.name}.{column.name}",
                    "either enum or classification",
                    "both",
                    "keep the classification",
                )
            codes = [Code(value=item.code, label_ko=item.label_ko, label_en=item.label_en) for item in listed.items]
        if column.missing_codes and statuses is None:
            findings.add(
                "unknown_classification",
                f"{table.name}.{column.name}",
                f"the list {ANSWER_STATUSES}, which names missing codes",
                "none",
                "restore it",
            )
        elif statuses is not None:
            for value, kind in column.missing_codes.items():
                status = statuses.item(kind)
                codes.append(Code(value=value, label_ko=status.label_ko, label_en=status.label_en))
        columns.append(replace(column, codes=tuple(codes)))
    return replace(table, columns=tuple(columns))
