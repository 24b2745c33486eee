"""What is wrong with a specification is said at once, each fault with its place and the nearest valid name."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.estimation.spec import load_specification

HEAD = "data: d.csv\ndesign: {weight: w}\n"


def faults(tmp_path: Path, text: str) -> dict[str, tuple[str, str]]:
    """Place -> code and hint."""
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ViolationsError) as raised:
        load_specification(path)
    return {fault.where: (fault.code, fault.hint) for fault in raised.value.violations}


def test_every_fault_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
data: d.csv
mising: [NA]
design: {strata: h, weight: w, lonely_psu: adjsut, wieght: w}
calibration: {method: rakee}
confidence: {level: 95, methods: [xlogitt]}
estimates:
  - {id: a, statistic: meann, measure: y}
  - {id: b, statistic: mean, mesure: y}
  - {id: c, statistic: ratio, measure: y}
  - {id: d, statistic: quantile, measure: y, probabilities: [0.5, 1.5], rule: mth}
  - {id: d, statistic: difference, measure: y, between: [{wave: 1}]}
""",
    )
    assert found == {
        "mising": ("unknown_key", "did you mean missing?"),
        "design.lonely_psu": ("unknown_lonely_psu", "did you mean adjust?"),
        "design.wieght": ("unknown_key", "did you mean weight?"),
        "calibration.method": ("unknown_method", "did you mean rake?"),
        "confidence.level": ("value_not_valid", "write 0.95"),
        "confidence.methods[0]": ("unknown_methods", "did you mean xlogit?"),
        "estimates[0].statistic": ("unknown_statistic", "did you mean mean?"),
        "estimates[1].mesure": ("unknown_key", "did you mean measure?"),
        "estimates[2].denominator": ("key_missing", "add denominator"),
        "estimates[3].probabilities[1]": ("value_not_valid", "write 0.015"),
        "estimates[3].rule": ("unknown_rule", "did you mean math?"),
        "estimates[4].between": ("two_sides", "give two"),
        "estimates[4].id": ("id_repeated", "rename one"),
    }


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        (HEAD, "estimates", "nothing_asked"),
        ("data: d.csv\nestimates: []", "design", "key_missing"),
        (
            "data: d.csv\ndesign:\nestimates:\n  - {id: a, statistic: mean, measure: y}",
            "design",
            "key_missing",
        ),
        (
            HEAD + "estimates:\n  - {id: c, statistic: contrast, coefficients: {}}",
            "estimates[0].coefficients",
            "key_missing",
        ),
        (
            HEAD + "estimates:\n  - {id: c, statistic: contrast, measure: y, coefficients: [], between: []}",
            "estimates[0].coefficients",
            "key_missing",
        ),
        ("- 1", "the whole", "not_a_mapping"),
        ("data: d.csv\ndesign: {strata: h}\nestimates: []", "design", "no_weight"),
        (
            "data: d.csv\ndesign: {stages: p, population: [N, M]}\nestimates: []",
            "design.population",
            "too_many_populations",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: mean, measure: y, denominator: x}]",
            "estimates[0].denominator",
            "key_not_taken",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: mean, measure: y, by: [[g]]}]",
            "estimates[0].by[0]",
            "value_not_valid",
        ),
        (HEAD + "calibration: {method: rake, terms: [1]}", "calibration.margins", "key_missing"),
        (HEAD + "calibration: {method: logit, terms: [1], totals: [9]}", "calibration.bounds", "key_missing"),
        (HEAD + "calibration: {method: linear, terms: [1, x], totals: [9]}", "calibration.totals", "totals_do_not_fit"),
        (
            HEAD + "calibration: {method: linear, terms: [1], totals: [9], bounds: [1]}",
            "calibration.bounds",
            "value_not_valid",
        ),
        (
            HEAD + "calibration: {method: poststratify, margins: {a: {x: 1}, b: {x: 1}}}",
            "calibration.margins",
            "one_margin",
        ),
        (HEAD + "replicates: {file: r.csv}", "replicates.scale", "key_missing"),
        (
            HEAD + "estimates: [{id: a, statistic: contrast, coefficients: {b: x}}]",
            "estimates[0].coefficients.b",
            "value_not_valid",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: contrast, coefficients: {b: 1}}]",
            "estimates[0].coefficients",
            "unknown_id",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: contrast, coefficients: {b: 1}}, "
            "{id: b, statistic: contrast, coefficients: {a: 1}}]",
            "estimates[0].coefficients",
            "contrast_of_itself",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: contrast, measure: y, between: [{g: 1}], coefficients: [1, 2]}]",
            "estimates[0].coefficients",
            "coefficients_do_not_fit",
        ),
        (
            HEAD + "estimates: [{id: a, statistic: quantile, measure: y, probabilities: [0.5], interval: quantile}]",
            "estimates[0].interval",
            "interval_not_valid",
        ),
        (HEAD + "tests: [{id: a, test: chisq, row: g}]", "tests[0].column", "key_missing"),
        (HEAD + "models: [{id: a, model: logit, outcome: y, terms: [g]}]", "models[0].model", "unknown_model"),
        (
            "data: d.csv\ndesign: {weight: w, wave_covariance: overlap}\nestimates: []",
            "design.wave",
            "key_missing",
        ),
    ],
)
def test_one_fault(tmp_path: Path, text: str, place: str, code: str) -> None:
    assert faults(tmp_path, text)[place][0] == code


