"""What is there: waves, how far each is built, what is published. Reads only."""

from pathlib import Path

from pipelines.errors import AxstatError
from pipelines.settings import Settings


def latest_database(settings: Settings) -> Path:
    """The published DuckDB file that `latest` names.

    Raises:
        AxstatError: if nothing is published yet.
    """
    path = settings.published_dir / "latest" / "axstat.duckdb"
    if not path.is_file():
        raise AxstatError(
            "nothing_published",
            where=str(settings.published_dir),
            expected="a published release",
            got="none",
            hint="run `axstat run --all` (or `make report`) first",
        )
    return path
