"""Files that cannot be read are said with their name, and the others are read all the same."""

from collections.abc import Callable
from pathlib import Path

Edit = Callable[[str, str, str], None]
Violations = Callable[[], list[tuple[str, str]]]


def test_broken_files_are_all_named(copy: Path, violations: Violations) -> None:
    (copy / "targets.yaml").unlink()
    (copy / "surveys" / "public.yaml").write_text("survey: [", encoding="utf-8")
    (copy / "classifications" / "regions.yaml").write_text("- a list", encoding="utf-8")
    (copy / "classifications" / "obstacles.yaml").write_bytes("이름: 시도".encode("cp949"))
    (copy / "manifest.schema.json").write_text("{", encoding="utf-8")
    assert set(violations()) == {
        ("missing_file", "targets.yaml"),
        ("not_yaml", "surveys/public.yaml"),
        ("not_a_mapping", "classifications/regions.yaml"),
        ("not_yaml", "classifications/obstacles.yaml"),
        ("not_json", "manifest.schema.json"),
    }


def test_manifest_schema_that_is_not_there_or_not_an_object(copy: Path, violations: Violations) -> None:
    schema = copy / "manifest.schema.json"
    schema.write_text("[]", encoding="utf-8")
    assert violations() == [("not_a_mapping", "manifest.schema.json")]
    schema.unlink()
    assert violations() == [("missing_file", "manifest.schema.json")]


def test_empty_folder_is_named(copy: Path, violations: Violations) -> None:
    for path in (copy / "marts").glob("*.yaml"):
        path.unlink()
    assert violations() == [("no_contracts", "marts")]


def test_models_name_the_place_of_what_they_refuse(edit: Edit, violations: Violations) -> None:
    edit("surveys/industry.yaml", "confidence_level: 0.95", "confidence_level: 95")
    edit("classifications/obstacles.yaml", "code: '01'", "code: 1")
    edit("deliveries/business_frame.yaml", "version: 1.0.0", "version: 1.0.0\nmade_up: 1")
    edit("marts/measure.yaml", "businessName: 한국어 이름", "deprecated: false")
    assert set(violations()) == {
        ("invalid_contract", "surveys/industry.yaml: confidence_level"),
        ("invalid_contract", "classifications/obstacles.yaml: items.0.code"),
        ("invalid_contract", "deliveries/business_frame.yaml: made_up"),
        ("invalid_contract", "marts/measure.yaml: measure"),
        ("no_tables", "marts/measure.yaml"),
    }


def test_file_and_list_have_the_same_name(copy: Path, violations: Violations) -> None:
    (copy / "classifications" / "obstacles.yaml").rename(copy / "classifications" / "hurdles.yaml")
    assert violations() == [("file_name", "classifications/hurdles.yaml")]


def test_a_table_has_one_contract(copy: Path, violations: Violations) -> None:
    text = (copy / "marts" / "measure.yaml").read_text(encoding="utf-8")
    (copy / "marts" / "second.yaml").write_text(text, encoding="utf-8")
    assert violations() == [("twice", "marts/second.yaml")]
