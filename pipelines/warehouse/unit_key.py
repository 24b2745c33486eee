"""The secret with which identifiers of units become keys that tell nobody who the unit is.

Belongs here: the file of the secret, and what the database needs of it. Does not belong here: which columns identify
units (contracts), the keys themselves (sql/macros/unit_key.sql).

A key is HMAC-SHA-256 (RFC 2104) of the identifier, so that a unit has one key in all waves, and nobody without the
secret can try the few million identifiers there are.
"""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import AxstatError

_BLOCK = 64
_HEX_DIGITS = 64
_OTHERS = 0o077


@dataclass(frozen=True)
class UnitKey:
    """The secret, as HMAC uses it; it never shows in what is printed."""

    secret: bytes

    def __repr__(self) -> str:
        """Only which secret it is."""
        return f"UnitKey({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """What tells one secret from another without telling it."""
        return hashlib.sha256(b"axstat unit key" + self.secret).hexdigest()[:12]

    @property
    def pads(self) -> tuple[bytes, bytes]:
        """The inner and the outer block of HMAC."""
        block = self.secret.ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def unit_key(path: Path, *, make: bool) -> UnitKey:
    """The secret in the file at `path`: 64 hexadecimal digits, readable by its owner only.

    Args:
        make: where there is no file, make one with a new secret.

    Raises:
        AxstatError: no file, one that others may read, or one that holds something else.
    """
    if make and not path.exists():
        write_unit_key(path, secrets.token_bytes(_HEX_DIGITS // 2))
    try:
        open_to_others = path.stat().st_mode & _OTHERS
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, f"{type(error).__name__}") from error
    if open_to_others:
        raise AxstatError(
            "unit_key_not_private",
            where=str(path),
            expected="a file that its owner alone may read",
            got="one that others may read too",
            hint=f"run `chmod 600 {path}`; if somebody may have read it, tell who is responsible for the microdata",
        )
    try:
        secret = bytes.fromhex(text)
    except ValueError as error:
        raise _unusable(path, "something else") from error
    if len(secret) != _HEX_DIGITS // 2:
        raise _unusable(path, f"{len(secret)} bytes")
    return UnitKey(secret)


def write_unit_key(path: Path, secret: bytes) -> None:
    """Put the secret into a new file for the owner alone."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(secret.hex() + "\n", encoding="ascii")


def _unusable(path: Path, got: str) -> AxstatError:
    return AxstatError(
        "unit_key_missing",
        where=str(path),
        expected=f"the secret of this warehouse, {_HEX_DIGITS} hexadecimal digits",
        got=got,
        hint="restore the file from the back-up of the data home: without it units of earlier waves cannot be found "
        "again; or move the warehouse folder away and run all waves anew",
    )
