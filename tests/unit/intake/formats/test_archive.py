import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.limits import Limits
from pipelines.intake.table import TextTable

CSV = "번호,상호\n1,가\n".encode("cp949")
Pack = Callable[..., Path]
Read = Callable[..., TextTable]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made in the test."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    def write(members: Mapping[str, bytes]) -> Path:
        path = tmp_path / "f.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return write


def refused(path: Path, *, limits: Limits | None = None, **form: object) -> tuple[str, str]:
    with pytest.raises(ViolationsError) as caught:
        read_table(path, FileForm.model_validate(form), file="d1/f.zip", limits=limits or Limits())
    [violation] = caught.value.violations
    return violation.code, violation.got


def test_the_only_data_file_is_read_and_nothing_stays_behind(pack: Pack, folder: Path) -> None:
    path = pack({"자료/응답.csv": CSV, "자료/읽어보기.md": b"x", "__MACOSX/._a.csv": b"x", ".hidden.csv": b"x"})
    table = read_table(path, FileForm(), file="d1/f.zip")
    assert table.frame.rows() == [("1", "가")]
    assert table.provenance.file == "d1/f.zip/자료/응답.csv"
    assert table.provenance.encoding == "cp949"
    assert list(folder.iterdir()) == []


def test_messages_name_the_file_in_the_zip(pack: Pack) -> None:
    with pytest.raises(ViolationsError, match=r"ragged_rows\] d1/f\.zip/a\.csv"):
        read_table(pack({"a.csv": b"a,b\n1\n1,2\n"}), FileForm(), file="d1/f.zip")


def test_one_of_several_is_named(pack: Pack) -> None:
    path = pack({"a.csv": CSV, "b.csv": b"x\n2\n"})
    assert read_table(path, FileForm(member="b.csv"), file="f").frame.rows() == [("2",)]
    assert refused(path) == ("zip_members", "'a.csv', 'b.csv'")
    assert refused(path, member="c.csv") == ("zip_members", "'a.csv', 'b.csv'")
    assert refused(pack({"a.md": b""})) == ("zip_members", "'a.md'")
    assert refused(pack({})) == ("zip_members", "nothing")


def test_a_layout_beside_the_file_in_the_zip(pack: Pack) -> None:
    path = pack({"d/a.dat": b"1x\n2y\n", "d/form.csv": b"name,start,width\nA,1,1\nB,2,1\n"})
    table = read_table(path, FileForm(layout="form.csv"), file="f")
    assert (table.headers, table.frame.rows()) == (("A", "B"), [("1", "x"), ("2", "y")])


def test_names_in_the_code_page_of_korean_windows(tmp_path: Path) -> None:
    # As Windows Explorer packs: the bytes of CP949 without the mark of UTF-8
    name = "응답.csv"
    stand_in = "q" * len(name.encode("cp949")[:-4]) + ".csv"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(stand_in, CSV)
        archive.writestr("b.csv", CSV)
    path = tmp_path / "f.zip"
    path.write_bytes(stream.getvalue().replace(stand_in.encode(), name.encode("cp949")))
    assert read_table(path, FileForm(member=name), file="f").provenance.file == "f/응답.csv"


def test_a_zip_in_a_zip(pack: Pack) -> None:
    inner = pack({"a.csv": CSV}).read_bytes()
    assert refused(pack({"inner.zip": inner})) == ("zip_members", "a zip in the zip: 'inner.zip'")
    assert refused(pack({"inner.zip": inner}), member="inner.zip")[0] == "zip_members"


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "x/../../a.csv"])
def test_a_path_outside(pack: Pack, folder: Path, name: str) -> None:
    assert refused(pack({name: CSV})) == ("path_outside", repr(name))
    assert list(folder.iterdir()) == []


def test_limits_on_what_unpacks(pack: Pack) -> None:
    bomb = pack({"a.csv": b"0" * 30_000_000})
    code, got = refused(bomb)
    assert code == "too_large"
    assert "30,000,000 bytes" in got
    assert refused(bomb, limits=Limits(unpacked_bytes=10**6))[0] == "too_large"
    assert refused(bomb, limits=Limits(file_bytes=10))[0] == "too_large"
    assert refused(pack({f"{at}.md": b"" for at in range(5)}), limits=Limits(members=4)) == ("too_large", "5")


def test_a_directory_that_lies(pack: Pack) -> None:
    path = pack({"a.csv": CSV * 100})
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    assert refused(path)[0] == "truncated_file"


def test_a_password(pack: Pack) -> None:
    path = pack({"a.csv": CSV})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(mark) + offset] |= 1
    path.write_bytes(bytes(content))
    assert refused(path)[0] == "encrypted"


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_zip_that_was_cut_off(pack: Pack, kept: float) -> None:
    path = pack({"a.csv": os.urandom(5000)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert refused(path)[0] == "truncated_file"


def test_damage_within(pack: Pack) -> None:
    path = pack({"a.csv": CSV * 1000})
    content = bytearray(path.read_bytes())
    content[50:60] = b"\xff" * 10
    path.write_bytes(bytes(content))
    assert refused(path)[0] == "truncated_file"


def test_an_error_of_the_reader_is_not_blamed_on_the_zip(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> TextTable:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("pipelines.intake.formats.dispatch.READERS", {".csv": broken})
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        read_table(pack({"a.csv": CSV}), FileForm(), file="f")


def test_bytes_that_end_within_a_member_are_said_to(tmp_path: Path) -> None:
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", CSV)
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    # The directory claims more bytes than the file has: no error of Python's says anything about it
    for at in (directory + 20, directory + 24):
        content[at : at + 4] = (10_000).to_bytes(4, "little")
    path.write_bytes(content)
    assert refused(path) == ("truncated_file", "bytes that end within a packed file")
