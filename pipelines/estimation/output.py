"""Tables written where the command says.

Belongs here: the endings there are and what each writes. Does not belong here: what stands in a table.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from pipelines.errors import AxstatError

SUFFIXES = (".parquet", ".csv", ".json")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table by the end of the name: .parquet, .csv or .json (records); missing values are empty or null.

    It is written beside and renamed: a file of that name stays whole until the new one is.

    Raises:
        AxstatError: another ending; the file cannot be written.
    """
    check_output(path)
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            table.write_parquet(part)
        elif path.suffix == ".csv":
            table.write_csv(part)
        else:
            table.write_json(part)
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise AxstatError(
            "not_written",
            where=f"--out {path}",
            expected="a file that can be written there, and room on the disk",
            got=f"{type(error).__name__}: {error}",
            hint="choose another folder, or make room",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_output(path: Path | None, *, suffixes: Sequence[str] = SUFFIXES, inputs: Iterable[Path] = ()) -> None:
    """Refuse an ending that is not one of these (:func:`write_table` knows them), a folder that is not there, an input.

    Args:
        path: None: nothing is written.
        inputs: files, or folders of files, that are read.
    """
    if path is None:
        return
    if path.suffix not in suffixes:
        raise AxstatError(
            "unknown_format",
            where=f"--out {path.name}",
            expected=f"a name that ends in {', '.join(suffixes)}",
            got=path.suffix or "no ending",
            hint="give the file one of these endings",
        )
    if not path.parent.is_dir():
        raise AxstatError(
            "no_folder", where=f"--out {path}", expected="a folder that exists", got="none", hint="make the folder"
        )
    places = [place for place in (path, path.parent) if place.exists()]
    if any(each.exists() and place.samefile(each) for each in inputs for place in places):
        raise AxstatError(
            "output_is_input",
            where=f"--out {path}",
            expected="another file than those that are read, and not among them",
            got="one of them, or a file in their folder",
            hint="give the table a name of its own",
        )
