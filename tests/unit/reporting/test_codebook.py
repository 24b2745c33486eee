"""The codebook against DDI-Codebook 2.5: namespace, required elements, and the order in which its schema has them."""

import datetime
from pathlib import Path

import pytest
from lxml import etree

from pipelines.contracts.library import ContractLibrary
from pipelines.reporting.codebook import write_codebook
from pipelines.reporting.data import ReportData
from tests.unit.reporting.made_up import library as contracts

DDI = "{ddi:codebook:2_5}"
XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
# Sequences of the schema codebook.xsd of version 2.5, as far as they are used
ORDER = {
    "codeBook": "docDscr stdyDscr fileDscr dataDscr otherMat",
    "docDscr": "citation guide docStatus docSrc controlledVocabUsed notes",
    "citation": "titlStmt rspStmt prodStmt distStmt serStmt verStmt biblCit holdings notes",
    "titlStmt": "titl subTitl altTitl parTitl IDNo",
    "prodStmt": "producer copyright prodDate prodPlac software fundAg grantNo",
    "distStmt": "distrbtr contact depositr depDate distDate",
    "stdyDscr": "citation studyAuthorization stdyInfo studyDevelopment method dataAccs othrStdyMat notes",
    "stdyInfo": "studyBudget subject abstract sumDscr qualityStatement notes exPostEvaluation",
    "sumDscr": "timePrd collDate nation geogCover geogUnit geoBndBox boundPoly anlyUnit universe dataKind",
    "method": "dataColl notes anlyInfo stdyClas dataProcessing codingInstructions",
    "dataColl": "timeMeth dataCollector collectorTraining frequenc sampProc sampleFrame targetSampleSize deviat "
    "collMode resInstru instrumentDevelopment sources collSitu actMin ConOps weight cleanOps",
    "fileTxt": "fileName fileCitation dataFingerprint fileCont fileStrc dimensns fileType format filePlac dataChck "
    "ProcStat dataMsng software verStmt",
    "var": "location labl imputation security embargo respUnit anlysUnit qstn valrng invalrng undocCod universe "
    "TotlResp sumStat txt stdCatgry catgryGrp catgry codInstr verStmt concept derivation varFormat geoMap catLevel "
    "notes",
    "catgry": "catValu labl txt catStat mrow",
}


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return contracts()


def write(library: ContractLibrary, report: ReportData, target: Path, remark: str | None = "made up") -> None:
    write_codebook(
        library, report.marts, target, wave=2025, release="2025.1", published=datetime.date(2025, 12, 17),
        collection=report.collection, remark=remark,
    )  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, report: ReportData) -> Path:
    path = tmp_path_factory.mktemp("codebook") / "codebook.xml"
    write(library, report, path)
    return path


@pytest.fixture(scope="module")
def root(path: Path) -> etree._Element:
    return etree.parse(path).getroot()


def texts(root: etree._Element, path: str) -> list[str]:
    return [element.text or "" for element in root.findall("/".join(f"{DDI}{part}" for part in path.split("/")))]


def test_elements_are_those_of_the_schema_and_in_its_order(root: etree._Element) -> None:
    assert root.tag == f"{DDI}codeBook"
    assert root.get("version") == "2.5"
    for element in root.iter():
        name = etree.QName(element)
        assert name.namespace == "ddi:codebook:2_5"
        if name.localname in ORDER:
            order = ORDER[name.localname].split()
            places = [order.index(etree.QName(child).localname) for child in element]
            assert places == sorted(places), name.localname


def test_ids_are_unique_and_references_find_theirs(root: etree._Element) -> None:
    ids = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(set(ids)) == len(ids)
    files = {element.get("ID") for element in root.findall(f"{DDI}fileDscr")}
    assert {var.get("files") for var in root.iter(f"{DDI}var")} == files


def test_studies_say_whom_they_ask_how_and_for_what(root: etree._Element, library: ContractLibrary) -> None:
    studies = root.findall(f"{DDI}stdyDscr")
    for study, survey in zip(studies, library.surveys.values(), strict=True):
        assert texts(study, "citation/titlStmt/titl") == [survey.label_en]
        assert texts(study, "citation/titlStmt/parTitl") == [survey.label_ko]
        assert texts(study, "stdyInfo/sumDscr/universe") == [survey.population_en, survey.population_ko]
        assert survey.note_en in texts(study, "method/dataColl/sampProc")[0]
        assert "calibrated" in texts(study, "method/dataColl/weight")[0]
        asked = [library.question_versions[period.question_version] for period in survey.questions]
        told = " ".join(texts(study, "method/dataColl/resInstru"))
        assert all(question.wording_en in told and question.wording_ko in told for question in asked)
        target = library.targets[survey.survey]
        assert f"{target.year}: {target.value}" in texts(study, "notes")[0]
        assert texts(study, "stdyInfo/sumDscr/collDate") == ["2025-08-01", "2025-10-15"]


def test_every_column_of_every_table_is_a_variable_with_its_labels(
    root: etree._Element, library: ContractLibrary, report: ReportData
) -> None:
    variables = {var.get("ID"): var for var in root.iter(f"{DDI}var")}
    expected = {
        f"V_{name}_{column.name}": column for name in report.marts for column in library.marts[f"mart.{name}"].columns
    }
    assert set(variables) == set(expected)
    for id_, column in expected.items():
        assert texts(variables[id_], "labl") == [column.label_en, column.label_ko]
        assert texts(variables[id_], "txt") == [column.description, column.description_ko]
    sizes = {file.get("ID"): texts(file, "fileTxt/dimensns/caseQnty") for file in root.findall(f"{DDI}fileDscr")}
    assert sizes == {f"F_{name}": [str(frame.height)] for name, frame in report.marts.items()}
    measure = variables["V_adoption_rate_measure"]
    assert texts(measure, "catgry/catValu") == list(library.measures)
    assert texts(measure, "catgry/txt")[0] == library.measures["ai_adoption"].definition_en


def test_it_tells_of_no_microdata(root: etree._Element, library: ContractLibrary) -> None:
    names = {var.get("name") for var in root.iter(f"{DDI}var")}
    assert not names & {
        column.name for table in library.deliveries.values() for column in table.columns if column.identifier
    }


def test_synthetic_data_are_labelled_and_bytes_stable(
    root: etree._Element, path: Path, library: ContractLibrary, report: ReportData, tmp_path: Path
) -> None:
    assert texts(root, "docDscr/notes") == ["made up"]
    write(library, report, tmp_path / "again.xml")
    assert (tmp_path / "again.xml").read_bytes() == path.read_bytes()
    write(library, report, tmp_path / "real.xml", remark=None)
    assert texts(etree.parse(tmp_path / "real.xml").getroot(), "docDscr/notes") == []