def test_the_null_of_a_t_test_is_a_key(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + "tests: [{id: t, test: ttest, outcome: y, null: 0.5}]", encoding="utf-8")
    (test,) = load_specification(path).tests
    assert test.null == 0.5


ONE = "estimates: [{id: a, statistic: mean, measure: y}]"


@pytest.mark.parametrize(
    ("text", "place", "expected", "got", "hint"),
    [
        ("replicates: {file: r.csv, scale: -1}", "replicates.scale", "0 or more", "-1", "that kind"),
        ("replicates: {file: r.csv, scale: 1, rscales: -1}", "replicates.rscales", "0 or more", "-1", "that kind"),
        (
            "replicates: {file: r.csv, scale: 1, rscales: [1, -0.5]}",
            "replicates.rscales[1]",
            "0 or more",
            "-0.5",
            "that kind",
        ),
        ("confidence: {level: 95}", "confidence.level", "a share, not per cent", "95", "write 0.95"),
        ("confidence: {level: 1}", "confidence.level", "a number below 1", "1", "that kind"),
        ("confidence: {methods: []}", "confidence.methods", "at least one", "[]", "add one"),
        (
            "estimates: [{id: a, statistic: quantile, measure: y, probabilities: [0.5, 97.5]}]",
            "estimates[0].probabilities[1]",
            "a share, not per cent",
            "97.5",
            "write 0.975",
        ),
        ("calibration: {method: rake, margins: {}}", "calibration.margins", "at least one", "{}", "add one"),
        ("calibration: {method: rake, margins: {g: {}}}", "calibration.margins.g", "at least one", "{}", "add one"),
        ("estimates: {id: a, statistic: mean}", "estimates", "a list", "{'id': 'a', 'statistic': 'mean'}", "a dash"),
        (
            "estimates: [{id: a, statistic: mean, measure: y, where: {g: []}}]",
            "estimates[0].where.g",
            "at least one",
            "[]",
            "add one",
        ),
        (
            "estimates: [{id: a, statistic: mean, measure: y, by: [g, h, g]}]",
            "estimates[0].by",
            "each column once",
            "g, h, g",
            "name it once",
        ),
    ],
)
def test_what_is_to_be_done_is_said(tmp_path: Path, text: str, place: str, expected: str, got: str, hint: str) -> None:
    """The one fault of a section; estimates are there unless it has them."""
    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + text + ("" if "estimates:" in text else f"\n{ONE}"), encoding="utf-8")
    with pytest.raises(ViolationsError) as raised:
        load_specification(path)
    (fault,) = raised.value.violations
    assert fault.where == place
    assert expected in fault.expected
    assert fault.got == got
    assert hint in fault.hint


def test_codes_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        HEAD
        + "estimates: [{id: 7, statistic: mean, measure: y, where: {a: Yes, b: 01, c: 2024-05-01, d: [1, 2.5, true]}}]",
        encoding="utf-8",
    )
    (estimate,) = load_specification(path).estimates
    assert estimate.id == "7"
    assert estimate.where == {"a": ("Yes",), "b": ("01",), "c": ("2024-05-01",), "d": (1, 2.5, True)}


@pytest.mark.parametrize("text", ["a: [", "data: a.csv\ndata: b.csv", 'data: "\\ud800"', "[" * 2000 + "]" * 2000])
def test_what_is_not_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AxstatError) as raised:
        load_specification(path)
    assert raised.value.code == "not_yaml"
    assert "line" in raised.value.got


def test_a_specification_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AxstatError, match="specification_unreadable"):
        load_specification(tmp_path / "none.yaml")
