"""reports/methodology/release.md names every rule of the gate, in order, and whether it may be overridden."""

import re
from pathlib import Path

from pipelines.contracts.library import ContractLibrary
from pipelines.release.gate import BY_FILES, BY_ROWS

PAGE = (Path(__file__).parents[3] / "reports" / "methodology" / "release.md").read_text(encoding="utf-8")


def test_the_table_of_rules_is_that_of_the_gate(library: ContractLibrary) -> None:
    table = PAGE.partition("<!-- rules:start -->")[2].partition("<!-- rules:end -->")[0]
    told = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", table, flags=re.MULTILINE)
    rules = library.classifications["gate_rules"]
    asked = {*(rule.code for rule in (*BY_ROWS, *BY_FILES)), "override"}
    assert told == [(item.code, item.properties["override"]) for item in rules.items if item.code in asked]
