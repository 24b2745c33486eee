"""Outside series fetched, read by their contracts, and kept if they can be.

Belongs here: the order of fetching, reading and keeping, and which series are asked for. Does not belong here: requests
(fetch.py), formats (replies.py), loading (orchestration).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.series import Series
from pipelines.errors import AxstatError, ViolationsError
from pipelines.intake.series.fetch import fetch
from pipelines.intake.series.observations import reply_rows
from pipelines.intake.series.replies import Reply, refusal
from pipelines.intake.series.store import store_reply
from pipelines.stats.terms import unknown_name


@dataclass(frozen=True)
class Told:
    """What became of one series: its observations and folder, or the error. `new`: other bytes than the last time."""

    series: str
    observations: int = 0
    folder: Path | None = None
    new: bool = False
    error: AxstatError | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"error: {self.error}"
        kept = "new vintage" if self.new else "unchanged since"
        return f"{self.series}: {self.observations} observations, {kept} {self.folder}"


def fetch_series(
    library: ContractLibrary,
    root: Path,
    environment: Mapping[str, str],
    *,
    names: Sequence[str] = (),
    file: Path | None = None,
) -> Iterator[Told]:
    """Fetch series one by one; one that fails does not stop the next.

    A reply is read by its contract before it is kept, so that what is kept can be loaded.

    Args:
        root: `Settings.benchmarks_dir`.
        environment: holds the keys.
        names: series; none: every one that is fetched.
        file: a reply to take for the one series named, instead of asking.

    Raises:
        ViolationsError: a name that is none of a fetched series.
        AxstatError: a file without the one series it is of, or one that is not there.
    """
    fetched = {name: series for name, series in library.series.items() if series.request is not None}
    if unknown := [name for name in names if name not in fetched]:
        faults = [unknown_name("unknown_series", "axstat benchmark", "one of", name, list(fetched)) for name in unknown]
        raise ViolationsError("axstat benchmark", faults)
    if file is not None and (len(names) != 1 or not file.is_file()):
        raise AxstatError(
            "which_reply",
            where=f"--file {file}",
            expected="the one series it is a reply for, and a file that is there",
            got=", ".join(names) or "no series" if file.is_file() else "no such file",
            hint="name the series and the file",
        )
    return (_kept(fetched[name], root, environment, file) for name in names or fetched)


def _kept(series: Series, root: Path, environment: Mapping[str, str], file: Path | None) -> Told:
    try:
        reply = fetch(series, environment) if file is None else _handed_over(series, file)
        with tempfile.TemporaryDirectory(prefix="axstat-series-") as trial:
            folder, manifest, _ = store_reply(Path(trial), series, reply)
            observations = reply_rows(series, folder, manifest).height
        folder, _, new = store_reply(root, series, reply)
    except AxstatError as error:
        return Told(series.id, error=error)
    return Told(series.id, observations=observations, folder=folder, new=new)


def _handed_over(series: Series, file: Path) -> Reply:
    """A reply from a file; one that is a refusal is refused here as well."""
    assert series.request is not None
    body = file.read_bytes()
    said = refusal(body, series.request.format)
    if said is not None:
        raise AxstatError("refused", where=file.name, expected="data", got=f"{said.code}: {said.text}", hint=said.hint)
    return Reply(url=None, body=body, retrieved_at=datetime.now(UTC))
