"""Variables of the environment and of the settings file: which there are, and what their values may be.

Belongs here: names and values, who may read the file, what is wrong with a value. Does not belong here: what a setting
is used for, paths that follow from the data home (settings). No message shows the value of a secret.
"""

import difflib
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast
from urllib.parse import SplitResult, urlsplit

from pipelines.errors import AxstatError, Violation, ViolationsError

Security = Literal["starttls", "tls", "none"]

SETTINGS_FILE = "AXSTAT_SETTINGS_FILE"
POSTGRES_URL = "AXSTAT_POSTGRES_URL"
# Every variable of axstat; `reports/methodology/operations.md` explains them, and a test holds the page to this list
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "AXSTAT_HOME": "the data home",
        SETTINGS_FILE: "file with further variables, readable by its owner only",
        "AXSTAT_LOG": "text or json",
        "AXSTAT_ENGINE": "what adds up data too large for memory: duckdb, a Spark master or a Spark Connect address",
        "AXSTAT_MEMORY_LIMIT": "memory that it may take, such as 2GB",
        POSTGRES_URL: "PostgreSQL database of the run history",
        "AXSTAT_NOTICE_FROM": "sender of mails about failed runs",
        "AXSTAT_NOTICE_TO": "their recipients, with commas between them",
        "AXSTAT_SMTP_HOST": "mail server that sends them",
        "AXSTAT_SMTP_PORT": "its port",
        "AXSTAT_SMTP_SECURITY": "starttls, tls or none",
        "AXSTAT_SMTP_USER": "user at the mail server",
        "AXSTAT_SMTP_PASSWORD": "password at the mail server",
        "AXSTAT_WEBHOOK_URL": "address that is told of failed runs",
        "AXSTAT_WEBHOOK_TOKEN": "bearer token for it",
    }
)
DUCKDB = "duckdb"
# A Spark master (one machine, or a standalone cluster with its spare masters), or a Spark Connect server
_ENGINE = re.compile(r"local\[(?:[1-9]\d*|\*)\]|spark://[^\s,/]+:\d+(?:,[^\s,/]+:\d+)*|sc://[^\s/;]+(?:/[^\s]*)?")
_MEMORY = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[KMGT])(?P<binary>i?)B", re.IGNORECASE)
_DEFAULT_MEMORY = "2GB"
_LEAST_MEMORY = 100_000_000
# SQLAlchemy takes another one where an address names none
_POSTGRES_DRIVER = "postgresql+psycopg2"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Mapping[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
_OF_MAIL = tuple(name for name in VARIABLES if name.startswith(("AXSTAT_NOTICE_", "AXSTAT_SMTP_")))
_NEEDED_FOR_MAIL = ("AXSTAT_SMTP_HOST", "AXSTAT_NOTICE_FROM", "AXSTAT_NOTICE_TO")


@dataclass(frozen=True)
class Mail:
    """How a mail is sent; `user` None: without signing in."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Webhook:
    """An address that takes a JSON object; the address itself is a secret with many services."""

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Notices:
    """Where word goes of a run that failed; both None: nowhere."""

    mail: Mail | None = None
    webhook: Webhook | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is anywhere to send them."""
        return self.mail is not None or self.webhook is not None


@dataclass(frozen=True)
class Environment:
    """Variables of the process, and below them those of the settings file that it names."""

    values: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, process: Mapping[str, str]) -> "Environment":
        """The variables of `process` and of its settings file; the process's own count where both have one.

        Raises:
            AxstatError: a settings file that is missing, that others may read, or with a line that sets nothing.
        """
        named = process.get(SETTINGS_FILE)
        of_file = _read_file(Path(named).expanduser()) if named else {}
        return cls(MappingProxyType({**of_file, **process}))

    def require_known(self, *, also_named_in: Path) -> None:
        """Make sure that every variable with the prefix of axstat is one of it.

        Args:
            also_named_in: sources.yaml, which may name variables of its own for credentials.

        Raises:
            ViolationsError: naming each unknown one and the name that is nearest to it.
        """
        unknown = sorted(name for name in self.values if name.startswith("AXSTAT_") and name not in VARIABLES)
        if not unknown:
            return
        of_sources = set(re.findall(r"AXSTAT_[A-Z0-9_]+", also_named_in.read_text(encoding="utf-8")))
        violations = []
        for name in unknown:
            if name in of_sources:
                continue
            near = difflib.get_close_matches(name, [*VARIABLES, *of_sources], n=1)
            violations.append(
                Violation(
                    "unknown_setting",
                    name,
                    expected=f"one of {', '.join(VARIABLES)}, or a name that sources.yaml has under credentials",
                    got="a variable that axstat does not know",
                    hint=f"did you mean {near[0]}?" if near else "remove it, or correct its name",
                )
            )
        if violations:
            raise ViolationsError("settings", violations)

    def notices(self) -> Notices:
        """Where word goes of runs that failed.

        Raises:
            ViolationsError: everything that is wrong with the variables of mail and webhook.
        """
        wrong: list[Violation] = []
        found = Notices(mail=self._mail(wrong), webhook=self._webhook(wrong))
        if wrong:
            raise ViolationsError("settings", wrong)
        return found

    def postgres_url(self) -> str | None:
        """Address of the database of the run history, with the driver that Dagster's storage comes with.

        Raises:
            ViolationsError: it is no address of a PostgreSQL database.
        """
        url = self._value(POSTGRES_URL)
        if url is None:
            return None
        parts = _split(url)
        if parts.scheme not in ("postgresql", _POSTGRES_DRIVER) or not parts.path.strip("/"):
            raise ViolationsError(
                "settings", [_bad(POSTGRES_URL, "postgresql://user:password@host:port/database", "another address")]
            )
        return parts._replace(scheme=_POSTGRES_DRIVER).geturl()

    def json_logs(self) -> bool:
        """Whether runs log JSON.

        Raises:
            ViolationsError: another value than text or json.
        """
        form = self._value("AXSTAT_LOG") or "text"
        if form not in ("text", "json"):
            raise ViolationsError("settings", [_bad("AXSTAT_LOG", "text or json", form)])
        return form == "json"

    def engine(self) -> str | None:
        """What adds microdata up to cells; None where nobody said.

        Raises:
            AxstatError: it is no engine's address.
        """
        text = self._value("AXSTAT_ENGINE")
        if text is None or text == DUCKDB or _ENGINE.fullmatch(text):
            return text
        raise AxstatError(
            "engine_address",
            where=f"AXSTAT_ENGINE={without_token(text)}",
            expected="duckdb, local[2], spark://host:7077 or sc://host:15002",
            got="something else",
            hint="correct the address, or leave AXSTAT_ENGINE unset to use DuckDB",
        )

    def memory_limit(self) -> int:
        """Bytes that the engine may take: a binary unit (GiB) counts in 1024, another (GB) in 1000.

        Raises:
            AxstatError: it is no amount of memory, or too little.
        """
        text = self._value("AXSTAT_MEMORY_LIMIT") or _DEFAULT_MEMORY
        found = _MEMORY.fullmatch(text)
        if found is not None:
            power = "KMGT".index(found["unit"].upper()) + 1
            size = int(float(found["number"]) * (1024 if found["binary"] else 1000) ** power)
            if size >= _LEAST_MEMORY:
                return size
        raise AxstatError(
            "memory_limit",
            where=f"AXSTAT_MEMORY_LIMIT={text}",
            expected="100MB or more, such as 2GB or 1.5GiB",
            got="less" if found else "no amount of memory",
            hint="correct the limit",
        )

    def _value(self, name: str) -> str | None:
        """None where it is not set, or set to nothing."""
        return self.values.get(name, "").strip() or None

    def _mail(self, wrong: list[Violation]) -> Mail | None:
        given = {name: value for name in _OF_MAIL if (value := self._value(name)) is not None}
        if not given:
            return None
        before = len(wrong)
        wrong += [
            _bad(name, "a value, for mails to be sent", "nothing") for name in _NEEDED_FOR_MAIL if name not in given
        ]
        security = given.get("AXSTAT_SMTP_SECURITY", "starttls")
        if security not in _PORTS:
            wrong.append(_bad("AXSTAT_SMTP_SECURITY", ", ".join(_PORTS), security))
        port = given.get("AXSTAT_SMTP_PORT", str(_PORTS.get(cast(Security, security), 0)))
        if not port.isdecimal() or not 0 < int(port) < 2**16:
            wrong.append(_bad("AXSTAT_SMTP_PORT", "a number from 1 to 65535", port))
        recipients = tuple(one.strip() for one in given.get("AXSTAT_NOTICE_TO", "").split(",") if one.strip())
        for name, addresses in (
            ("AXSTAT_NOTICE_TO", recipients),
            ("AXSTAT_NOTICE_FROM", (given.get("AXSTAT_NOTICE_FROM", ""),)),
        ):
            wrong += [
                _bad(name, "mail addresses, name@host", one)
                for one in addresses
                if one and not re.fullmatch(r"[^@\s]+@[^@\s]+", one)
            ]
        user, password = given.get("AXSTAT_SMTP_USER"), given.get("AXSTAT_SMTP_PASSWORD")
        if (user is None) != (password is None):
            wrong.append(_bad("AXSTAT_SMTP_PASSWORD", "both user and password, or neither", "one of them"))
        if password and security == "none" and given.get("AXSTAT_SMTP_HOST") not in _LOOPBACK:
            wrong.append(_bad("AXSTAT_SMTP_SECURITY", "starttls or tls, since a password is sent", "none"))
        if len(wrong) > before:
            return None
        return Mail(
            host=given["AXSTAT_SMTP_HOST"],
            port=int(port),
            security=cast(Security, security),
            sender=given["AXSTAT_NOTICE_FROM"],
            recipients=recipients,
            user=user,
            password=password,
        )

    def _webhook(self, wrong: list[Violation]) -> Webhook | None:
        url, token = self._value("AXSTAT_WEBHOOK_URL"), self._value("AXSTAT_WEBHOOK_TOKEN")
        if url is None:
            if token is not None:
                wrong.append(_bad("AXSTAT_WEBHOOK_URL", "an address, since AXSTAT_WEBHOOK_TOKEN is set", "nothing"))
            return None
        parts = _split(url)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        ):
            wrong.append(_bad("AXSTAT_WEBHOOK_URL", "https:// and a host; http:// on this machine only", "another one"))
            return None
        return Webhook(url=url, token=token)


