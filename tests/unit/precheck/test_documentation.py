"""data_contracts/README.md names every key that a contract for any file may have, and the fixtures use no others."""

from pathlib import Path

import pytest

from pipelines.contracts.cell_form import CellForm, Unpivot
from pipelines.contracts.series import PLACES, ReplyFormat
from pipelines.intake.formats.dispatch import CONTENTS
from pipelines.precheck.file_contract import TABLE_PROPERTIES

PAGE = (Path(__file__).parents[3] / "data_contracts" / "README.md").read_text(encoding="utf-8")
NAMES = {*CellForm.model_fields, *Unpivot.model_fields, *TABLE_PROPERTIES, *CONTENTS, *ReplyFormat.__args__}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_page_names_it(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_page_names_the_columns_of_a_series() -> None:
    assert all(place in PAGE for place in PLACES)
