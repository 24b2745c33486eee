import datetime

import pytest
from pydantic import ValidationError

from pipelines.contracts.quality_values import QualityValues, SuppliedValue

REASON = {"reason_ko": "사유", "reason_en": "why"}


def values(*entries: dict[str, object]) -> QualityValues:
    return QualityValues.model_validate({"id": "quality_values", "version": "1", "values": entries})


def test_the_most_specific_entry_counts() -> None:
    supplied = values(
        {"indicator": "AC1", **REASON},
        {"indicator": "AC1", "survey": "public", "value": 1, "source": "s"},
        {"indicator": "AC1", "wave": 2025, "value": 2, "source": "s"},
        {"indicator": "AC1", "survey": "public", "wave": 2025, "value": 3, "source": "s"},
    )
    found = {
        (survey, wave): supplied.supplied("AC1", survey=survey, wave=wave)
        for survey in ("industry", "public")
        for wave in (2024, 2025)
    }
    assert {key: entry and entry.value for key, entry in found.items()} == {
        ("industry", 2024): None, ("industry", 2025): 2, ("public", 2024): 1, ("public", 2025): 3,
    }  # fmt: skip
    assert supplied.supplied("AC2", survey="public", wave=2025) is None


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"value": 1.0},
        {"source": "s"},
        {"reason_ko": "사유"},
        {"value": 1.0, "source": "s", **REASON},
        {"value": 1.0, "source": "s", "reason_en": "why"},
        {"value": float("nan"), "source": "s"},
    ],
)
def test_an_entry_has_a_value_and_its_source_or_a_reason_in_both_languages(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SuppliedValue.model_validate({"indicator": "AC1", **entry})


def test_days_are_by_release_in_quotes() -> None:
    given = {"id": "quality_values", "version": "1", "published_on": {"2025.10": "2025-12-17"}}
    assert QualityValues.model_validate(given).published_on == {"2025.10": datetime.date(2025, 12, 17)}
    for name in (2025.1, "2025", "2025.0", "latest"):
        with pytest.raises(ValidationError):
            QualityValues.model_validate({**given, "published_on": {name: "2025-12-17"}})
