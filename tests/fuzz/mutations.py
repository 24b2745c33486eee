"""Valid files -> damaged ones, by a seed.

Belongs here: ways to damage bytes, of any kind and of zips. Does not belong here: reading them (search.py).
"""

import io
import random
import struct
import zipfile
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any

from tests.integration.broken.formats import packed

# What readers stumble over: ends, quotes and marks of text, of XML and JSON, numbers at the edge of their types
_TOKENS = (
    b"",
    b"\0",
    b"\xff" * 8,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x1a",
    b"\r",
    b"\n\n",
    b",",
    b";;;",
    b"\t",
    b'"',
    b'""',
    b"'",
    b"\xb0\xa1",
    "가".encode(),
    "힣".encode("utf-16-le"),
    b"\xed\xa0\x80",
    b"\\ud800",
    b"{",
    b"}",
    b"[" * 300,
    b"]",
    b"null",
    b"NaN",
    b"-1",
    b"1e999",
    b"9" * 400,
    b"</row>",
    b"<row r='4294967296'>",
    b'<c r="XFD1048576"><v>1</v></c>',
    b"<!--",
    b"<![CDATA[",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
    b"&b;",
    b"&#0;",
    b"&#x110000;",
    b' table:number-columns-repeated="2147483647"',
    b' table:number-rows-repeated="2147483647"',
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PAR1",
    b"$FL2",
    b"$FL3",
    b"<stata_dta>",
    b"HEADER RECORD*******",
)
_TEXTS = (
    '"',
    '""',
    "'",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    "\x1a",
    "\ufeff",
    "\u00a0",
    "\u3000",
    "\u2028",
    "※ ",
    "주) ",
    "(단위: %)",
    "=1+1",
    "{",
    "}",
    "[",
    "]",
    "[" * 2_000,
    ":",
    "null",
    "true",
    "NaN",
    "Infinity",
    "-0",
    "1e999",
    "9" * 5_000,
    "\\ud800",
    "\\u0000",
    '{"a":{"b":1}}',
    '"size": [99999, 99999]',
    "한" * 200_000,
    "0",
    "1",
    "가",
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: MutableSequence[Any], chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _remove(data: MutableSequence[Any], chance: random.Random) -> None:
    start, length = _part(data, chance)
    del data[start : start + length]


def _repeat(data: MutableSequence[Any], chance: random.Random) -> None:
    start, length = _part(data, chance)
    data[start:start] = list(data[start : start + length]) * chance.choice((1, 1, 2, 50))


def _splice(data: MutableSequence[Any], chance: random.Random) -> None:
    start, length = _part(data, chance)
    to = chance.randrange(len(data))
    data[to : to + length] = data[start : start + length]


def _insert(data: bytearray, chance: random.Random) -> None:
    to = chance.randrange(len(data))
    data[to:to] = chance.choice(_TOKENS)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    token = chance.choice(_TOKENS)
    to = chance.randrange(len(data))
    data[to : to + len(token)] = token


def _number(data: bytearray, chance: random.Random) -> None:
    size, letter = chance.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    value = chance.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    to = chance.randrange(len(data))
    data[to : to + size] = struct.pack(chance.choice("<>") + letter, value)


def _noise(data: bytearray, chance: random.Random) -> None:
    start, length = _part(data, chance)
    data[start : start + length] = chance.randbytes(length)


def _insert_text(letters: list[str], chance: random.Random) -> None:
    to = chance.randrange(len(letters))
    letters[to : to + chance.choice((0, 1, 5))] = chance.choice(_TEXTS)


_TEXT_WAYS: Sequence[Callable[[list[str], random.Random], None]] = (
    _cut,
    _remove,
    _repeat,
    _splice,
    _insert_text,
    _insert_text,
    _insert_text,
)
_WAYS: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip,
    _flip,
    _cut,
    _remove,
    _repeat,
    _splice,
    _insert,
    _insert,
    _overwrite,
    _number,
    _number,
    _noise,
)


def _part(data: Sequence[Any], chance: random.Random) -> tuple[int, int]:
    return chance.randrange(len(data)), chance.choice((1, 2, 4, 16, 64, 512, max(len(data) // 4, 1)))


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The bytes after one to four changes at random places."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if data:
            chance.choice(_WAYS)(data, chance)
    return bytes(data)


def damaged_text(content: bytes, chance: random.Random, encoding: str) -> bytes:
    """Text damaged as bytes, or in whole letters, so that more than its encoding is broken."""
    if chance.random() < 0.3:
        return damaged(content, chance)
    letters = list(content.decode(encoding))
    for _ in range(chance.randint(1, 4)):
        if letters:
            chance.choice(_TEXT_WAYS)(letters, chance)
    return "".join(letters).encode(encoding, errors="ignore")


def damaged_zip(content: bytes, chance: random.Random) -> bytes:
    """A zip damaged as a file, or packed anew, whole, with one of its members damaged, renamed, doubled or left out."""
    if chance.random() < 0.3:
        return damaged(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = chance.randrange(len(members))
    name, data = members[at]
    way = chance.random()
    if way < 0.8:
        members[at] = (name, damaged(data, chance))
    elif way < 0.87:
        members[at] = (chance.choice(("../" + name, "/" + name, name.upper(), "a\0b", name + ".zip")), data)
    elif way < 0.94:
        members.insert(at, (name + "2", data))
    else:
        del members[at]
    return packed(members, chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))
