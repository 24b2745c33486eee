"""What a fetch takes and refuses, from a folder on this machine: the rules are the same for every kind of source."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pipelines.contracts.library import load_library
from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError
from pipelines.intake.manifest import find_deliveries
from pipelines.intake.sources.faults import Deadline
from pipelines.intake.sources.fetch import fetch, sources_of
from pipelines.intake.sources.names import file_problem
from tests.unit.intake.sources.conftest import ANSWERS, Send, contents, source, take

CONTRACTS = Path(__file__).parents[4] / "data_contracts"


@pytest.fixture
def asked(shop: Path) -> Callable[..., Source]:
    return lambda **keys: source(f"file://{shop}", **keys)


def files_of(folder: Path, *entries: dict[str, Any]) -> None:
    """Write other files into a manifest; what is not said of one is as it was of the first."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = [manifest["files"][0] | entry for entry in entries]
    path.write_text(json.dumps(manifest))


def test_a_local_folder_is_a_source_like_any_other(asked: Callable[..., Source], send: Send, home: Path) -> None:
    sent = send(file="part 1/응답.csv")
    assert [str(one) for one in take(asked(), home)] == ["far/industry-2025  taken"]
    assert contents(home / "industry-2025") == contents(sent)
    assert [one.state for one in take(asked(), home)] == ["had"]


@pytest.mark.parametrize("what", ["codebook", "layout"])
def test_what_belongs_to_a_file_is_fetched_with_it_and_held_to_its_hash(
    asked: Callable[..., Source], send: Send, home: Path, what: str
) -> None:
    sent = send()
    content = "변수명,문항\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    if what == "codebook":
        files_of(sent, {"codebook": {"file": "codebook.csv", "sha256": digest}})
    else:
        files_of(sent, {"layout": "layout.csv", "layout_sha256": digest})
    [one] = take(asked(), home)
    assert one.state == "unfinished"
    assert f"{what}.csv" in one.reason
    (sent / f"{what}.csv").write_bytes(content + b"x")
    assert [one.state for one in take(asked(), home)] == ["failed"]
    assert not (home / "industry-2025").exists()
    (sent / f"{what}.csv").write_bytes(content)
    assert [one.state for one in take(asked(), home)] == ["taken"]
    assert contents(home / "industry-2025") == contents(sent)


def test_files_and_hidden_folders_are_no_deliveries(
    asked: Callable[..., Source], shop: Path, send: Send, home: Path
) -> None:
    (shop / "readme.txt").write_text("hello")
    send(".uploading")
    assert take(asked(), home) == []


def test_what_changed_after_it_was_taken_is_refused_and_both_are_kept(
    asked: Callable[..., Source], send: Send, home: Path
) -> None:
    before = contents(send())
    take(asked(), home)
    changed = send(data=b"other")
    [one] = take(asked(), home)
    assert one.state == "refused"
    assert "next sequence number" in one.reason
    assert contents(home / "industry-2025") == before
    assert (changed / "answers.csv").read_bytes() == b"other"
    # A file alone, with the manifest as it was
    send()
    (changed / "answers.csv").write_bytes(ANSWERS[:-1])
    [one] = take(asked(), home)
    assert one.state == "refused"
    assert one.reason.startswith("answers.csv changed after the delivery was taken")


def test_a_correction_in_a_folder_of_its_own_is_taken(asked: Callable[..., Source], send: Send, home: Path) -> None:
    send()
    take(asked(), home)
    send("industry-2025-2", b"corrected", sequence=2)
    assert [one.state for one in take(asked(), home)] == ["had", "taken"]
    assert [one.sequence for one in find_deliveries(home)] == [1, 2]


def test_young_files_are_looked_at_twice(asked: Callable[..., Source], send: Send, home: Path) -> None:
    old, growing, still = send("old"), send("growing"), send("still")
    for path in old.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        with (growing / "answers.csv").open("ab") as file:
            file.write(b"more")

    found = {one.name: one for one in take(asked(settle_seconds=30), home, sleep=wait)}
    assert waited == [30]
    assert found["growing"].state == "unfinished"
    assert found["growing"].reason == "its files are still changing"
    assert (found["old"].state, found["still"].state) == ("taken", "taken")
    assert set(contents(home)) == {f"{name}/{file}" for name in ("old", "still") for file in contents(still)}


