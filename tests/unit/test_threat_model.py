"""`reports/methodology/threat_model.md` against the tree: the tests, modules and decisions that it names are there."""

import ast
import re
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipelines.contracts.library import load_library
from pipelines.errors import ViolationsError
from pipelines.estimation.plain_yaml import read_yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "reports" / "methodology" / "threat_model.md").read_text(encoding="utf-8")
TABLE = PAGE.split("<!-- threats:start -->")[1].split("<!-- threats:end -->")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TABLE.strip().splitlines()[2:]]
THREATS = [row for row in ROWS if not row[0].startswith("**")]


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", THREATS, ids=[row[0] for row in THREATS])
def test_every_threat_has_its_code_and_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4, row
    _, against, shown, _ = row
    names = re.findall(r"`(tests/[^`]+)`", shown)
    assert names
    for name in names:
        file, _, test = name.partition("::")
        assert test.startswith("test_")
        assert test in names_in(ROOT / file), name
    assert against


def test_every_file_and_decision_that_is_named_is_there() -> None:
    files = set(re.findall(r"`((?:pipelines|reports|tests)/[\w/.]+)", PAGE))
    assert len(files) > 20
    assert [name for name in sorted(files) if not (ROOT / name).is_file()] == []
    for number in re.findall(r"decision (\d{4})", PAGE):
        assert list((ROOT / "reports" / "decisions").glob(f"{number}-*.md"))


def test_the_annex_leads_here() -> None:
    assert "`threat_model.md`" in (ROOT / "reports" / "methodology" / "README.md").read_text(encoding="utf-8")


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    """Neither in a specification nor in a contract, and no reader of the program takes another loader."""
    made = tmp_path / "made"
    text = f'id: !!python/object/apply:os.mkdir ["{made.as_posix()}"]\n'
    with pytest.raises(yaml.YAMLError, match=r"os\.mkdir"):
        read_yaml(text)
    shutil.copytree(ROOT / "data_contracts", tmp_path / "contracts")
    (tmp_path / "contracts" / "release_calendar.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ViolationsError, match=r"not_yaml.*release_calendar"):
        load_library(tmp_path / "contracts")
    assert not made.exists()
    called = {
        call
        for path in (ROOT / "pipelines").rglob("*.py")
        for call in re.findall(r"yaml\.\w*load\w*\([^\n]*", path.read_text(encoding="utf-8"))
    }
    assert len(called) > 3
    safe = r"yaml\.safe_load\(|yaml\.load\(.*Loader=(yaml\.CSafeLoader|_Loader|loader)\)"
    assert [call for call in called if not re.match(safe, call)] == []
