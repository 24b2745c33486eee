"""What can go wrong with a source, told without its secrets.

Belongs here: the error of a source, the secrets of one source, taking them out of foreign messages. Does not belong
here: which fault of which library passes by itself (remote), what is tried again (download).
"""

import base64
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from pipelines.contracts.sources import Source
from pipelines.errors import AxstatError


class SourceError(AxstatError):
    """A source, or one file of it, cannot be read; `transient`: the same may go well in a moment."""

    def __init__(self, code: str, *, where: str, expected: str, got: str, hint: str, transient: bool = False) -> None:
        self.transient = transient
        super().__init__(code, where=where, expected=expected, got=got, hint=hint)


class Secrets:
    """Credentials of one source by role, from the environment; shows none of them.

    Raises:
        SourceError: names every variable that is not set.
    """

    def __init__(self, source: Source, environment: Mapping[str, str]) -> None:
        missing = [name for name in source.credentials.values() if not environment.get(name)]
        if missing:
            raise SourceError(
                "credentials_missing",
                where=f"source {source.id}",
                expected=f"environment variables {', '.join(source.credentials.values())}",
                got=f"{', '.join(missing)} not set",
                hint="set them where axstat and its Dagster daemon run, or correct `credentials` in sources.yaml",
            )
        self._values = {role: environment[name] for role, name in source.credentials.items()}

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"

    def __getitem__(self, role: str) -> str:
        return self._values[role]

    def get(self, role: str) -> str | None:
        """The value, or None where the source has no such credential."""
        return self._values.get(role)

    def hidden(self, text: str) -> str:
        """`text` without the secrets, in the forms in which libraries and servers may repeat them."""
        forms = set()
        for value in self._values.values():
            forms |= {value, quote(value), quote(value, safe=""), base64.b64encode(value.encode()).decode()}
        user, password = self._values.get("user"), self._values.get("password")
        if user and password:
            forms.add(base64.b64encode(f"{user}:{password}".encode()).decode())
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


class Deadline:
    """The time that a look or fetch of one source may take."""

    def __init__(self, source: Source, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds until the end; never negative."""
        return max(0.0, self._end - self._clock())

    def check(self, path: str) -> None:
        """Raise when the time is over.

        Raises:
            SourceError: names the file at work.
        """
        if self.left() == 0.0:
            raise SourceError(
                "source_too_slow",
                where=f"source {self._source.id}, {path}",
                expected=f"everything within {self._seconds:g} s (limits.seconds)",
                got="not done by then",
                hint="run `axstat fetch` again: it goes on with what came; or raise the limit in sources.yaml",
            )
