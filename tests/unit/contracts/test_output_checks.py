"""What `outputs.yaml` names must be in the marts' contracts."""

from collections.abc import Callable

import pytest

from pipelines.contracts.library import ContractLibrary

Edit = Callable[[str, str, str], None]
Violations = Callable[[], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("{table: mart.progress, id: PROGRESS", "{table: mart.gone, id: PROGRESS", ("unknown_table", "sdmx.PROGRESS")),
        ("id: PROGRESS, value: estimate", "id: PROGRESS, value: rate", ("unknown_column", "sdmx.PROGRESS")),
        ("table: mart.progress, id: PROGRESS", "table: mart.domain, id: PROGRESS", ("no_time", "sdmx.PROGRESS")),
        ("figures: [estimate, se,", "figures: [estimate, error,", ("unknown_column", "json_stat")),
        ("cubes: [survey, domain_type]", "cubes: [survey, n]", ("unknown_column", "json_stat.cubes")),
        ("classifications: [domain_type, domain_code, unit_weighting]", "classifications: [domain_type, domain_code]",
         ("ambiguous_rows", "kosis.DT_AX_IND_01")),
        ("{column: se, unit: share_points}", "{column: se, unit: points}", ("unknown_unit", "kosis.DT_AX_IND_01.se")),
        ("- id: DT_AX_IND_02", "- id: DT_AX_IND_01", ("duplicate", "")),
    ],
)  # fmt: skip
def test_a_name_that_no_contract_has_is_reported(
    edit: Edit, violations: Violations, old: str, new: str, found: tuple[str, str]
) -> None:
    edit("outputs.yaml", old, new)
    code, place = found
    assert (code, f"outputs.yaml: {place}" if place else "outputs.yaml") in violations()


def test_units_of_kosis_are_powers_of_ten(library: ContractLibrary) -> None:
    """So that a number of twelve digits keeps its digits."""
    assert {unit.times for unit in library.outputs.kosis.units.values()} == {1, 100}
