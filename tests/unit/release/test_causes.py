"""What two releases rest on differently, one thing at a time."""

from typing import Any

import pytest

from pipelines.release.causes import Cause, causes


def manifest(**other: Any) -> dict[str, Any]:
    made_with = {
        "axstat": "1", "git_revision": "a", "lock_sha256": "l", "contracts": {"targets.yaml": "1"}, "words_sha256": "w",
        **other.pop("made_with", {}),
    }  # fmt: skip
    sent = {
        "survey": "industry",
        "wave": 2024,
        "contract": "c",
        "status": "current",
        "delivery": "d1",
        "file_sha256": "x",
    }
    base = {"made_with": made_with, "deliveries": [sent], "edit_files": [], "outside_series": {"a/b.json": "b"}}
    return {**base, **other}


SENT = manifest()["deliveries"][0]
EDIT = {"survey": "public", "wave": 2023, "edit_sha256": "e"}
NEW = {**SENT, "delivery": "d2", "file_sha256": "y"}


@pytest.mark.parametrize(
    ("after", "expected", "words"),
    [
        (
            manifest(deliveries=[{**SENT, "status": "superseded"}, NEW]),
            [Cause("delivery", "industry", 2024, "c", "d1", "d2")],
            "delivery of industry 2024: c of d2, in place of d1",
        ),
        (
            manifest(deliveries=[SENT, {**NEW, "wave": 2023}]),
            [Cause("delivery", "industry", 2023, "c", None, "d2")],
            "delivery of industry 2023: c of d2, new",
        ),
        (
            manifest(edit_files=[EDIT]),
            [Cause("edits", "public", 2023, "", "0", "1")],
            "edit files of public 2023: 1 file(s) where there were 0, or others",
        ),
        (
            manifest(made_with={"contracts": {"targets.yaml": "2"}}),
            [Cause("contract", what="targets.yaml", before="1", after="2")],
            "contract targets.yaml: version 2 where it was 1",
        ),
        (manifest(outside_series={"a/b.json": "c"}), [Cause("outside_series")], "figures fetched from other offices"),
        (manifest(made_with={"words_sha256": "v"}), [Cause("words")], "words or look of the report"),
        (
            manifest(made_with={"git_revision": "b"}),
            [Cause("program", before="a", after="b")],
            "program: b where it was a",
        ),
        (
            manifest(made_with={"lock_sha256": "m"}),
            [Cause("libraries", before="l", after="m")],
            "libraries: m where it was l",
        ),
    ],
)  # fmt: skip
def test_one_thing_that_changed(after: dict[str, Any], expected: list[Cause], words: str) -> None:
    found = causes(manifest(), after)
    assert found == expected
    assert str(found[0]) == words


def test_all_that_changed_is_named_and_the_program_only_where_nothing_else_did() -> None:
    after = manifest(deliveries=[NEW], edit_files=[EDIT], made_with={"contracts": {}, "git_revision": "b"})
    assert [cause.cause for cause in causes(manifest(), after)] == ["delivery", "edits", "contract"]


def test_the_same_bytes_of_another_delivery_and_what_an_older_manifest_lacks_are_no_cause() -> None:
    assert causes(manifest(), manifest(deliveries=[{**SENT, "delivery": "d9"}])) == []
    old = manifest()
    del old["edit_files"], old["outside_series"], old["made_with"]["words_sha256"]
    assert causes(old, manifest(edit_files=[EDIT])) == []
