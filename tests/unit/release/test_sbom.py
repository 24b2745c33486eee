"""The bill of materials: valid, complete, and the same bytes for the same packages."""

import datetime
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pipelines.release.packages import Package, needed_by
from pipelines.release.sbom import write_sbom

ROOT = Path(__file__).parents[3]
PUBLISHED = datetime.datetime(2026, 3, 31, 12, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=9)))
PACKAGES = (
    Package("axstat", "0.1.0", "Apache-2.0", ("one", "two")),
    Package("one", "1.2", "MIT AND PSF-2.0", ("two",)),
    Package("two", "3!4.5+local", "LGPL with exceptions", ()),
    Package("unsaid", "6", None, ()),
)


def written(target: Path, packages: tuple[Package, ...] = PACKAGES, lock: str | None = "ab" * 32) -> dict:
    write_sbom(packages, target, root="axstat", published=PUBLISHED, lock_sha256=lock)
    return json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", ["ab" * 32, None])
@pytest.mark.parametrize("packages", [PACKAGES, needed_by("axstat")], ids=["made up", "of axstat"])
def test_it_is_valid_cyclonedx(tmp_path: Path, packages: tuple[Package, ...], lock: str | None) -> None:
    written(tmp_path / "sbom.json", packages, lock)
    text = (tmp_path / "sbom.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace('"type": "library"', '"type": "book"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_it_says_name_version_address_licence_and_needs(tmp_path: Path) -> None:
    document = written(tmp_path / "sbom.json")
    assert document["metadata"]["timestamp"] == "2026-03-31T03:00:00+00:00"
    assert document["metadata"]["component"] == {
        "bom-ref": "axstat",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "name": "axstat",
        "type": "application",
        "version": "0.1.0",
    }
    told = {one["name"]: (one.get("version"), one.get("purl"), one.get("licenses")) for one in document["components"]}
    assert told == {
        "requirements.lock": (None, None, None),
        "one": ("1.2", "pkg:pypi/one@1.2", [{"expression": "MIT AND PSF-2.0"}]),
        "two": ("3!4.5+local", "pkg:pypi/two@3%214.5%2Blocal", [{"license": {"name": "LGPL with exceptions"}}]),
        "unsaid": ("6", "pkg:pypi/unsaid@6", None),
    }
    needs = {one["ref"]: one.get("dependsOn") for one in document["dependencies"]}
    assert needs["axstat"] == ["one", "two"]
    assert needs["one"] == ["two"]
    [lock] = [one for one in document["components"] if one["type"] == "file"]
    assert lock["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_another_package_or_lock_is_another_document(tmp_path: Path) -> None:
    serials = {
        written(tmp_path / "sbom.json", packages, lock)["serialNumber"]
        for packages in (PACKAGES, PACKAGES[:-1])
        for lock in ("ab" * 32, None)
    }
    assert len(serials) == 4


def test_the_same_packages_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    program = (
        "import datetime, pathlib, sys; from pipelines.release.packages import needed_by;"
        "from pipelines.release.sbom import write_sbom;"
        "write_sbom(needed_by('axstat'), pathlib.Path(sys.argv[1]), root='axstat', lock_sha256=None,"
        "published=datetime.datetime(2026, 3, 31, 3, tzinfo=datetime.UTC))"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / seed],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        )
    document = (tmp_path / "1").read_bytes()
    assert document == (tmp_path / "2").read_bytes()
    assert f'"purl": "pkg:pypi/polars@{version("polars")}"'.encode() in document
    for place in (str(ROOT), sys.prefix, str(Path.home())):
        assert place.encode() not in document
