"""The SQL catalogue: every statement under `sql/`, with what its header says.

Belongs here: reading the files, holding each header against its own text, the order of building. Does not
belong here: running a statement (database), or SQL itself: that stands in `sql/`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import dropwhile
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.warehouse.migrations import FOLDER as MIGRATIONS_FOLDER

Severity = Literal["error", "warning"]

# Folder -> schemas whose statements may stand in it, in the order in which layers are built.
LAYERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "macros": ("macro",),
        "staging": ("staging",),
        "core": ("core", "meta"),
        "cells": ("cells",),
        "marts": ("mart",),
        "indicators": ("indicators",),
        "checks": ("checks",),
        # Table macros of the published file
        "published": ("published",),
    }
)
PARAMETERS = ("survey", "wave")

TABLE_SCHEMAS = "input|raw|staging|core|cells|estimates|mart|meta"
_TITLE = re.compile(r"^(?P<name>[a-z_]+\.[a-z][a-z0-9_]*): (?P<text>\S.*)$")
_FIELD = re.compile(r"^(?P<field>reads|params|severity): *(?P<value>.*)$")
_TABLE = re.compile(rf"\b(?:{TABLE_SCHEMAS})\.[a-z][a-z0-9_]*")
_FROM_TABLE = re.compile(rf"\b(?:from|join)\s+(?P<table>(?:{TABLE_SCHEMAS})\.[a-z][a-z0-9_]*)")
_PARAMETER = re.compile(r"\$([a-z_]+)")
_LITERAL_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One file of the catalogue.

    Attributes:
        name: ``schema.table`` of the rows it gives: ``core.units``, ``checks.row_balance``,
            ``macro.to_integer``.
        layer: folder it stands in.
        description: what a row is (of a macro: what it gives).
        reads: tables it selects from; of a macro, the macros it calls.
        params: names of its parameters, without the dollar sign.
        severity: of a check, whether its rows stop the wave (``error``) or are reported (``warning``).
        sql: the text, header included.
    """

    name: str
    layer: str
    description: str
    reads: tuple[str, ...]
    params: tuple[str, ...]
    severity: Severity | None
    sql: str
    path: Path

    @property
    def table(self) -> str:
        """The part of the name after the dot."""
        return self.name.split(".")[1]

    @property
    def body(self) -> str:
        """The text without the header, for readers."""
        lines = self.sql.splitlines()
        return "\n".join(dropwhile(lambda line: line.startswith("--"), lines)).strip()


class SqlCatalogue:
    """All statements by name; iterating gives them layer by layer in building order.

    Args:
        root: the folder that holds `macros/`, `staging/`, `core/`, `cells/`, `marts/`, `indicators/`, `checks/` and
            `published/`.

    Raises:
        ViolationsError: every header that is missing, incomplete or at odds with its statement, at once.
    """

    def __init__(self, root: Path) -> None:
        """Read every file below `root`."""
        self.root = root
        if not root.is_dir():
            raise AxstatError(
                "no_sql_folder",
                where=str(root),
                expected="the folder with the SQL statements",
                got="no such folder",
                hint="run axstat from a whole checkout or an installed wheel",
            )
        statements: dict[str, Statement] = {}
        violations: list[Violation] = []
        for path in sorted(root.rglob("*.sql")):
            # Those make no table of rows: they change a warehouse, once
            if path.parent.name == MIGRATIONS_FOLDER:
                continue
            parsed = _parse(path, root=root)
            if isinstance(parsed, Statement):
                statements[parsed.name] = parsed
            else:
                violations.extend(parsed)
        if violations:
            raise ViolationsError(f"SQL catalogue {root}", violations)
        self._statements = MappingProxyType(statements)
        self._layers = {layer: self._sorted(layer) for layer in LAYERS}

    def __getitem__(self, name: str) -> Statement:
        """The statement called `name`.

        Raises:
            AxstatError: no file makes it.
        """
        try:
            return self._statements[name]
        except KeyError:
            schema = name.split(".")[0]
            near = [known for known in self._statements if known.startswith(f"{schema}.")]
            raise AxstatError(
                "unknown_statement",
                where=f"SQL catalogue {self.root}",
                expected=f"one of {', '.join(near or self._statements)}",
                got=name,
                hint="correct the name, or add the file with its header",
            ) from None

    def __iter__(self) -> Iterator[Statement]:
        """Statements, layer by layer in building order."""
        for statements in self._layers.values():
            yield from statements

    def __len__(self) -> int:
        """Number of statements."""
        return len(self._statements)

    def __contains__(self, name: object) -> bool:
        """True when a file makes `name`."""
        return name in self._statements

    def layer(self, name: str) -> tuple[Statement, ...]:
        """Statements of a folder, each after those it reads; otherwise by name.

        Raises:
            AxstatError: no such folder.
        """
        try:
            return self._layers[name]
        except KeyError:
            raise AxstatError(
                "unknown_layer",
                where=f"SQL catalogue {self.root}",
                expected=f"one of {', '.join(LAYERS)}",
                got=name,
                hint="correct the name of the layer",
            ) from None

    def _sorted(self, layer: str) -> tuple[Statement, ...]:
        inside = {name: item for name, item in self._statements.items() if item.layer == layer}
        sorter = TopologicalSorter({name: {*item.reads} & inside.keys() for name, item in inside.items()})
        ordered: list[Statement] = []
        try:
            sorter.prepare()
        except CycleError as error:
            raise AxstatError(
                "circular_statements",
                where=f"{self.root / layer}",
                expected="statements that can be put in an order",
                got=" -> ".join(error.args[1]),
                hint="break the circle: one of them must not read the next",
            ) from None
        while sorter.is_active():
            # sorted, so that the order does not depend on how a set happens to be laid out
            ready = sorted(sorter.get_ready())
            ordered.extend(inside[name] for name in ready)
            sorter.done(*ready)
        return tuple(ordered)


