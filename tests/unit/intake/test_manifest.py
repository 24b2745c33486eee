import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import ViolationsError
from pipelines.intake.manifest import Manifest, find_deliveries, look_for_deliveries, read_manifest, select_files

Deliver = Callable[..., Path]
CONTRACTS = ("industry_response",)


def codes(error: pytest.ExceptionInfo[ViolationsError]) -> list[str]:
    return [violation.code for violation in error.value.violations]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_reads_a_manifest(deliver: Deliver) -> None:
    manifest = read_manifest(deliver(b"a\n1\n", entry={"encoding": "cp949", "header_rows": 2}))

    assert (manifest.survey, manifest.wave, manifest.sequence) == ("industry", 2025, 1)
    assert manifest.collection_start.isoformat() == "2025-08-01"
    [file] = manifest.files
    assert (file.encoding, file.header_rows, file.delimiter, file.sheet) == ("cp949", 2, None, None)
    assert manifest.where(file) == "d1/data.csv"


def test_all_problems_of_a_manifest_are_listed_at_once(deliver: Deliver) -> None:
    folder = deliver(
        b"a\n1\n",
        wave="2025",
        sender="",
        extra=1,
        entry={"file": "../../etc/passwd", "rows": -1, "sha256": "x"},
    )

    with pytest.raises(ViolationsError) as caught:
        read_manifest(folder)

    wheres = [violation.where for violation in caught.value.violations]
    assert wheres == [
        f"d1/manifest.json, {place}"
        for place in ("wave", "sender", "files.0.file", "files.0.sha256", "files.0.rows", "extra")
    ]


def test_a_hash_in_capitals_is_the_same_hash(deliver: Deliver) -> None:
    folder = deliver(b"a\n1\n", entry={"sha256": "AB" * 32})
    assert read_manifest(folder).files[0].sha256 == "ab" * 32


@pytest.mark.parametrize(
    ("put", "got"),
    [
        (os.mkfifo, "no file: a folder, pipe or device"),
        (Path.mkdir, "no file: a folder, pipe or device"),
        (lambda path: path.symlink_to("/dev/zero"), "a link that leads out of the folder"),
        (lambda path: path.symlink_to("../other.json"), "a link that leads out of the folder"),
        (lambda path: path.write_bytes(b" " * 1_000_001), "more than 1,000,000 bytes"),
    ],
    ids=["pipe", "folder", "device", "outside", "size"],
)
def test_what_is_no_manifest_is_told_and_neither_waited_for_nor_read_without_end(
    put: Callable[[Path], object], got: str, deliver: Deliver
) -> None:
    folder = deliver(b"a\n1\n")
    (folder.parent / "other.json").write_text('{"survey": "industry", "wave": 2025}', encoding="utf-8")
    (folder / "manifest.json").unlink()
    put(folder / "manifest.json")

    found = look_for_deliveries(folder.parent)

    [problem] = found.problems
    assert problem.waves == frozenset()
    assert [(one.code, one.got) for one in problem.violations] == [("manifest_unreadable", got)]


def test_a_manifest_may_be_a_link_within_its_folder(deliver: Deliver) -> None:
    folder = deliver(b"a\n1\n")
    (folder / "manifest.json").rename(folder / "sent.json")
    (folder / "manifest.json").symlink_to("sent.json")
    assert read_manifest(folder).survey == "industry"