def without_token(address: str) -> str:
    """An engine's address as messages may show it: parameters of Spark Connect, such as a token, are left out."""
    return address.split(";")[0]


def _split(url: str) -> SplitResult:
    """Parts of an address; empty ones where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _read_file(path: Path) -> dict[str, str]:
    """Variables of a settings file: NAME=value lines, as systemd's EnvironmentFile has them."""
    try:
        with path.open(encoding="utf-8") as file:
            state = os.fstat(file.fileno())
            _require_private(path, state)
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else "text that is not UTF-8"
        raise AxstatError(
            "settings_file",
            where=f"{SETTINGS_FILE}={path}",
            expected="a text file that can be read",
            got=reason,
            hint=f"correct {SETTINGS_FILE}, or the file",
        ) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        match = _LINE.fullmatch(text)
        if match is None or match[1] == SETTINGS_FILE or match[1] in found:
            raise AxstatError(
                "settings_file",
                where=f"{path}, line {number}",
                expected="NAME=value, each name once; a line that begins with # is a comment",
                got="another line" if match is None else f"{match[1]} " + ("again" if match[1] in found else "in it"),
                hint="correct the line",
            )
        value = match[2].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[match[1]] = value[1:-1] if quoted else value
    return found


def _require_private(path: Path, state: os.stat_result) -> None:
    """Without effect on systems without such rights (Windows)."""
    if sys.platform == "win32":
        return
    if not stat.S_ISREG(state.st_mode) or state.st_mode & _OTHERS or state.st_uid not in (0, os.geteuid()):
        raise AxstatError(
            "settings_file_not_private",
            where=f"{SETTINGS_FILE}={path}",
            expected="a file that belongs to who runs axstat, or to root, and that its owner alone may read",
            got=f"rights {stat.filemode(state.st_mode)} of user {state.st_uid}",
            hint=f"run `chmod 600 {path}`, and change the secrets in it: others may have read them",
        )


def _bad(name: str, expected: str, got: str) -> Violation:
    return Violation("bad_setting", name, expected=expected, got=got, hint=f"correct {name}; {VARIABLES[name]}")