def _parse(path: Path, *, root: Path) -> Statement | list[Violation]:
    """The statement of one file, or everything that is wrong with its header."""
    sql = path.read_text(encoding="utf-8")
    where = path.relative_to(root).as_posix()
    violations: list[Violation] = []

    def report(code: str, *, expected: str, got: str, hint: str) -> None:
        violations.append(Violation(code, where, expected, got, hint))

    layer = path.relative_to(root).parts[0]
    if layer not in LAYERS or len(path.relative_to(root).parts) != 2:
        report(
            "sql_layer",
            expected=f"a file directly in one of {', '.join(LAYERS)}",
            got=where,
            hint="move the file to the folder of its layer",
        )
        return violations

    title, fields = _header(sql)
    if title is None:
        report(
            "missing_header",
            expected="a first line `-- schema.table: what a row is`",
            got=sql.split("\n", 1)[0][:80] or "an empty file",
            hint="add the header: what a row is, what it reads, its parameters",
        )
        return violations
    name, description = title
    schema, table = name.split(".")
    if schema not in LAYERS[layer] or table != path.stem:
        report(
            "header_name",
            expected=" or ".join(f"{schema}.{path.stem}" for schema in LAYERS[layer]),
            got=name,
            hint="name the statement after its file and the file after its statement",
        )
    for field in ("reads", "params"):
        if field not in fields:
            report(
                "incomplete_header",
                expected=f"a line `-- {field}: …` (`none` where there are none)",
                got="no such line",
                hint=f"add the line `-- {field}:` to the header",
            )
    severity = fields.get("severity")
    if (layer == "checks") != (severity in get_args(Severity)):
        report(
            "check_severity",
            expected="`-- severity: error` or `-- severity: warning` on checks, and on checks only",
            got=severity or "no such line",
            hint="say whether rows of this check stop the wave",
        )
    body = _LITERAL_OR_COMMENT.sub("", sql)
    reads = _names(fields.get("reads", ""))
    params = tuple(param.removeprefix("$") for param in _names(fields.get("params", "")))
    if layer != "macros":
        used = {*_FROM_TABLE.findall(body)}
        if "reads" in fields and used != {*reads}:
            report(
                "header_reads",
                expected=", ".join(sorted(used)) or "none",
                got=fields["reads"],
                hint="list in `-- reads:` exactly the tables the statement selects from",
            )
        used_params = {*_PARAMETER.findall(body)}
        if "params" in fields and used_params != {*params}:
            report(
                "header_params",
                expected=", ".join(f"${param}" for param in sorted(used_params)) or "none",
                got=fields["params"],
                hint="list in `-- params:` exactly the parameters the statement uses",
            )
        if unknown := used_params - {*PARAMETERS}:
            report(
                "unknown_parameter",
                expected=f"only {', '.join(f'${param}' for param in PARAMETERS)}",
                got=", ".join(f"${param}" for param in sorted(unknown)),
                hint="a statement is about one survey and wave; read other values from a table",
            )
        if stray := {*_TABLE.findall(body)} - used:
            report(
                "table_as_qualifier",
                expected="columns qualified by an alias",
                got=", ".join(sorted(stray)),
                hint="give the table an alias that is not the name of a schema",
            )
    if violations:
        return violations
    return Statement(
        name=name,
        layer=layer,
        description=description,
        reads=reads,
        params=params,
        severity="error" if severity == "error" else "warning" if severity == "warning" else None,
        sql=sql,
        path=path,
    )


def _header(sql: str) -> tuple[tuple[str, str] | None, dict[str, str]]:
    """Title (name, description) and fields of the comment lines a file begins with; a line may run on."""
    title: tuple[str, str] | None = None
    fields: dict[str, str] = {}
    current: str | None = None
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--").strip()
        if title is None:
            match = _TITLE.match(text)
            if match is None:
                return None, {}
            title = match["name"], match["text"]
        elif field := _FIELD.match(text):
            current = field["field"]
            fields[current] = field["value"].strip()
        elif current is None:
            title = title[0], f"{title[1]} {text}"
        else:
            fields[current] = f"{fields[current]} {text}"
    return title, fields


def _names(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list; none for ``none``."""
    names = (part.strip() for part in text.split(","))
    return tuple(name for name in names if name and name != "none")
