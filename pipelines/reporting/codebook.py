"""The codebook of a release as DDI-Codebook 2.5: both surveys, and every published table with its variables.

Belongs here: the XML and its order of elements. Does not belong here: what is said (the contracts of surveys, marts,
targets and questions, and `outputs.yaml`). It describes published tables only: no microdata and no variable of them.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from lxml import etree

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Code, Column, TableContract
from pipelines.contracts.surveys import Survey
from pipelines.reporting.code_lists import codes_by_column

NAMESPACE = "ddi:codebook:2_5"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def write_codebook(
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    target: Path,
    *,
    wave: int,
    release: str,
    published: datetime.date,
    collection: Mapping[str, tuple[datetime.date, datetime.date]],
    remark: str | None = None,
) -> None:
    """Write the codebook; texts are in English and Korean side by side.

    Args:
        marts: published tables by name without schema.
        collection: first and last day of data collection of `wave` by survey.
        remark: stands as a note on the document, e.g. that the data are synthetic.
    """
    root = etree.Element(f"{{{NAMESPACE}}}codeBook", nsmap={None: NAMESPACE})
    root.set("version", "2.5")
    root.set("ID", f"axstat_{release}".replace(".", "_"))
    root.set(_LANGUAGE, "en")
    _document(_add(root, "docDscr"), library, release, published, remark)
    for survey in library.surveys.values():
        days = collection.get(survey.survey)
        _study(_add(root, "stdyDscr"), survey, library, wave=wave, release=release, published=published, days=days)
    for name, frame in marts.items():
        _file(_add(root, "fileDscr"), library.marts[f"mart.{name}"], frame.height)
    data = _add(root, "dataDscr")
    for name in marts:
        table = library.marts[f"mart.{name}"]
        codes = codes_by_column(table, marts, all_labelled=False)
        for column in table.columns:
            _variable(_add(data, "var"), table, column, codes.get(column.name, ()), library)
    etree.indent(root, space=" ")
    target.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n")


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    made = etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}")
    for name, value in attributes.items():
        made.set(name, value)
    if text is not None:
        made.text = text
    return made


def _both(parent: etree._Element, tag: str, en: str, ko: str | None, **attributes: str) -> None:
    """An element in English, and the same again in Korean where there is one."""
    for language, text in (("en", en), ("ko", ko)):
        if text:
            _add(parent, tag, text, **attributes).set(_LANGUAGE, language)


def _title(citation: etree._Element, en: str, ko: str, identifier: str) -> None:
    titles = _add(citation, "titlStmt")
    _add(titles, "titl", en).set(_LANGUAGE, "en")
    _add(titles, "parTitl", ko).set(_LANGUAGE, "ko")
    _add(titles, "IDNo", identifier)


def _document(
    part: etree._Element, library: ContractLibrary, release: str, published: datetime.date, remark: str | None
) -> None:
    publisher = library.outputs.publisher
    citation = _add(part, "citation")
    _title(citation, f"{publisher.label_en}: codebook", f"{publisher.label_ko}: 코드북", f"axstat {release}")
    production = _add(citation, "prodStmt")
    _both(production, "producer", publisher.label_en, publisher.label_ko)
    _add(production, "prodDate", published.isoformat(), date=published.isoformat())
    if remark:
        _add(part, "notes", remark)


def _study(
    part: etree._Element,
    survey: Survey,
    library: ContractLibrary,
    *,
    wave: int,
    release: str,
    published: datetime.date,
    days: tuple[datetime.date, datetime.date] | None,
) -> None:
    publisher, study = library.outputs.publisher, library.outputs.study
    citation = _add(part, "citation")
    _title(citation, survey.label_en, survey.label_ko, f"axstat {survey.survey} {wave}")
    _both(_add(citation, "rspStmt"), "AuthEnty", publisher.label_en, publisher.label_ko)
    distribution = _add(citation, "distStmt")
    _both(distribution, "distrbtr", publisher.label_en, publisher.label_ko)
    _add(distribution, "distDate", published.isoformat(), date=published.isoformat())
    _add(_add(citation, "verStmt"), "version", release, date=published.isoformat())

    about = _add(part, "stdyInfo")
    _both(_add(about, "subject"), "keyword", study.subject_en, study.subject_ko)
    target = library.targets[survey.survey]
    _both(about, "abstract", target.definition_en, target.definition_ko)
    summary = _add(about, "sumDscr")
    for event, year in (("start", survey.first_wave), ("end", wave)):
        _add(summary, "timePrd", str(year), event=event, date=str(year))
    if days is not None:
        for event, day in zip(("start", "end"), days, strict=True):
            _add(summary, "collDate", day.isoformat(), event=event, date=day.isoformat())
    _both(summary, "nation", study.nation_en, study.nation_ko, abbr=study.nation_code)
    _both(summary, "anlyUnit", survey.unit_en, survey.unit_ko)
    _both(summary, "universe", survey.population_en, survey.population_ko)
    _both(summary, "dataKind", study.data_kind_en, study.data_kind_ko)

    method = _add(part, "method")
    collection = _add(method, "dataColl")
    _both(collection, "sampProc", f"{study.sampling_en} {survey.note_en}", f"{study.sampling_ko} {survey.note_ko}")
    for period in survey.questions:
        if period.from_wave <= wave:
            question = library.question_versions[period.question_version]
            _both(
                collection,
                "resInstru",
                f"{question.label_en}: {question.wording_en}",
                f"{question.label_ko}: {question.wording_ko}",
            )
    _both(collection, "weight", study.weighting_en, study.weighting_ko)
    _both(_add(method, "anlyInfo"), "EstSmpErr", study.error_en, study.error_ko)

    rates = library.marts["mart.adoption_rate"]
    _add(_add(_add(part, "dataAccs"), "useStmt"), "conditions", rates.licence)
    _both(
        part,
        "notes",
        f"Target for {target.year}: {target.value}. {target.denominator_en}. {target.interpretation_en}",
        f"{target.year}년 목표: {target.value}. {target.denominator_ko}. {target.interpretation_ko}",
        type="target",
    )


def _file(part: etree._Element, table: TableContract, rows: int) -> None:
    name = table.name.partition(".")[2]
    part.set("ID", f"F_{name}")
    text = _add(part, "fileTxt")
    _add(text, "fileName", f"csv/{name}.csv")
    _both(text, "fileCont", f"{table.title_en}. {table.description} {table.grain}.", table.title_ko)
    size = _add(text, "dimensns")
    _add(size, "caseQnty", str(rows))
    _add(size, "varQnty", str(len(table.columns)))
    _add(text, "fileType", "CSV", charset="UTF-8")


def _variable(
    var: etree._Element, table: TableContract, column: Column, codes: Sequence[Code], library: ContractLibrary
) -> None:
    name = table.name.partition(".")[2]
    var.set("ID", f"V_{name}_{column.name}")
    var.set("name", column.name)
    var.set("files", f"F_{name}")
    numeric = column.type in ("DOUBLE", "INTEGER", "BIGINT")
    var.set("intrvl", "contin" if numeric else "discrete")
    _both(var, "labl", column.label_en, column.label_ko)
    if column.name == "question_version":
        question = _add(var, "qstn")
        for version in library.question_versions.values():
            _both(question, "qstnLit", version.wording_en, version.wording_ko)
    _both(var, "txt", column.description, column.description_ko)
    for code in codes:
        category = _add(var, "catgry")
        _add(category, "catValu", code.value)
        _both(category, "labl", code.label_en, code.label_ko)
        measure = library.measures.get(code.value) if column.name == "measure" else None
        if measure is not None:
            _both(category, "txt", measure.definition_en, measure.definition_ko)
    if column.unit is not None:
        _add(var, "concept", column.unit, vocab="measurement_units")
    _add(var, "varFormat", type="numeric" if numeric else "character")
