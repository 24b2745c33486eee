"""Deliveries in an S3 bucket, from moto's server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pipelines.intake.sources.kinds import S3Remote
from tests.unit.intake.sources.conftest import ANSWERS, SECRET, Send, contents, source, take

ENVIRONMENT = {"AXSTAT_KEY": "AKIAMARKER", "AXSTAT_SECRET": SECRET}
Upload = Callable[[], None]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Any]:
    client = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    made = client.create_bucket(Bucket="survey-files")
    yield made
    made.objects.all().delete()
    made.delete()
    client.meta.client.close()


@pytest.fixture
def upload(bucket: Any, shop: Path) -> Upload:
    """Puts everything in the shop into the bucket, as a browser does it: with markers for folders."""

    def put() -> None:
        bucket.put_object(Key="to-us/", Body=b"")
        for path in sorted(shop.rglob("*")):
            key = f"to-us/{path.relative_to(shop).as_posix()}"
            if path.is_dir():
                bucket.put_object(Key=f"{key}/", Body=b"")
            else:
                bucket.put_object(Key=key, Body=path.read_bytes())

    return put


def asked(endpoint: str, **keys: Any) -> Any:
    return source(
        **{
            "url": "s3://survey-files/to-us",
            "endpoint": endpoint,
            "region": "us-east-1",
            "credentials": {"key": "AXSTAT_KEY", "secret": "AXSTAT_SECRET"},
            **keys,
        }
    )


def test_deliveries_of_a_bucket_are_taken_whole_and_once(endpoint: str, upload: Upload, send: Send, home: Path) -> None:
    # More than one block, and a file in a folder of its own
    sent = send("industry-2025", ANSWERS * 20, file="part 1/응답.csv")
    send("public-2025", survey="public")
    upload()
    found = take(asked(endpoint), home, environment=ENVIRONMENT)
    assert [str(one) for one in found] == ["far/industry-2025  taken", "far/public-2025  taken"]
    assert contents(home / "industry-2025") == contents(sent)
    assert [one.state for one in take(asked(endpoint), home, environment=ENVIRONMENT)] == ["had", "had"]


def test_a_delivery_without_its_manifest_is_on_its_way(endpoint: str, upload: Upload, send: Send, home: Path) -> None:
    folder = send()
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    upload()
    [one] = take(asked(endpoint), home, environment=ENVIRONMENT)
    assert one.state == "unfinished"
    (folder / "manifest.json").write_bytes(manifest)
    upload()
    [one] = take(asked(endpoint), home, environment=ENVIRONMENT)
    assert one.state == "taken"


def test_a_broken_download_goes_on_where_it_broke_off(
    endpoint: str, upload: Upload, send: Send, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(data=ANSWERS * 20)
    upload()
    starts = []
    blocks = S3Remote._blocks

    def dropping(self: S3Remote, path: str, start: int) -> Iterator[bytes]:
        if path.endswith("answers.csv"):
            starts.append(start)
            yield next(blocks(self, path, start))
            if len(starts) == 1:
                # As when the network goes away: the next request finds nobody
                self._call(path, lambda: (_ for _ in ()).throw(ConnectionResetError("gone")))
            start += 4 << 20
        yield from blocks(self, path, start)

    monkeypatch.setattr(S3Remote, "_blocks", dropping)
    [one] = take(asked(endpoint), home, environment=ENVIRONMENT)
    assert one.state == "taken", one
    assert starts == [0, 4 << 20]
    assert contents(home / "industry-2025") == contents(sent)


def test_a_bucket_that_is_not_there_fails_without_a_second_try(endpoint: str, home: Path) -> None:
    pauses: list[float] = []
    wrong = asked(endpoint, url="s3://no-such-bucket/x")
    [one] = take(wrong, home, environment=ENVIRONMENT, sleep=pauses.append)
    assert (one.name, one.state) == ("*", "failed")
    assert "source_not_found" in one.reason
    assert pauses == []


def test_hostile_keys_are_refused_with_words(
    endpoint: str, bucket: Any, upload: Upload, send: Send, home: Path
) -> None:
    send()
    upload()
    manifest = json.dumps({"survey": "industry"}).encode()
    for key in ("to-us/../manifest.json", "to-us/a b/manifest.json", "to-us/x\\y/manifest.json"):
        bucket.put_object(Key=key, Body=manifest)
    found = {one.name: one for one in take(asked(endpoint), home, environment=ENVIRONMENT)}
    assert found["industry-2025"].state == "taken"
    refused = {name for name, one in found.items() if one.state == "refused" and "letters, digits" in one.reason}
    assert {"a b", "x\\y"} <= refused
    assert refused | {"industry-2025"} == set(found)
    assert {path.name for path in home.parent.iterdir()} == {"deliveries"}


def test_nothing_on_the_machine_is_used_that_the_contract_does_not_name(
    endpoint: str, upload: Upload, send: Send, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `credentials` requests are not signed, though the machine has a key for other work."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    send()
    upload()
    remote = S3Remote(asked(endpoint, credentials={}), _no_secrets())
    remote.deliveries()
    assert remote._connected().anon is True
    remote.close()


def _no_secrets() -> Any:
    from pipelines.intake.sources.faults import Secrets

    return Secrets(source("file:///x"), {})
