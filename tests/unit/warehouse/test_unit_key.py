"""The secret of the units' keys: its file, what is refused, and that it stays one."""

import hmac
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import KEY_FILE, Warehouse
from pipelines.warehouse.unit_key import UnitKey, unit_key, write_unit_key

SECRET = bytes(range(32))


def keys(warehouse: Warehouse, *identifiers: str) -> list[object]:
    with warehouse.session() as session:
        asked = ", ".join(f"unit_key($u{place})" for place in range(len(identifiers)))
        given = {f"u{place}": identifier for place, identifier in enumerate(identifiers)}
        return list(session.ask(f"select {asked}", given=given, where="test")[1][0])


def refused(path: Path) -> AxstatError:
    with pytest.raises(AxstatError) as caught:
        unit_key(path, make=False)
    assert caught.value.where == str(path)
    return caught.value


def test_a_key_is_the_hmac_of_the_identifier(warehouse: Warehouse) -> None:
    warehouse.path.parent.mkdir(parents=True)
    write_unit_key(warehouse.key_file, SECRET)
    expected = [hmac.digest(SECRET, text.encode(), "sha256").hex()[:24] for text in ("1208147521", "가")]
    assert keys(warehouse, "1208147521", "가") == expected


def test_a_new_warehouse_makes_its_own_secret_for_its_owner_alone(
    warehouse: Warehouse, tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary
) -> None:
    first = keys(warehouse, "1")
    assert warehouse.key_file == warehouse.path.with_name(KEY_FILE)
    assert warehouse.key_file.stat().st_mode & 0o777 == 0o600
    assert keys(warehouse, "1") == first
    assert keys(Warehouse(tmp_path / "other" / "axstat.duckdb", catalogue, library), "1") != first
    beside = Warehouse(tmp_path / "third" / "axstat.duckdb", catalogue, library, key_file=warehouse.key_file)
    assert keys(beside, "1") == first
    assert not beside.path.with_name(KEY_FILE).exists()


def test_a_lost_or_exchanged_secret_is_never_replaced_silently(warehouse: Warehouse) -> None:
    with warehouse.session():
        pass
    secret = warehouse.key_file.read_text(encoding="ascii")
    warehouse.key_file.unlink()
    with pytest.raises(AxstatError, match="back-up"), warehouse.session():
        pass
    assert not warehouse.key_file.exists()
    write_unit_key(warehouse.key_file, SECRET)
    with pytest.raises(AxstatError, match="unit_key_differs") as caught, warehouse.session():
        pass
    assert SECRET.hex() not in str(caught.value)
    assert secret.strip() not in str(caught.value)


def test_unusable_files_are_refused_and_the_secret_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "unit_key"
    assert refused(path).code == "unit_key_missing"
    for content in ("", "zz" * 32, SECRET.hex()[:-2], "열쇠"):
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")
        error = refused(path)
        assert error.code == "unit_key_missing"
        assert not content or content not in str(error)
    path.unlink()
    write_unit_key(path, SECRET)
    assert unit_key(path, make=False) == UnitKey(SECRET)
    path.chmod(0o640)
    assert refused(path).code == "unit_key_not_private"
    assert SECRET.hex() not in repr(UnitKey(SECRET))
    assert str(SECRET) not in repr(UnitKey(SECRET))
