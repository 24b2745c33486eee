"""Where deliveries come from, as the frozen model of `data_contracts/sources.yaml`.

Belongs here: what a source may say of itself: address, surveys, limits, names of environment variables. Does not
belong here: any value of a secret, connecting to a source or reading from it (intake.sources).
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# A value that is refused may be a password in the wrong place, so no message shows it.
_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_KINDS = ("file", "http", "https", "s3", "sftp")
# Roles of a kind's credentials: the environment variables of one of these sets must be named, all of them.
_ROLES: Mapping[str, tuple[frozenset[str], ...]] = {
    "file": (frozenset(),),
    "http": (frozenset(), frozenset({"token"}), frozenset({"user", "password"})),
    "https": (frozenset(), frozenset({"token"}), frozenset({"user", "password"})),
    "s3": (frozenset(), frozenset({"key", "secret"}), frozenset({"key", "secret", "token"})),
    "sftp": (
        frozenset({"user", "password"}),
        frozenset({"user", "key_file"}),
        frozenset({"user", "key_file", "passphrase"}),
    ),
}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", max_length=100)]


class SourceLimits(BaseModel):
    """What a source may cost at most; bytes are counted as they arrive, whatever the source says of itself.

    Attributes:
        file_megabytes, delivery_megabytes: size of one file and of all files of a delivery, 1 MB = 10^6 bytes.
        files: files of one delivery.
        deliveries: folders in the source.
        seconds: a whole look and fetch of the source; what came until then is kept for the next.
        stall_seconds: silence after which a connection counts as broken.
        attempts: tries at one file, the first included, while the faults are such as pass.
    """

    model_config = _STRICT

    file_megabytes: int = Field(default=2_000, ge=1)
    delivery_megabytes: int = Field(default=5_000, ge=1)
    files: int = Field(default=100, ge=1)
    deliveries: int = Field(default=1_000, ge=1)
    seconds: int = Field(default=3_600, ge=1)
    stall_seconds: int = Field(default=60, ge=1)
    attempts: int = Field(default=5, ge=1, le=20)


class Source(BaseModel):
    """A place below which each folder is a delivery.

    Attributes:
        id: names the source in messages and temporary folders.
        surveys: surveys whose deliveries it may send; those of others are refused.
        url: ``file:///folder``, ``http(s)://host/path``, ``s3://bucket/prefix`` or ``sftp://host/path``.
        index: HTTP, which has no listing: file below `url`, a JSON list of the names of the deliveries' folders.
        deliveries: HTTP: those names themselves, in place of an index.
        endpoint, region: S3: address of the service where it is not Amazon's, and its region.
        known_hosts: SFTP: file of the hosts' keys; None: that of the user who runs axstat.
        credentials: role -> name of the environment variable that holds it; none of them: anonymous.
        settle_seconds: files younger than this are looked at twice, so far apart, before they are read.
    """

    model_config = _STRICT

    id: FolderName
    surveys: tuple[str, ...] = Field(min_length=1)
    url: str
    index: str | None = None
    deliveries: tuple[FolderName, ...] = ()
    endpoint: str | None = None
    region: str | None = None
    known_hosts: str | None = None
    credentials: Mapping[str, EnvironmentName] = Field(default_factory=dict)
    settle_seconds: int = Field(default=60, ge=0)
    limits: SourceLimits = SourceLimits()

    @field_validator("url", "endpoint")
    @classmethod
    def _without_secrets(cls, value: str | None) -> str | None:
        if value is not None:
            parts = _split(value)
            if "@" in parts.netloc or parts.query or parts.fragment or "?" in value or "#" in value:
                raise ValueError(
                    "an address must not hold user:password@, ?query or #fragment: name environment variables "
                    "under `credentials`"
                )
        return value

    @field_validator("index")
    @classmethod
    def _below_the_url(cls, value: str | None) -> str | None:
        if value is not None:
            path = PurePosixPath(value)
            if path.is_absolute() or ".." in path.parts or set(value) & set("\\?#:"):
                raise ValueError("must be a path below `url`, with forward slashes")
        return value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        parts = _split(self.url)
        problems = []
        if parts.scheme not in _KINDS:
            raise ValueError(f"url: must start with one of {', '.join(f'{kind}://' for kind in _KINDS)}")
        if self.kind == "file" and (parts.netloc or not parts.path.startswith("/")):
            problems.append("url: a local folder is file:/// and its full path")
        if self.kind != "file" and not parts.netloc:
            problems.append("url: names no host or bucket")
        if self.kind == "http" and (self.index is None) == (not self.deliveries):
            problems.append("HTTP has no listing: give either `index` or `deliveries`")
        for key, kind in (
            ("index", "http"),
            ("deliveries", "http"),
            ("endpoint", "s3"),
            ("region", "s3"),
            ("known_hosts", "sftp"),
        ):
            if getattr(self, key) and self.kind != kind:
                problems.append(f"{key}: only sources of kind {kind} have it")
        if set(self.credentials) not in _ROLES[parts.scheme]:
            sets = [", ".join(sorted(roles)) or "none" for roles in _ROLES[parts.scheme]]
            problems.append(f"credentials: the environment variables of: {'; or of: '.join(sets)}")
        for address in (self.url, self.endpoint or ""):
            split = _split(address)
            if self.credentials and split.scheme == "http" and split.hostname not in _LOOPBACK:
                problems.append("credentials would cross the network unencrypted: use https")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def kind(self) -> Literal["file", "http", "s3", "sftp"]:
        """Which way of reading the address asks for; https counts as http."""
        scheme = _split(self.url).scheme
        if scheme in ("http", "https"):
            return "http"
        if scheme == "s3":
            return "s3"
        return "sftp" if scheme == "sftp" else "file"


class SourceFile(BaseModel):
    """`data_contracts/sources.yaml`.

    Attributes:
        settle_seconds: the same as a source's, for the deliveries folder itself.
        sources: further places; none: what is dropped into the deliveries folder is all there is.
    """

    model_config = _STRICT

    id: Literal["sources"]
    version: str
    settle_seconds: int = Field(ge=0)
    sources: tuple[Source, ...]


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError("not an address") from error
    return parts
