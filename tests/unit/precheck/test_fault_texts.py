"""Every code by which a whole file is refused or remarked on has its texts in both languages, and is told by them."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, Violation
from pipelines.intake.codebook.differences import DifferenceKind
from pipelines.precheck.codebook_told import difference_texts
from pipelines.precheck.fault_texts import fault_texts, rule_texts
from pipelines.precheck.letter import fault_text, plain_fault
from pipelines.settings import load_settings

PIPELINES = Path(__file__).parents[3] / "pipelines"
# What these raise is not about a file that was sent: it ends a command or a run, whose errors are in English.
NOT_OF_A_FILE = (
    "intake/edits.py",  # edit files of the statisticians
    "intake/form.py",  # options of a command
    "intake/manifest.py",
    "intake/series/",  # replies of other offices
    "intake/sources/",  # where deliveries are fetched from
    "precheck/codebook_run.py",  # options of a command
    "precheck/file_contract.py",  # a contract for axstat read
    "precheck/run.py",  # options of a command
)
RAISING = {"Violation": 0, "file_error": 1}
# Codes that are no literal where they are given -> what they can be there.
COMPUTED = {
    ("intake/delivery.py", "f'wrong_{key}'"): {"wrong_survey", "wrong_wave"},
    ("intake/formats/json_lines.py", "code"): set(),  # those of the _LineErrors
    ("precheck/codebook_told.py", "difference.kind"): set(get_args(DifferenceKind)),
}


@dataclass(frozen=True)
class Given:
    """A code as a call gives it: literals, or else the expression."""

    file: str
    literals: frozenset[str]
    expression: str | None


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("intake", "precheck"):
        for path in sorted((PIPELINES / folder).rglob("*.py")):
            name = path.relative_to(PIPELINES).as_posix()
            if not name.startswith(NOT_OF_A_FILE):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def handed_on(node: ast.AST, known: dict[str, int]) -> Iterator[ast.expr]:
    """What calls below `node` of the names in `known` are given as code."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in known:
            named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
            yield named[0] if named else call.args[known[call.func.id]]


def is_code(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "code"


def raising(module: ast.Module) -> tuple[dict[str, int], set[int]]:
    """What makes a violation of a code, by name with the place of that argument, and the arguments of the module's own
    functions that are their caller's."""
    known, theirs = dict(RAISING), set[int]()
    for made in ast.walk(module):
        if isinstance(made, ast.ClassDef) and made.name.endswith("Error"):
            for one in made.body:
                if isinstance(one, ast.FunctionDef) and one.name == "__init__" and "code" in arguments(one):
                    known[made.name] = arguments(one).index("code") - 1
    functions = [one for one in ast.walk(module) if isinstance(one, ast.FunctionDef) and "code" in arguments(one)]
    for _ in functions:  # one may hand it on to another
        for function in functions:
            theirs_here = {id(value) for value in handed_on(function, known) if is_code(value)}
            if theirs_here:
                known[function.name] = arguments(function).index("code")
                theirs |= theirs_here
    return known, theirs


def arguments(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in function.args.args]


def given_codes(file: str, module: ast.Module) -> Iterator[Given]:
    known, theirs = raising(module)
    for value in handed_on(module, known):
        if id(value) not in theirs:
            parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            literals = frozenset(part.value for part in parts if isinstance(part, ast.Constant))
            whole = len(literals) == len(parts)
            yield Given(file, literals if whole else frozenset(), None if whole else ast.unparse(value))


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(load_settings({}).contracts_dir)


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return [one for file, module in modules() for one in given_codes(file, module)]


def test_every_code_can_be_told(given: list[Given]) -> None:
    assert {(one.file, one.expression) for one in given if one.expression} == COMPUTED.keys()


def test_every_code_has_its_texts_and_every_text_is_used(library: ContractLibrary, given: list[Given]) -> None:
    raised = {code for one in given for code in one.literals}.union(*COMPUTED.values())
    assert len(raised) > 40
    assert raised == library.file_faults.keys() | difference_texts().keys()


def test_no_code_means_two_things(library: ContractLibrary) -> None:
    rules = {code for contract in library.deliveries.values() for code in rule_texts(contract)}
    assert rules == {"not_selected", "not_on_frame"}
    for one, other in (
        (library.file_faults.keys(), difference_texts().keys()),
        (library.file_faults.keys(), rules),
        (difference_texts().keys(), rules),
    ):
        assert not one & other


def test_texts_are_in_their_language(library: ContractLibrary) -> None:
    """Names of keys in the manifest and of formats may stand in Korean texts, but no two words of English in a row."""
    told = [*library.file_faults.values(), *difference_texts().values()]
    for text in told:
        for korean in (text.message_ko, text.action_ko):
            assert re.search("[가-힣]{2}", korean), text.code
            assert not re.search("[A-Za-z]+ [A-Za-z]+", korean.replace("JSON Lines", "")), text.code
        assert (text.message_en + text.action_en).isascii(), text.code
    for text in library.file_faults.values():
        assert re.search(r"(니다|십시오)\.$", text.message_ko), text.code
        assert text.action_ko.endswith("."), text.code


def test_a_code_without_text_is_an_error(library: ContractLibrary) -> None:
    with pytest.raises(AxstatError, match=r"\[fault_without_text\].*\n.*\n.*none for odd") as caught:
        fault_texts([Violation("odd", "f.csv", "a", "b", "c"), Violation("too_large", "f.csv", "a", "b", "c")], {})
    assert "too_large" in caught.value.got
    assert fault_texts([], library.file_faults) == {}


def test_a_fault_is_told_in_either_language(library: ContractLibrary) -> None:
    violation = Violation("ragged_rows", "f.csv", "3 cells", "2 cells", "quote cells", tuple(range(1, 14)))
    texts = fault_texts([violation], library.file_faults)
    assert fault_text(violation, texts, "en") == str(violation)
    assert fault_text(violation, texts, "ko").splitlines() == [
        "[ragged_rows] f.csv, 행 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 외 3개: 칸 수가 다른 행이 있습니다.",
        "  기준: 3 cells",
        "  실제: 2 cells",
        f"  조치: {texts['ragged_rows'].action_ko}",
    ]
    told = json.loads(json.dumps(plain_fault(violation, texts)))
    assert told["hint"] == "quote cells"
    assert told["message_ko"] == "칸 수가 다른 행이 있습니다."
    assert told["message_en"] == "Rows have different numbers of cells."
    assert {"action_ko", "action_en"} <= told.keys()
    assert told["rows"] == list(range(1, 14))


def test_what_changed_in_a_codebook_is_told_in_korean() -> None:
    violation = Violation("text_changed", "f.sav, variable A1", "'a'", "'b'", "check that it is the same")
    texts = fault_texts([violation], difference_texts())
    told = fault_text(violation, texts, "ko").splitlines()
    assert told[0] == "[text_changed] f.sav, variable A1: 문구가 바뀌었습니다"
    assert told[-1] == "  조치: 여전히 같은 변수인지 확인하십시오."
