"""What the file of sources may say, and that no refusal repeats a secret that stands in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.sources import Source
from pipelines.errors import ViolationsError

SFTP = {"user": "A_USER", "password": "A_PASSWORD"}


def source(**keys: Any) -> Source:
    return Source.model_validate({"id": "far", "surveys": ["industry"], **keys})


def refused(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        source(**keys)
    return str(caught.value)


def test_the_projects_file_names_no_source(library: ContractLibrary) -> None:
    """Deliveries are what is dropped into the deliveries folder until somebody names a source."""
    assert library.sources.sources == ()
    assert library.sources.settle_seconds == 60


def test_the_example_in_the_projects_file_is_a_source(library: ContractLibrary) -> None:
    text = (library.root / "sources.yaml").read_text(encoding="utf-8")
    example = [line.removeprefix("#") for line in text.splitlines() if line.startswith("#   ")]
    [entry] = yaml.safe_load("\n".join(example))
    assert Source.model_validate(entry).kind == "sftp"


@pytest.mark.parametrize(
    ("url", "keys", "kind"),
    [
        ("file:///srv/dropbox", {}, "file"),
        ("http://files.example.org/out", {"index": "index.json"}, "http"),
        ("https://files.example.org/out", {"deliveries": ["a"], "credentials": {"token": "A_TOKEN"}}, "http"),
        ("s3://bucket/prefix", {"credentials": {"key": "A_KEY", "secret": "A_SECRET"}, "region": "x"}, "s3"),
        ("sftp://files.example.org:2222/out", {"credentials": SFTP, "known_hosts": "/etc/hosts"}, "sftp"),
    ],
)
def test_each_kind_has_its_address(url: str, keys: dict[str, Any], kind: str) -> None:
    assert source(url=url, **keys).kind == kind


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "ftp://h/x"}, "must start with one of file://"),
        ({"url": "/srv/x"}, "must start with one of"),
        ({"url": "file://srv/x"}, "file:/// and its full path"),
        ({"url": "s3:///x"}, "names no host or bucket"),
        ({"url": "http://h:port/"}, "not an address"),
        ({"url": "http://h/"}, "either `index` or `deliveries`"),
        ({"url": "http://h/", "index": "i", "deliveries": ["a"]}, "either `index` or `deliveries`"),
        ({"url": "http://h/", "index": "../i"}, "below `url`"),
        ({"url": "http://h/", "deliveries": ["../a"]}, "pattern"),
        ({"url": "file:///x", "index": "i"}, "only sources of kind http"),
        ({"url": "file:///x", "endpoint": "http://h"}, "only sources of kind s3"),
        ({"url": "file:///x", "credentials": {"user": "A"}}, "environment variables of: none"),
        ({"url": "sftp://h/x"}, "key_file, user; or of:"),
        ({"url": "s3://b/x", "credentials": {"key": "A"}}, "key, secret"),
        ({"url": "http://h/", "index": "i", "credentials": {"token": "A"}}, "unencrypted: use https"),
        ({"url": "s3://b", "endpoint": "http://h", "credentials": {"key": "A", "secret": "B"}}, "unencrypted"),
        ({"url": "file:///x", "surveys": []}, "at least 1"),
        ({"url": "file:///x", "id": "../x"}, "pattern"),
        ({"url": "file:///x", "limits": {"seconds": 0}}, "greater than or equal to 1"),
        ({"url": "file:///x", "password": "x"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_said(keys: dict[str, Any], said: str) -> None:
    assert said in refused(**keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "sftp://user:marker-secret@h/x", "credentials": SFTP},
        {"url": "sftp://marker-secret@h/x", "credentials": SFTP},
        {"url": "https://h/x?sig=marker-secret", "index": "i"},
        {"url": "https://h/x#marker-secret", "index": "i"},
        {"url": "s3://b/x", "endpoint": "https://k:marker-secret@h"},
        {"url": "https://h/x", "index": "i", "credentials": {"token": "marker-secret"}},
        {"url": "https://h/x", "index": "i", "credentials": {"marker": "MARKER"}, "password": "marker-secret"},
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(copy: Path, keys: dict[str, Any]) -> None:
    assert "marker-secret" not in refused(**keys)
    entry = {"id": "far", "surveys": ["industry"], **keys}
    content = {"id": "sources", "version": "1.0.0", "settle_seconds": 60, "sources": [entry]}
    (copy / "sources.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ViolationsError) as caught:
        load_library(copy)
    assert "sources.yaml: sources.0" in str(caught.value)
    assert "marker-secret" not in str(caught.value)
    assert "marker-secret" not in repr(caught.value.violations)


def test_surveys_exist_and_ids_differ(copy: Path, violations: Callable[[], list[tuple[str, str]]]) -> None:
    entry = {"id": "far", "surveys": ["industri"], "url": "file:///x"}
    content = {"id": "sources", "version": "1.0.0", "settle_seconds": 60, "sources": [entry, entry]}
    (copy / "sources.yaml").write_text(yaml.safe_dump(content))
    found = violations()
    assert ("unknown_survey", "sources.yaml: far") in found
    assert ("duplicate", "sources.yaml") in found
