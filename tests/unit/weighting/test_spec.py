"""What is wrong with the specification of a weighting is said at once, with its place and the nearest name."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.weighting.spec import load_weighting

HEAD = "sample: s.csv\nunit: id\nbase: {weight: w}\n"
STATUS = "status: {column: d, respondent: ['1.1'], out_of_scope: ['4.1']}\n"
GIVEN = "margins: {r: {A: 1}}"


def faults(tmp_path: Path, text: str) -> dict[str, tuple[str, str]]:
    """Place -> code and hint."""
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ViolationsError) as raised:
        load_weighting(path)
    return {fault.where: (fault.code, fault.hint) for fault in raised.value.violations}


def test_every_fault_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
sample: s.csv
units: id
base: {weight: w, probability: p}
status: {column: d, respondent: ["1.1"], partial: ["1.2"], out_of_scope: ["1.1"]}
response:
  classes: [region]
  collapse: [regoin, {column: size, groups: {a: b}}, {colum: region}]
  model: {terms: [size], use: invers}
calibration: {method: rakee, margin: [region]}
trimming: {iqr: 6, high: 5}
""",
    )
    assert found == {
        "units": ("unknown_key", "did you mean unit?"),
        "unit": ("key_missing", "add unit"),
        "base": ("one_base", "give one of them"),
        "status.out_of_scope": ("code_repeated", "leave it out of one"),
        "status.partial": ("unknown_code", "did you mean 1.1?"),
        "response.collapse[0]": ("unknown_part", "did you mean region?"),
        "response.collapse[1]": ("unknown_part", "use one of them"),
        "response.collapse[2].column": ("key_missing", "add column"),
        "response.collapse[2].groups": ("key_missing", "add groups"),
        "response.collapse[2].colum": ("unknown_key", "did you mean column?"),
        "response.model.use": ("unknown_use", "did you mean inverse?"),
        "calibration.method": ("unknown_method", "did you mean rake?"),
        "calibration.margin": ("unknown_key", "did you mean margins?"),
        "trimming": ("one_limit", "give one of them"),
    }


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        (HEAD.replace("{weight: w}", "{}"), "base", "one_base"),
        (HEAD + "response: {classes: [r]}", "status", "key_missing"),
        (HEAD + STATUS + "response: {take_all: {s: 1}}", "response.stratum", "key_missing"),
        (HEAD + STATUS + "response: {classes: [propensity_class]}", "response.model", "key_missing"),
        (HEAD + STATUS + "response: {model: {terms: [x], use: classes}}", "response.classes", "key_missing"),
        (HEAD + STATUS + "response: {min_respondents: 0}", "response.min_respondents", "value_not_valid"),
        (HEAD + "calibration: {method: rake, margins: [r]}", "frame", "key_missing"),
        (HEAD + "calibration: {method: linear, totals: [x]}", "frame", "key_missing"),
        (HEAD + "frame: {file: f.csv}", "frame", "key_not_taken"),
        (HEAD + f"frame: {{file: f.csv}}\ncalibration: {{method: rake, {GIVEN}}}", "frame", "key_not_taken"),
        (HEAD + "calibration: {method: linear}", "calibration", "no_margin"),
        (HEAD + "calibration: {method: rake}", "calibration.margins", "key_missing"),
        (HEAD + f"calibration: {{method: rake, {GIVEN}, totals: {{x: 3}}}}", "calibration.totals", "key_not_taken"),
        (HEAD + f"calibration: {{method: logit, {GIVEN}}}", "calibration.bounds", "key_missing"),
        (HEAD + f"calibration: {{method: linear, {GIVEN}, bounds: [0.5, 2]}}", "calibration.bounds", "key_not_taken"),
        (HEAD + f"calibration: {{method: logit, {GIVEN}, bounds: [1.5, 2]}}", "calibration.bounds", "bounds_not_valid"),
        (
            HEAD + "calibration: {method: poststratify, margins: {a: {x: 1}, b: {x: 1}}}",
            "calibration.margins",
            "one_margin",
        ),
        (
            HEAD + f"calibration: {{method: poststratify, {GIVEN}, max_factor: 2}}",
            "calibration.max_factor",
            "key_not_taken",
        ),
        (
            HEAD + f"calibration: {{method: poststratify, {GIVEN}, collapse: [s]}}",
            "calibration.collapse[0]",
            "unknown_part",
        ),
        (HEAD + "trimming: {}", "trimming", "key_missing"),
        (HEAD + "trimming: {low: 5, high: 5}", "trimming", "limits_not_valid"),
        (HEAD + "trimming: {high: 5, share: equally}", "trimming.share", "unknown_share"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, place: str, code: str) -> None:
    found = faults(tmp_path, text)
    assert found[place][0] == code
    assert len(found) == 1


@pytest.mark.parametrize("bounds", ["narow", "[1, 2, 3]", "[0.5]"])
def test_bounds_are_two_numbers_or_narrowest(tmp_path: Path, bounds: str) -> None:
    found = faults(tmp_path, HEAD + f"calibration: {{method: logit, {GIVEN}, bounds: {bounds}}}")
    assert list(found) == ["calibration.bounds"]
    assert found["calibration.bounds"][0] in ("unknown_bounds", "value_not_valid")


def test_a_specification_that_is_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("- a\n", encoding="utf-8")
    with pytest.raises(AxstatError, match="keys and values"):
        load_weighting(path)