def test_old_files_are_not_waited_for(asked: Callable[..., Source], send: Send, home: Path) -> None:
    for path in send().iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    waited: list[float] = []
    assert [one.state for one in take(asked(settle_seconds=30), home, sleep=waited.append)] == ["taken"]
    assert waited == []


def test_a_manifest_before_its_files_waits_for_them(asked: Callable[..., Source], send: Send, home: Path) -> None:
    files_of(send(), {}, {"file": "sample.csv", "contract": "industry_sample"})
    [one] = take(asked(), home)
    assert (one.state, one.reason) == ("unfinished", "not there yet: sample.csv")


def test_a_file_cut_short_is_not_taken_and_says_which_hash(
    asked: Callable[..., Source], send: Send, home: Path
) -> None:
    (send() / "answers.csv").write_bytes(ANSWERS[:1000])
    [one] = take(asked(), home)
    assert one.state == "failed"
    assert "hash_differs" in one.reason
    assert "industry-2025/answers.csv" in one.reason
    assert contents(home) == {}


@pytest.mark.parametrize(
    "name",
    ["../../evil.csv", "/etc/evil.csv", "a\\evil.csv", "sub/../evil.csv", "./evil.csv", ".hidden.csv", "a//b.csv",
     "sub/.hidden/x.csv", "manifest.json", "a\nb.csv", "a\u202eb.csv", "c:evil.csv", "x" * 201, "y/" * 260 + "z"],
)  # fmt: skip
def test_hostile_file_names_are_refused_with_words(
    asked: Callable[..., Source], send: Send, home: Path, name: str
) -> None:
    files_of(send(), {"file": name})
    before = sorted(home.parent.parent.rglob("*"))
    [one] = take(asked(), home)
    assert one.state == "refused", one
    assert "industry-2025/manifest.json" in one.reason
    assert "\u202e" not in one.reason
    made = set(home.parent.parent.rglob("*")) - set(before)
    assert {path.relative_to(home.parent.parent).as_posix() for path in made} <= {
        "home", "home/deliveries", "home/deliveries/.fetch.lock"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["answers.csv", "응답 2025 (최종).xlsx", "part 1/x.csv", "a..b.csv", "Übersicht.csv"])
def test_names_that_people_give_are_let_in(name: str) -> None:
    assert file_problem(name) is None


def test_links_are_not_followed(
    asked: Callable[..., Source], shop: Path, send: Send, home: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_bytes(ANSWERS)
    folder = send("linked")
    (folder / "answers.csv").unlink()
    (folder / "answers.csv").symlink_to(outside)
    below = send("linked-below", file="sub/answers.csv")
    (below / "sub" / "answers.csv").unlink()
    (below / "sub").rmdir()
    (below / "sub").symlink_to(shop / "linked")
    (shop / "whole").symlink_to(folder)
    os.mkfifo(send("pipe") / "pipe.csv")
    files_of(shop / "pipe", {"file": "pipe.csv"})
    found = take(asked(), home)
    assert {one.name for one in found} == {"linked", "linked-below", "whole", "pipe"}
    for one in found:
        assert one.state == "refused", one
        assert "link or device" in one.reason
    assert contents(home) == {}


def test_a_file_may_not_be_a_folder_as_well(asked: Callable[..., Source], send: Send, home: Path) -> None:
    files_of(send(), {"file": "a"}, {"file": "a/b", "contract": "industry_sample"})
    [one] = take(asked(), home)
    assert one.state == "refused"
    assert "also named as a folder" in one.reason


def test_a_source_sends_only_its_own_surveys(asked: Callable[..., Source], send: Send, home: Path) -> None:
    send("public-2025", survey="public")
    [one] = take(asked(surveys=["industry"]), home)
    assert one.state == "refused"
    assert "survey_of_another_source" in one.reason


def test_one_survey_can_be_fetched_alone(asked: Callable[..., Source], send: Send, home: Path) -> None:
    send("industry-2025")
    send("public-2025", survey="public")
    assert [str(one) for one in take(asked(), home, survey="public")] == ["far/public-2025  taken"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"survey": "industry"}', b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_cannot_be_read_keeps_no_other_from_being_taken(
    asked: Callable[..., Source], send: Send, home: Path, content: bytes
) -> None:
    (send("bad") / "manifest.json").write_bytes(content)
    send("good")
    bad, good = take(asked(), home)
    assert bad.state == "refused"
    assert "bad/manifest.json" in bad.reason
    assert good.state == "taken"
    assert [one.delivery for one in find_deliveries(home)] == ["good"]


