from collections.abc import Mapping

from pipelines.reporting import process_tables
from pipelines.reporting.data import ReportData
from pipelines.reporting.texts import Texts
from tests.unit.reporting.made_up import made_up_report


def test_quality_indicators_are_printed_in_their_unit(report: ReportData, texts: Mapping[str, Texts]) -> None:
    table = process_tables.quality_table(report, [texts["en"]])
    by_code = {row[1].text: row for row in table.rows}
    assert list(by_code) == [item.code for item in report.classifications["quality_indicators"].items]
    # The second and third of the list are A1, a ratio of 0.02 + 0.05, and A2, a share of 0.02 + 2 x 0.05
    assert [cell.text for cell in by_code["A1"][2:5]] == ["0.070", "0.070", "Ratio"]
    assert by_code["A2"][2].text == "12.0\u00a0%"
    assert by_code["A2"][2].kind == "share"
    a6 = by_code["A6_MR"][2]
    assert a6.text == f"{a6.value:.2f}"
    assert by_code["TP1"][4].text == "Days"


def test_every_indicator_has_its_definition_and_in_the_workbook_its_source(
    report: ReportData, texts: Mapping[str, Texts]
) -> None:
    one = process_tables.quality_table(report, [texts["ko"]])
    item = report.classifications["quality_indicators"].item("A3")
    assert next(row for row in one.rows if row[1].text == "A3")[-2].text == item.description_ko
    both = process_tables.quality_table(report, [texts["ko"], texts["en"]])
    r1 = next(row for row in both.rows if row[2].text == "R1")
    assert r1[-2].text == "mart.adoption_rate"
    assert r1[-1].text.startswith("select")


def test_an_indicator_that_cannot_be_had_says_so(texts: Mapping[str, Texts]) -> None:
    table = process_tables.quality_table(made_up_report(wave=2021), [texts["en"]])
    row = next(row for row in table.rows if row[1].text == "PANEL")
    why = "No comparable year before (first wave, or the question changed)"
    assert (row[2].text, row[2].value, row[2].note) == ("[x]", None, why)
    assert row[-1].text == why


def test_weights_have_a_column_a_survey_and_step(report: ReportData, texts: Mapping[str, Texts]) -> None:
    table = process_tables.weights_table(report, [texts["en"]])
    assert [column.group for column in table.columns[1:]] == ["Industry"] * 4 + ["Public sector"] * 4
    assert len(table.rows) == len(report.classifications["weight_diagnostics"].items)


def test_deliveries_and_balance_end_with_the_wave(texts: Mapping[str, Texts]) -> None:
    data = made_up_report(wave=2023)
    for table in (
        process_tables.deliveries_table(data, [texts["ko"]]),
        process_tables.balance_table(data, [texts["ko"]]),
    ):
        # Two surveys, three contracts, 2021 to 2023
        assert len(table.rows) == 18
        assert {row[1].text for row in table.rows} == {"2021", "2022", "2023"}


def test_every_measure_is_defined(report: ReportData, texts: Mapping[str, Texts]) -> None:
    table = process_tables.definitions_table(report, [texts["ko"], texts["en"]])
    assert len(table.rows) == report.marts["measure"].height
    assert all(cell.text for row in table.rows for cell in row)
