import pytest

from pipelines.reporting.addresses import Address, cell_address, common_start, parse_address, row_address
from pipelines.reporting.data import ReportData

_ROW = {"survey": "industry", "wave": 2025, "estimate": 0.3}


def test_an_address_is_read_as_it_is_written() -> None:
    address = cell_address(row_address("adoption_rate", _ROW, ("survey", "wave")), "estimate")
    assert address == "adoption_rate;survey=industry;wave=2025;estimate"
    assert parse_address(address) == Address("adoption_rate", (("survey", "industry"), ("wave", "2025")), "estimate")
    assert cell_address("", "estimate") == ""


@pytest.mark.parametrize("text", ["", "adoption_rate", "adoption_rate;estimate", "adoption_rate;survey=industry"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse_address(text)


def test_what_a_row_has_in_common_ends_between_parts() -> None:
    row = "m;domain_code=AX1;unit_weighting="
    assert common_start([f"{row}unit;estimate", f"{row}unit;se"]) == f"{row}unit"
    # Not "unit_weighting=" alone, and not a part of a code
    assert common_start([f"{row}unit;estimate", f"{row}employment;se"]) == "m;domain_code=AX1"
    assert common_start(["m;a=12;x", "m;a=13;x"]) == "m"
    assert common_start([]) == ""


def test_an_estimate_has_the_address_of_its_row(report: ReportData) -> None:
    rate = report.headline("public")
    address = parse_address(rate.address("se"))
    [row] = report.marts["adoption_rate"].filter(
        **{name: type(getattr(rate, name))(value) for name, value in address.key}
    ).to_dicts()  # fmt: skip
    assert (address.mart, row[address.column]) == ("adoption_rate", rate.se)
