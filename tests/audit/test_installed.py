"""What the audit of dependencies finds in made-up installations, each of which is wrong in one way."""

from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from tests.audit.__main__ import ADDED, LOCK
from tests.audit.installed import findings, is_welcome, locked

WELCOME = ("MIT", "Apache-2.0", "BSD License", "Apache-2.0 WITH LLVM-exception")
SHA = "--hash=sha256:" + "0" * 64
TEXT = f"""Some.Name==1.5 \\
    {SHA} \\
    {SHA}
other[extra]==2.0 ; sys_platform != 'made-up' \\
    {SHA}
elsewhere==3.0 ; sys_platform == 'made-up' \\
    {SHA}
"""


def package(name: str, version: str, licence: str | None = "MIT") -> Message:
    told = Message()
    told["Name"], told["Version"] = name, version
    if licence:
        told["License-Expression"] = licence
    return told


SOUND = (package("some_name", "1.5"), package("other", "2.0"), package("setuptools", "9"), package("pyspark", "4.0"))


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., list[str]]:
    def audit(*installed: Message, lock: str = TEXT, stated: dict[str, str] | None = None) -> list[str]:
        (tmp_path / "lock").write_text(lock, encoding="utf-8")
        (tmp_path / "added").write_text(f"pyspark==4.0 {SHA}\n", encoding="utf-8")
        return findings(
            installed or SOUND,
            lock=locked(tmp_path / "lock"),
            added=locked(tmp_path / "added"),
            unlocked=("setuptools",),
            welcome=WELCOME,
            stated=stated or {},
        )

    return audit


def test_an_installation_as_it_is_locked_is_sound(found: Callable[..., list[str]]) -> None:
    assert found() == []
    assert found(*SOUND[:2]) == []


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        (SOUND[1:], "some-name: locked at 1.5, not installed"),
        ((package("some-name", "1.6"), *SOUND[1:]), "some-name: locked at 1.5, installed is 1.6"),
        ((*SOUND[:3], package("pyspark", "4.1")), "pyspark: locked at 4.0, installed is 4.1"),
        ((*SOUND, package("stray", "1")), "stray: installed and in no lock file"),
        ((*SOUND, package("elsewhere", "3.0")), "elsewhere: installed and in no lock file"),
        ((*SOUND, package("other", "1.9")), "other: installed twice, 2.0 and 1.9"),
        ((package("some-name", "1.5", "GPL-3.0-only"), *SOUND[1:]), "some-name: licence GPL-3.0-only"),
        ((package("some-name", "1.5", None), *SOUND[1:]), "some-name: licence not told"),
    ],
)
def test_each_difference_is_found(found: Callable[..., list[str]], installed: tuple[Message, ...], words: str) -> None:
    lines = found(*installed)
    assert any(line.startswith(words) for line in lines), lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("other==2.0\n", "other: pinned without a hash"),
        (f"other>=1 {SHA}\n", "other: not pinned to one version"),
        (f"other==2.0,!=3 {SHA}\n", "other: not pinned to one version"),
        ("other==2.0 --hash=md5:00\n", "other: pinned without a hash"),
    ],
)
def test_a_lock_file_that_pins_less_is_found(found: Callable[..., list[str]], line: str, words: str) -> None:
    lines = found(lock=f"some-name==1.5 {SHA}\n{line}")
    assert [one.startswith(words) for one in lines] == [True], lines


def test_a_statement_stands_in_where_a_package_does_not_tell(found: Callable[..., list[str]]) -> None:
    silent = (package("some-name", "1.5", None), *SOUND[1:])
    assert found(*silent, stated={"some-name": "MIT"}) == []
    assert found(*silent, stated={"some-name": "GPL-3.0-only"})[0].startswith("some-name: licence GPL-3.0-only")
    assert found(stated={"some-name": "MIT"})[0].startswith("some-name: tells MIT by itself")
    assert found(stated={"gone": "MIT"})[0].startswith("gone: not installed")


@pytest.mark.parametrize(
    ("told", "welcome"),
    [
        ("MIT", True),
        ("BSD License", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH LLVM-exception", False),
        ("no licence that anybody knows", False),
    ],
)
def test_of_a_choice_one_must_be_welcome_and_of_several_all(told: str, welcome: bool) -> None:
    assert is_welcome(told, WELCOME) is welcome


def test_the_projects_lock_files_pin_every_package_with_hashes() -> None:
    for path in (LOCK, ADDED):
        pins = locked(path)
        text = path.read_text(encoding="utf-8")
        assert len(pins) == sum(line[0].isalpha() for line in text.splitlines())
        assert all(pin.version and pin.hashes for pin in pins)
        assert "://" not in text
