"""Zip files: what is in them, and one data file of them unpacked.

Belongs here: limits on what unpacks, names, passwords. Does not belong here: reading what was unpacked (dispatch.py).
"""

import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.limits import Limits, too_large
from pipelines.intake.problems import file_error

_CHUNK = 2**20
_ENCRYPTED_FLAG = 0x1
# What damaged and strange zips raise; the last two: a compression nobody here unpacks, and its program missing
DAMAGE = (zipfile.BadZipFile, EOFError, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError)


@contextmanager
def unpacked(
    path: Path, form: FileForm, *, file: str, endings: Collection[str], limits: Limits
) -> Iterator[tuple[Path, str]]:
    """The data file of the zip at `path`, unpacked for as long as the block runs, and how messages name it.

    It is `form.member`, or the only member that ends in one of `endings`. It lies in a private temporary folder under a
    name of ours, with `form.layout` (beside it in the zip) beside it.

    Raises:
        ViolationsError: no whole zip, a password, more than the limits, a member that leads out of its folder, none or
            several data files, a zip within.
    """
    with TemporaryDirectory(prefix="axstat-zip-") as folder:
        try:
            with _opened(path) as archive:
                check_members(archive, limits, file=file)
                member = _member(archive, form, file=file, endings=endings)
                data = Path(folder) / f"data{PurePosixPath(member).suffix}"
                _unpack(archive, member, data)
                layout = None if form.layout is None else str(PurePosixPath(member).parent / form.layout)
                if form.layout is not None and layout in archive.namelist():
                    _unpack(archive, layout, Path(folder) / form.layout)
        except DAMAGE as error:
            raise file_error(
                file,
                "truncated_file",
                expected="a complete zip file",
                got=damage_words(error),
                hint="pack it again and send it with its new sha256",
            ) from error
        yield data, f"{file}/{member}"


def _opened(path: Path) -> zipfile.ZipFile:
    """The zip, with the names of its members as Korean Windows writes them where they are not marked as UTF-8."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="cp949")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def _member(archive: zipfile.ZipFile, form: FileForm, *, file: str, endings: Collection[str]) -> str:
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise file_error(
            file,
            "path_outside",
            expected="members below the folder that the zip is unpacked to",
            got=", ".join(repr(name) for name in outside[:5]),
            hint="pack it again from the folder of the files",
        )
    # Hidden files and __MACOSX are what systems add by themselves.
    sent = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)]
    chosen = [name for name in sent if _is_asked(name, form, endings)]
    if len(chosen) == 1 and not chosen[0].lower().endswith(".zip"):
        return chosen[0]
    if not chosen and any(name.lower().endswith(".zip") for name in sent):
        chosen = [name for name in sent if name.lower().endswith(".zip")]
    shown = ", ".join(repr(name) for name in (chosen or sent)[:10])
    raise file_error(
        file,
        "zip_members",
        expected=f"the member {form.member!r}" if form.member is not None else "one data file in the zip",
        got=f"a zip in the zip: {shown}" if shown.lower().endswith(".zip'") else shown or "nothing",
        hint="name the data file in the manifest ('member'), or send one file a zip, packed once",
    )


def _is_asked(name: str, form: FileForm, endings: Collection[str]) -> bool:
    if form.member is not None:
        return name == form.member
    is_layout = form.layout is not None and PurePosixPath(name).match(form.layout)
    return PurePosixPath(name).suffix.lower() in endings and not is_layout


def _unpack(archive: zipfile.ZipFile, member: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, to.open("wb") as target:
        shutil.copyfileobj(source, target)


def damage_words(error: BaseException) -> str:
    """What an error of DAMAGE says; one that says nothing is that of bytes that end too soon."""
    return str(error).split("\n", maxsplit=1)[0] or "bytes that end within a packed file"


def encrypted(file: str) -> ViolationsError:
    """The error for a file that needs a password."""
    return file_error(
        file,
        "encrypted",
        expected="a file without password",
        got="an encrypted one",
        hint="send it without password, with its new sha256, over a channel that is safe itself",
    )


def check_members(archive: zipfile.ZipFile, limits: Limits, *, file: str) -> None:
    """Refuse a zip that unpacks to more than the limits, by its directory and by its bytes.

    The directory may lie, and native readers of workbooks believe the bytes: each member is unpacked here once,
    into nothing.

    Raises:
        ViolationsError: too many members or bytes, too high a ratio, a directory that lies, a password.
        DAMAGE: one of these, where the zip is damaged.
    """
    members = archive.infolist()
    if len(members) > limits.members:
        raise too_large(file, expected=f"at most {limits.members:,} files in it", got=f"{len(members):,}")
    _check_sizes(sum(member.file_size for member in members), limits, file=file)
    total = 0
    for member in members:
        if member.flag_bits & _ENCRYPTED_FLAG:
            raise encrypted(file)
        found, checksum = _true_size(archive, member, limits)
        total += found
        _check_sizes(total, limits, file=file)
        if found != member.file_size:
            raise file_error(
                file,
                "truncated_file",
                expected=f"{member.file_size:,} bytes of {member.filename!r}, as its directory says",
                got=f"{found:,} bytes",
                hint="pack it again and send it with its new sha256",
            )
        if checksum != member.CRC:
            raise zipfile.BadZipFile(f"the checksum of {member.filename!r} is not that of its bytes")
        if found > limits.ratio_from_bytes and found > limits.unpack_ratio * member.compress_size:
            raise too_large(
                file,
                expected=f"files that unpack to at most {limits.unpack_ratio} times their packed size",
                got=f"{member.filename!r}: {member.compress_size:,} -> {found:,} bytes",
                hint="send it without packing, if it is what it should be",
            )


def _check_sizes(total: int, limits: Limits, *, file: str) -> None:
    if total > limits.unpacked_bytes:
        raise too_large(
            file, expected=f"at most {limits.unpacked_bytes:,} bytes unpacked", got=f"{total:,} bytes or more"
        )


def _true_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> tuple[int, int]:
    """Bytes that the member unpacks to, counted up to one more than the limit, and their checksum."""
    asked = zipfile.ZipInfo(member.filename)
    for name in ("orig_filename", "compress_type", "flag_bits", "header_offset", "compress_size"):
        setattr(asked, name, getattr(member, name))
    # The directory's size would end the reading; without its checksum none is asked for.
    asked.file_size = limits.unpacked_bytes + 1
    size = checksum = 0
    with archive.open(asked) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return size, checksum