def test_a_manifest_of_a_gigabyte_is_not_read(asked: Callable[..., Source], send: Send, home: Path) -> None:
    with (send() / "manifest.json").open("r+b") as file:
        file.truncate(1 << 30)
    [one] = take(asked(), home)
    assert one.state == "refused"
    assert "manifest_too_large" in one.reason


def test_an_id_is_taken_once(asked: Callable[..., Source], send: Send, home: Path) -> None:
    send("a", delivery="same")
    send("b", delivery="same", sequence=2)
    first, second = take(asked(), home)
    assert (first.state, second.state) == ("taken", "failed")
    [second] = take(asked(), home)[1:]
    assert second.state == "refused"
    assert "delivery_repeated" in second.reason
    assert len(find_deliveries(home)) == 1


def test_a_folder_that_somebody_fills_by_hand_is_left_alone(
    asked: Callable[..., Source], send: Send, home: Path
) -> None:
    send()
    (home / "industry-2025").mkdir(parents=True)
    (home / "industry-2025" / "answers.csv").write_bytes(b"half")
    [one] = take(asked(), home)
    assert one.state == "refused"
    assert "finish or remove" in one.reason
    assert contents(home) == {"industry-2025/answers.csv": b"half"}


@pytest.mark.parametrize(("limits", "code"), [({"deliveries": 1}, "too_many_deliveries"), ({"files": 1}, "too_many")])
def test_numbers_are_limited(
    asked: Callable[..., Source], send: Send, home: Path, limits: dict[str, int], code: str
) -> None:
    files_of(send("a"), {}, {"file": "b.csv", "contract": "industry_sample"})
    send("b")
    found = take(asked(limits=limits), home)
    assert found[0].state in ("failed", "refused")
    assert code in found[0].reason


def test_a_folder_full_of_other_things_is_refused(asked: Callable[..., Source], send: Send, home: Path) -> None:
    folder = send()
    for number in range(10):
        (folder / f"{number}.tmp").touch()
    [one] = take(asked(limits={"files": 1}), home)
    assert one.state == "refused"
    assert "too_many_entries" in one.reason


def test_time_that_is_over_is_no_fault_of_the_deliveries(
    asked: Callable[..., Source], send: Send, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    monkeypatch.setattr(Deadline, "left", lambda self: 0.0)
    [one] = take(asked(), home)
    assert one.state == "failed"
    assert "source_too_slow" in one.reason


def test_a_full_disk_leaves_the_folder_as_it_was_and_the_next_fetch_finishes(
    asked: Callable[..., Source], send: Send, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            take(asked(), home)
    assert contents(home) == {}
    assert [one.state for one in take(asked(), home)] == ["taken"]
    assert contents(home / "industry-2025") == contents(sent)


def test_two_fetches_do_not_meet(asked: Callable[..., Source], send: Send, home: Path) -> None:
    send()
    home.mkdir(parents=True)
    with FileLock(home / ".fetch.lock"):
        [one] = take(asked(), home)
    assert one.state == "failed"
    assert "fetch_at_work" in one.reason
    assert contents(home) == {}


def test_a_source_that_is_not_there_keeps_no_other_from_being_read(
    asked: Callable[..., Source], send: Send, home: Path, tmp_path: Path
) -> None:
    send()
    gone = source(f"file://{tmp_path}/gone", id="gone")
    found = fetch([gone, asked()], home, environment={})
    assert [(one.source, one.name, one.state) for one in found] == [
        ("gone", "*", "failed"), ("far", "industry-2025", "taken")
    ]  # fmt: skip
    assert "source_not_found" in found[0].reason


def test_sources_of_a_survey_are_those_that_may_send_it(tmp_path: Path) -> None:
    library = load_library(CONTRACTS)
    assert sources_of(library, survey=None) == []
    with pytest.raises(AxstatError, match="unknown_survey") as caught:
        sources_of(library, survey="industri")
    assert "industry" in caught.value.expected
