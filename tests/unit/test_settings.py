"""The engine and its memory, from the environment."""

from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.settings import load_settings


def settings(tmp_path: Path, **values: str):
    return load_settings({"AXSTAT_HOME": str(tmp_path), **values})


@pytest.mark.parametrize(
    "address",
    [
        *("duckdb", "local[1]", "local[16]", "local[*]", "spark://host:7077", "spark://a:7077,b:7077", "sc://host"),
        *("sc://127.0.0.1:15002", "sc://host:443/;use_ssl=true;token=x"),
    ],
)
def test_an_engine_is_named_by_its_address(tmp_path: Path, address: str) -> None:
    assert settings(tmp_path, AXSTAT_ENGINE=address).engine == address


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(settings(tmp_path, AXSTAT_ENGINE="sc://host/;token=secret"))
    with pytest.raises(AxstatError) as raised:
        settings(tmp_path, AXSTAT_ENGINE="sc:/host;token=secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", [{}, {"AXSTAT_ENGINE": ""}])
def test_no_engine_is_named_where_nobody_said(tmp_path: Path, address: dict[str, str]) -> None:
    assert settings(tmp_path, **address).engine is None


@pytest.mark.parametrize(
    "address",
    [
        "local",
        "local[0]",
        "local[]",
        "spark",
        "spark://",
        "spark://host",
        "spark://a:7077,b",
        "sc://",
        "http://host:1",
        "DuckDB",
    ],
)
def test_another_address_is_refused_with_those_there_are(tmp_path: Path, address: str) -> None:
    with pytest.raises(AxstatError, match=r"spark://host:7077") as raised:
        settings(tmp_path, AXSTAT_ENGINE=address)
    assert (raised.value.code, raised.value.where) == ("engine_address", f"AXSTAT_ENGINE={address}")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2_000_000_000), ("1.5 GiB", 1_610_612_736), ("100mb", 100_000_000), ("1tb", 10**12), ("", 2_000_000_000)],
)
def test_a_memory_limit_in_bytes(tmp_path: Path, text: str, size: int) -> None:
    assert settings(tmp_path, AXSTAT_MEMORY_LIMIT=text).memory_limit == size


@pytest.mark.parametrize("text", ["99MB", "2", "GB", "-1GB", "1e3MB", "0GB"])
def test_what_is_no_amount_of_memory_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AxstatError) as raised:
        settings(tmp_path, AXSTAT_MEMORY_LIMIT=text)
    assert raised.value.code == "memory_limit"
