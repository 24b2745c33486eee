import pytest
from pydantic import ValidationError

from pipelines.contracts.revisions import DeclaredRevision, Revisions

SAID = {"kind": "correction", "cause": "data", "reason_ko": "사유", "reason_en": "why", "who": "statistician"}


def declared(*scopes: dict[str, object]) -> Revisions:
    entries = [{**SAID, **scope, "who": str(number)} for number, scope in enumerate(scopes)]
    return Revisions.model_validate({"id": "revisions", "version": "1", "revisions": entries})


def test_the_most_specific_entry_counts() -> None:
    found = declared(
        {"wave": 2023},
        {"wave": 2023, "survey": "public"},
        {"vintage": "2023.2"},
        {"vintage": "2023.2", "wave": 2023},
        {"vintage": "2023.2", "wave": 2023, "survey": "public"},
    )
    expected = {
        ("2024.1", "industry", 2023): "0",
        ("2024.1", "public", 2023): "1",
        ("2023.2", "industry", 2022): "2",
        ("2023.2", "industry", 2023): "3",
        ("2023.2", "public", 2023): "4",
    }
    for (vintage, survey, wave), who in expected.items():
        entry = found.declared(vintage=vintage, survey=survey, wave=wave)
        assert entry is not None
        assert entry.who == who
    assert found.declared(vintage="2024.1", survey="industry", wave=2022) is None


@pytest.mark.parametrize(
    "scope",
    [{}, {"survey": "public"}, {"vintage": 2023.2}, {"vintage": "2023"}, {"wave": 2023, "kind": "oops"},
     {"wave": 2023, "reason_en": ""}],
)  # fmt: skip
def test_an_entry_names_a_release_or_a_year_and_says_all(scope: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DeclaredRevision.model_validate({**SAID, **scope})