# Each change breaks one rule that the JSON schema and the model both hold.
BROKEN: dict[str, Callable[[dict[str, Any]], None]] = {
    "missing_key": lambda m: m.pop("sender"),
    "unknown_key": lambda m: m.update(extra=1),
    "wave_as_text": lambda m: m.update(wave="2025"),
    "wave_too_early": lambda m: m.update(wave=1899),
    "sequence_zero": lambda m: m.update(sequence=0),
    "no_files": lambda m: m.update(files=[]),
    "delivery_with_blank": lambda m: m.update(delivery="a b"),
    "date_not_iso": lambda m: m.update(collection_start="01.08.2025"),
    "synthetic_as_text": lambda m: m.update(synthetic="yes"),
    "absolute_path": lambda m: m["files"][0].update(file="/etc/passwd"),
    "path_upwards": lambda m: m["files"][0].update(file="a/../../b.csv"),
    "path_with_backslash": lambda m: m["files"][0].update(file="a\\b.csv"),
    "path_that_a_terminal_obeys": lambda m: m["files"][0].update(file="a\x1b[2J.csv"),
    "member_that_a_terminal_obeys": lambda m: m["files"][0].update(member="a\x9b2J.csv"),
    "hash_too_short": lambda m: m["files"][0].update(sha256="ab"),
    "negative_rows": lambda m: m["files"][0].update(rows=-1),
    "other_encoding": lambda m: m["files"][0].update(encoding="utf-7"),
    "long_delimiter": lambda m: m["files"][0].update(delimiter=";;"),
    "too_many_header_rows": lambda m: m["files"][0].update(header_rows=11),
    "empty_sheet": lambda m: m["files"][0].update(sheet=""),
    "layout_without_hash": lambda m: m["files"][0].update(layout="layout.csv"),
    "layout_hash_too_short": lambda m: m["files"][0].update(layout="layout.csv", layout_sha256="ab"),
    "hash_of_no_layout": lambda m: m["files"][0].update(layout_sha256="ab" * 32),
    "hash_of_a_layout_in_a_zip": lambda m: m["files"][0].update(file="a.zip", layout="l.csv", layout_sha256="ab" * 32),
    "codebook_layout_without_hash": lambda m: m["files"][0].update(
        codebook={"file": "c.dat", "sha256": "ab" * 32, "layout": "layout.csv"}
    ),
    "codebook_without_hash": lambda m: m["files"][0].update(codebook={"file": "c.csv"}),
    "codebook_upwards": lambda m: m["files"][0].update(codebook={"file": "../c.csv", "sha256": "ab" * 32}),
    "codebook_with_rows": lambda m: m["files"][0].update(codebook={"file": "c", "sha256": "ab" * 32, "rows": 1}),
    "codebook_form": lambda m: m["files"][0].update(codebook={"file": "c", "sha256": "ab" * 32, "header_rows": 0}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_model_and_json_schema_refuse_the_same(name: str, deliver: Deliver, library: ContractLibrary) -> None:
    folder = deliver(b"a\n1\n")
    validator = Draft202012Validator(dict(library.manifest_schema))
    assert validator.is_valid(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    read_manifest(folder)

    rewrite(folder, BROKEN[name])

    assert not validator.is_valid(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    with pytest.raises(ViolationsError):
        read_manifest(folder)


def test_model_and_json_schema_have_the_same_keys(library: ContractLibrary) -> None:
    model = Manifest.model_json_schema()
    schema = library.manifest_schema
    # The folder is where the manifest was found, not something it says.
    assert set(model["properties"]) - {"folder"} == set(schema["properties"])
    assert set(model["required"]) - {"folder"} == set(schema["required"])
    file = model["$defs"]["ManifestFile"]
    listed = schema["properties"]["files"]["items"]
    assert set(file["properties"]) == set(listed["properties"])
    assert set(file["required"]) == set(listed["required"])
    codebook = model["$defs"]["SentFile"]
    assert set(codebook["properties"]) == set(listed["properties"]["codebook"]["properties"])
    assert set(codebook["required"]) == set(listed["properties"]["codebook"]["required"])


@pytest.mark.parametrize(
    ("file", "said", "named"),
    [
        (
            "part/data.dat",
            {"layout_sha256": "AB" * 32},
            {"part/form/layout.csv": "ab" * 32, "part/data.dat": "cd" * 32},
        ),
        ("part/data.ZIP", {}, {"part/data.ZIP": "cd" * 32}),
    ],
)
def test_a_layout_is_a_file_of_the_delivery_unless_it_lies_in_a_zip(
    file: str, said: dict[str, str], named: dict[str, str], deliver: Deliver, library: ContractLibrary
) -> None:
    entry = {"file": file, "sha256": "cd" * 32, "layout": "form/layout.csv", **said}
    folder = deliver(b"a\n1\n")
    rewrite(folder, lambda manifest: manifest["files"][0].update(entry))
    validator = Draft202012Validator(dict(library.manifest_schema))
    assert validator.is_valid(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    assert {sent.file: sent.sha256 for sent in read_manifest(folder).sent_files} == named


def test_a_codebook_may_be_another_sheet_of_the_same_workbook(deliver: Deliver) -> None:
    folder = deliver(b"a\n1\n")

    def name_it(manifest: dict[str, Any]) -> None:
        [entry] = manifest["files"]
        entry["codebook"] = {"file": entry["file"], "sha256": entry["sha256"], "sheet": "코드북"}

    rewrite(folder, name_it)
    [sent] = read_manifest(folder).sent_files
    assert sent.file == "data.csv"


def test_a_codebook_may_be_that_of_several_files_but_is_one_file(deliver: Deliver, library: ContractLibrary) -> None:
    folder = deliver(b"a\n1\n")
    codebook = {"file": "codebook.xlsx", "sha256": "AB" * 32, "sheet": "코드북", "header_rows": 2}

    def with_codebooks(manifest: dict[str, Any], second: dict[str, Any]) -> None:
        [entry] = manifest["files"]
        other = entry | {"file": "sample.csv", "contract": "industry_sample"}
        manifest["files"] = [entry | {"codebook": codebook}, other | {"codebook": second}]

    rewrite(folder, lambda manifest: with_codebooks(manifest, codebook))
    validator = Draft202012Validator(dict(library.manifest_schema))
    assert validator.is_valid(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    manifest = read_manifest(folder)
    assert manifest.files[0].codebook == manifest.files[1].codebook
    assert sorted(sent.file for sent in manifest.sent_files) == ["codebook.xlsx", "data.csv", "sample.csv"]
    assert {sent.sha256 for sent in manifest.sent_files if sent.file == "codebook.xlsx"} == {"ab" * 32}

    rewrite(folder, lambda manifest: manifest["files"][1]["codebook"].update(sha256="cd" * 32))
    with pytest.raises(ViolationsError, match=r"codebook\.xlsx stands with two sha256"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"delivery": "\xff"}',
        b'{"wave": 2024, "wave": 2025}',
        b'{"folder": "/tmp"}',
    ],
    ids=["cut_off", "a_list", "not_utf8", "key_twice", "key_of_our_own"],
)
def test_a_manifest_that_is_no_manifest(content: bytes, deliver: Deliver) -> None:
    folder = deliver(b"a\n1\n")
    (folder / "manifest.json").write_bytes(content)

    with pytest.raises(ViolationsError) as caught:
        read_manifest(folder)

    assert codes(caught) == ["manifest_unreadable"]
    assert "d1/manifest.json" in str(caught.value)


def test_dates_that_do_not_fit_the_wave(deliver: Deliver) -> None:
    early = deliver(b"a\n1\n", collection_start="2024-08-01", collection_end="2024-07-01")

    with pytest.raises(ViolationsError) as caught:
        read_manifest(early)

    assert "collection_end lies before collection_start" in str(caught.value)
    assert "wave 2025 does not fit a collection that starts in 2024" in str(caught.value)


def test_a_collection_may_start_in_the_year_after_the_wave(deliver: Deliver) -> None:
    folder = deliver(b"a\n1\n", collection_start="2026-02-01", collection_end="2026-04-01")
    assert read_manifest(folder).collection_start.year == 2026


def test_deliveries_are_found_in_order_and_uploads_left_alone(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="b", sequence=2)
    deliver(b"a\n2\n", folder="c", wave=2024, collection_start="2024-08-01")
    root = deliver(b"a\n3\n", folder="a").parent
    (root / "uploading").mkdir()
    deliver(b"a\n4\n", folder=".hidden", delivery="hidden")

    assert [manifest.delivery for manifest in find_deliveries(root)] == ["c", "a", "b"]
    assert find_deliveries(root / "absent") == []


def test_problems_of_all_deliveries_are_raised_at_once(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="first", wave=1)
    deliver(b"a\n1\n", folder="second", sequence=0)
    deliver(b"a\n1\n", folder="third", delivery="same")
    root = deliver(b"a\n1\n", folder="fourth", delivery="same").parent

    with pytest.raises(ViolationsError) as caught:
        find_deliveries(root)

    assert codes(caught) == ["manifest_invalid", "manifest_invalid", "delivery_repeated"]
    assert [violation.where for violation in caught.value.violations] == [
        "first/manifest.json, wave",
        "second/manifest.json, sequence",
        "fourth, third",
    ]


def statuses(root: Path) -> list[tuple[str, str, str | None]]:
    selected = select_files(find_deliveries(root), survey="industry", wave=2025, contracts=CONTRACTS)
    return [(one.manifest.delivery, one.status, one.reason) for one in selected]


def test_a_corrected_delivery_replaces_the_earlier(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="first")
    root = deliver(b"a\n2\n", folder="second", sequence=2).parent

    assert statuses(root) == [
        ("first", "superseded", "replaced by second/data.csv"),
        ("second", "current", None),
    ]


def test_the_same_file_sent_again_changes_nothing(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="first")
    root = deliver(b"a\n1\n", folder="second", sequence=2).parent

    assert statuses(root) == [
        ("first", "current", None),
        ("second", "superseded", "same content as first/data.csv"),
    ]


def test_a_correction_that_is_taken_back_counts(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="first")
    deliver(b"a\n2\n", folder="second", sequence=2)
    root = deliver(b"a\n1\n", folder="third", sequence=3).parent

    assert [status for _, status, _ in statuses(root)] == ["superseded", "superseded", "current"]


def test_what_makes_a_choice_impossible_is_listed_at_once(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="first")
    deliver(b"a\n2\n", folder="second")
    deliver(b"a\n3\n", folder="third", contract="business_fram", question_version="yn-2019")
    root = deliver(b"a\n2\n", folder="old", wave=2024, collection_start="2024-08-01").parent

    with pytest.raises(ViolationsError) as caught:
        select_files(
            find_deliveries(root),
            survey="industry",
            wave=2025,
            contracts=("industry_response", "business_frame"),
        )

    assert codes(caught) == [
        "unknown_contract",
        "missing_file",
        "sequence_repeated",
        "file_of_another_wave",
        "question_versions_differ",
    ]
    text = str(caught.value)
    assert "first/data.csv, second/data.csv" in text
    assert "the bytes that delivery old sent for the wave 2024" in text
    assert "a file for the contract business_frame" in text


def test_mistakes_that_were_corrected_since_do_not_count(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="old", wave=2024, collection_start="2024-08-01")
    deliver(b"a\n1\n", folder="mistaken", question_version="yn-2019")
    deliver(b"a\n2\n", folder="corrected", sequence=2)
    root = deliver(b"a\n2\n", folder="older", wave=2023, collection_start="2023-08-01").parent
    deliver(b"a\n3\n", folder="older2", wave=2023, collection_start="2023-08-01", sequence=2)

    assert statuses(root) == [
        ("mistaken", "superseded", "replaced by corrected/data.csv"),
        ("corrected", "current", None),
    ]


def test_other_surveys_and_waves_are_not_selected(deliver: Deliver) -> None:
    deliver(b"a\n1\n", folder="public", survey="public", contract="public_response")
    deliver(b"a\n2\n", folder="old", wave=2024, collection_start="2024-08-01")
    root = deliver(b"a\n3\n", folder="ours").parent

    assert [delivery for delivery, _, _ in statuses(root)] == ["ours"]
