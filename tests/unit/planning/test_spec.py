"""What is wrong with the specification of a plan or a draw is said at once, with its place and the nearest name."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.planning.spec import load_draw, load_plan

HEAD = "strata: {file: s.csv, by: [h]}\nmeasures: [{id: m, proportion: p}]\ndomains: [{id: total}]\n"
TARGETS = "targets: [{domain: total, measure: m, se: 0.02}]\n"
DRAW = "survey: s\nwave: 2026\nframe: {file: f.csv, unit: u, strata: [h]}\nallocation: {file: a.csv}\n"


def faults(tmp_path: Path, text: str, *, draw: bool = False) -> dict[str, tuple[str, str]]:
    """Place -> code and hint."""
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ViolationsError) as raised:
        (load_draw if draw else load_plan)(path)
    return {fault.where: (fault.code, fault.hint) for fault in raised.value.violations}


def test_every_fault_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
strata: {file: s.csv, by: [h], populaton: N, respons: r}
measurs: [{id: m}]
measures: [{id: adoption, proportion: p}, {id: both, proportion: p, spread: s}, {id: adoption, spread: s}]
domains: [{id: total}, {id: industry, bye: [h]}]
targets:
  - {domain: totl, measure: adoption, se: 0.02}
  - {domain: total, measure: adopton, se: 0.02, cv: 0.1}
  - {domain: total, measure: adoption, se: -1}
allocation: {method: bethl}
change: {overlap: 2, correlation: 0.5}
""",
    )
    assert found == {
        "measurs": ("unknown_key", "did you mean measures?"),
        "strata.populaton": ("unknown_key", "did you mean population?"),
        "strata.respons": ("unknown_key", "did you mean response?"),
        "measures[1]": ("one_source", "leave the others out"),
        "measures[2].id": ("id_repeated", "rename one"),
        "domains[1].bye": ("unknown_key", "did you mean by?"),
        "targets[0].domain": ("unknown_domain", "did you mean total?"),
        "targets[1].measure": ("unknown_measure", "did you mean adoption?"),
        "targets[1]": ("one_precision", "give one of them"),
        "targets[2].se": ("value_not_valid", "give a value of that kind"),
        "allocation.method": ("unknown_method", "did you mean bethel?"),
        "change.overlap": ("value_not_valid", "give a value of that kind"),
    }


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        (HEAD, "targets", "no_target"),
        (HEAD + "allocation: {method: neyman, size: 9}", "allocation.measure", "key_missing"),
        (HEAD + "allocation: {method: neyman, measure: n, size: 9}", "allocation.measure", "unknown_measure"),
        (HEAD + "allocation: {method: proportional}", "allocation", "one_size"),
        (HEAD + "allocation: {method: proportional, size: 9, budget: 9}", "allocation", "one_size"),
        (HEAD + "allocation: {method: proportional, size: 9, exponent: 1}", "allocation.exponent", "key_not_taken"),
        (HEAD + TARGETS + "allocation: {size: 9}", "allocation.size", "key_not_taken"),
        (HEAD + TARGETS.replace("]", ", {domain: total, measure: m, cv: 1}]"), "targets[1]", "id_repeated"),
        (HEAD.replace("proportion: p", "mean: p"), "measures[0]", "one_source"),
        (HEAD.replace("proportion: p", "proportion: p, mean: q"), "measures[0].mean", "key_not_taken"),
        (HEAD.replace("by: [h]", "by: []"), "strata.by", "value_not_valid"),
        (HEAD.replace("domains", "domain"), "domains", "key_missing"),
        (
            HEAD.replace("{id: m, proportion: p}", "{id: m, answers: {file: a.csv}}"),
            "measures[0].answers.value",
            "key_missing",
        ),
    ],
)
def test_one_fault_of_a_plan(tmp_path: Path, text: str, place: str, code: str) -> None:
    assert faults(tmp_path, text)[place][0] == code


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        (DRAW + "overlap: 0.5", "overlap", "key_not_taken"),
        (DRAW + "last: {file: l.csv, strata: [a, b]}", "last.strata", "strata_do_not_fit"),
        (DRAW + "last: {fil: l.csv}", "last.fil", "unknown_key"),
        (DRAW.replace("wave: 2026", "wave: next"), "wave", "value_not_valid"),
        (DRAW.replace("unit: u, ", ""), "frame.unit", "key_missing"),
        (DRAW + "start: 1.0", "start", "value_not_valid"),
    ],
)
def test_one_fault_of_a_draw(tmp_path: Path, text: str, place: str, code: str) -> None:
    assert faults(tmp_path, text, draw=True)[place][0] == code


def test_names_of_columns_left_out_are_those_of_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "draw.yaml"
    path.write_text(DRAW + "last: {file: l.csv}\noverlap: 0.7", encoding="utf-8")
    made = load_draw(path)
    assert made.allocation.strata == ("h",)
    assert made.last is not None
    assert (made.last.unit, made.last.strata) == ("u", ("h",))


def test_a_file_that_is_not_yaml_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    with pytest.raises(AxstatError, match="specification_unreadable"):
        load_plan(path)
    path.write_text("strata: [", encoding="utf-8")
    with pytest.raises(AxstatError, match="not_yaml"):
        load_draw(path)
