"""The packages that axstat runs on, found in made-up installations and in this one."""

from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.release.packages import licence, needed_by

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.syspath_prepend(tmp_path)
    needed_by.cache_clear()

    def installed(name: str, *needs: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [
            "Metadata-Version: 2.4",
            f"Name: {name}",
            "Version: 1.0",
            *(f"Requires-Dist: {need}" for need in needs),
        ]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return installed


def test_what_is_needed_is_found_and_nothing_beside_it(install: Install) -> None:
    install(
        "made_up_root", "made-up-near>=1", "made-up-remote; extra == 'remote'", "made-up-other; sys_platform == 'no'"
    )
    install("Made.Up.Near", "made-up-far")
    install("made_up_far", "made-up-root")
    install("made_up_remote")
    install("made_up_other")
    found = {one.name: one.requires for one in needed_by("made-up-root")}
    assert found == {
        "made-up-far": ("made-up-root",),
        "made-up-near": ("made-up-far",),
        "made-up-root": ("made-up-near",),
    }


def test_an_extra_is_followed_where_a_requirement_asks_for_it(install: Install) -> None:
    install("made_up_root", "made-up-near", "made-up-near[xml]")
    install("made_up_near", "made-up-lxml; extra == 'xml'", "made-up-json; extra == 'json'")
    install("made_up_lxml")
    assert [one.name for one in needed_by("made-up-root")] == ["made-up-lxml", "made-up-near", "made-up-root"]


def test_a_missing_package_is_said_and_not_left_out(install: Install) -> None:
    install("made_up_root", "made-up-near")
    with pytest.raises(AxstatError, match=r"package_missing.*made-up-near"):
        needed_by("made-up-root")


def test_axstat_needs_its_libraries_and_neither_the_tools_nor_the_extras() -> None:
    needed_by.cache_clear()
    names = {one.name for one in needed_by("axstat")}
    assert {"axstat", "polars", "duckdb", "numpy", "typst", "lxml"} <= names
    assert not names & {"pytest", "mypy", "moto", "pip-audit", "hypothesis", "pyspark", "s3fs", "dagster-postgres"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("License-Expression", "apache-2.0 or BSD-2-Clause"), ("License", "MIT")], "Apache-2.0 OR BSD-2-Clause"),
        ([("License", "MIT")], "MIT"),
        ([("License", "Permission is hereby granted,\n  free of charge"), ("Classifier", "MIT License")], "MIT"),
        ([("Classifier", "Apache Software License"), ("Classifier", "MIT License")], "Apache-2.0 OR MIT"),
        ([("License", "BSD"), ("Classifier", "BSD License")], "BSD"),
        ([("Classifier", "BSD License"), ("Classifier", "MIT License")], "BSD License"),
        ([("License", "x" * 41)], None),
        ([("License", "")], None),
        ([], None),
    ],
)
def test_the_licence_is_an_spdx_expression_or_the_packages_own_words(
    lines: list[tuple[str, str]], expected: str | None
) -> None:
    told = Message()
    told["Classifier"] = "Topic :: Scientific/Engineering"
    for field, value in lines:
        told[field] = f"License :: OSI Approved :: {value}" if field == "Classifier" else value
    assert licence(told) == expected
