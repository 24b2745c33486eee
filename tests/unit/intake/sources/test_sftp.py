"""Deliveries over SFTP, from a server of asyncssh on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.intake.sources.conftest import ANSWERS, SECRET, Send, Vault, contents, source, take

ENVIRONMENT = {"AXSTAT_USER": "contractor", "AXSTAT_PASSWORD": SECRET}


def asked(vault: Vault, **keys: Any) -> Any:
    return source(
        **{
            "url": vault.url,
            "known_hosts": str(vault.known_hosts),
            "credentials": {"user": "AXSTAT_USER", "password": "AXSTAT_PASSWORD"},
            **keys,
        }
    )


def test_deliveries_are_taken_whole_and_once(vault: Vault, send: Send, home: Path) -> None:
    sent = send("industry-2025", file="part 1/응답.csv")
    send("public-2025", survey="public")
    found = take(asked(vault), home, environment=ENVIRONMENT)
    assert [str(one) for one in found] == ["far/industry-2025  taken", "far/public-2025  taken"]
    assert contents(home / "industry-2025") == contents(sent)
    assert [one.state for one in take(asked(vault), home, environment=ENVIRONMENT)] == ["had", "had"]


def test_a_folder_below_the_root_is_read(vault: Vault, shop: Path, send: Send, home: Path) -> None:
    sent = send("out going/industry-2025", delivery="industry-2025")
    [one] = take(asked(vault, url=f"{vault.url}out%20going"), home, environment=ENVIRONMENT)
    assert one.state == "taken"
    assert contents(home / "industry-2025") == contents(sent)


def test_a_dropped_connection_leaves_the_folder_as_it_was_and_the_next_fetch_goes_on(
    vault: Vault, send: Send, home: Path, no_later_than: Callable[[float], None]
) -> None:
    no_later_than(60)
    # More than one block of a read
    sent = send(data=ANSWERS * 24)
    vault.cut_after = 8 << 20
    [one] = take(asked(vault, limits={"attempts": 1}), home, environment=ENVIRONMENT)
    assert one.state == "failed", one
    assert contents(home) == {}
    come = (home / ".far.industry-2025" / "answers.csv").stat().st_size
    assert come > 0
    vault.cut_after = None
    vault.offsets.clear()
    [one] = take(asked(vault), home, environment=ENVIRONMENT)
    assert one.state == "taken"
    assert contents(home / "industry-2025") == contents(sent)
    # Nothing was read a second time
    assert min(vault.offsets) == come


def test_a_host_that_is_not_known_is_not_believed(vault: Vault, send: Send, home: Path, tmp_path: Path) -> None:
    send()
    (tmp_path / "others").write_text("")
    pauses: list[float] = []
    wrong = asked(vault, known_hosts=str(tmp_path / "others"))
    [one] = take(wrong, home, environment=ENVIRONMENT, sleep=pauses.append)
    assert one.state == "failed"
    assert "HostKeyNotVerifiable" in one.reason
    assert pauses == []


def test_a_wrong_password_is_tried_once_and_not_shown(vault: Vault, send: Send, home: Path) -> None:
    send()
    pauses: list[float] = []
    wrong = {"AXSTAT_USER": "contractor", "AXSTAT_PASSWORD": "wrong-marker"}
    [one] = take(asked(vault), home, environment=wrong, sleep=pauses.append)
    assert (one.name, one.state) == ("*", "failed")
    assert "Permission" in one.reason
    assert "wrong-marker" not in one.reason
    assert "contractor" not in one.reason
    assert pauses == []


def test_links_are_refused_with_words(vault: Vault, shop: Path, send: Send, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(ANSWERS)
    linked = send("linked-file")
    (linked / "answers.csv").unlink()
    (linked / "answers.csv").symlink_to(outside / "secret.csv")
    send("plain")
    (shop / "linked-folder").symlink_to(shop / "plain")
    manifest = send("linked-manifest") / "manifest.json"
    manifest.rename(outside / "manifest.json")
    manifest.symlink_to(outside / "manifest.json")
    found = {one.name: one for one in take(asked(vault), home, environment=ENVIRONMENT)}
    assert found.pop("plain").state == "taken"
    assert set(found) == {"linked-file", "linked-folder", "linked-manifest"}
    for one in found.values():
        assert one.state == "refused", one
        assert "link or device" in one.reason
    assert set(contents(home)) == {"plain/answers.csv", "plain/manifest.json"}


def test_a_server_that_is_not_there_is_a_fault_that_may_pass(vault: Vault, home: Path) -> None:
    pauses: list[float] = []
    gone = asked(vault, url="sftp://127.0.0.1:9/", limits={"attempts": 3})
    [one] = take(gone, home, environment=ENVIRONMENT, sleep=pauses.append)
    assert one.state == "failed"
    assert len(pauses) == 2
    assert "again later" in one.reason
