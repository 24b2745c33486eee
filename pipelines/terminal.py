"""How results and errors look in a terminal: progress of a run, notes, tables, what a person must act on.

Belongs here: printing what a command made. Does not belong here: commands and their arguments (cli), anything that
makes a result; heavy imports stay inside the functions so that `axstat --help` answers at once.
"""

import select
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer

from pipelines.errors import AxstatError

_DEBUG = {"on": False}


def show_tracebacks(on: bool) -> None:
    """Whether errors are shown with their traceback."""
    _DEBUG["on"] = on


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print what a person must act on as one block and leave with exit code 1."""
    try:
        yield
    except AxstatError as error:
        if _DEBUG["on"]:
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except (OSError, MemoryError) as error:
        # Typer ends quietly where who reads, such as `head`, has enough: a pipe to another program is no such thing
        if _DEBUG["on"] or (isinstance(error, BrokenPipeError) and _nobody_reads()):
            raise
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    if sys.platform == "win32":
        return False
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in watch.poll(0))


@contextmanager
def progress() -> Iterator["Show"]:
    """A line per finished step; on a terminal, also a moving line for the step at work."""
    if not sys.stdout.isatty():
        yield Show(None)
        return
    from rich.console import Console

    with Console().status("starting") as spinner:
        yield Show(spinner)


class Show:
    """Prints events of a run as they come."""

    def __init__(self, spinner: object | None) -> None:
        self._spinner = spinner

    def __call__(self, text: str, *, finished: bool) -> None:
        """Show `text`; `finished` lines stay."""
        if finished:
            typer.echo(text)
        elif self._spinner is not None:
            self._spinner.update(text)  # type: ignore[attr-defined]


def print_notes(notes: Iterable[str]) -> None:
    """What a person should know of a result, beside it: to standard error."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def write_or_print(tables: Iterable[tuple[object, Path | None]]) -> None:
    """Each table to its file, or to the terminal where it has none; an empty line between two."""
    import polars as pl

    from pipelines.estimation.output import write_table

    printed = False
    for table, path in tables:
        assert isinstance(table, pl.DataFrame)
        if path is not None:
            write_table(table, path)
            continue
        if printed:
            typer.echo()
        print_frame(table)
        printed = True


def print_tables(tables: Mapping[str, object]) -> None:
    """Tables with their titles on a terminal, CSV with an empty line between two for programs; `print_frame` else."""
    for number, (title, frame) in enumerate(tables.items()):
        if number and not sys.stdout.isatty():
            typer.echo()
        print_frame(frame, title=title)


def print_frame(frame: object, *, title: str | None = None) -> None:
    """A table for people on a terminal, CSV for programs; the title is for people."""
    import polars as pl

    assert isinstance(frame, pl.DataFrame)
    if not sys.stdout.isatty():
        typer.echo(frame.write_csv(), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    if title is not None and frame.is_empty():
        Console().print(f"{title}: none", highlight=False)
        return
    table = Table(*frame.columns, title=title, title_justify="left")
    for row in frame.iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
