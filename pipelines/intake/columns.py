"""Headers of a file -> columns of its contract.

Belongs here: finding each column by name or synonym, and what is missing, doubled or unknown. Does not
belong here: cells (delivery.py), what a contract says (contracts).
"""

import difflib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.contracts.models import Column, TableContract
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.table import HEADER_JOINT


@dataclass(frozen=True)
class ColumnMap:
    """Where the contract's columns stand in a file.

    Attributes:
        positions: contract column -> position in the file; columns the file lacks rightly are not in it.
        extra: position -> header of the columns the contract does not know; headers are unique.
    """

    positions: Mapping[str, int]
    extra: Mapping[int, str]


def normalised(header: str) -> str:
    """A header reduced to what counts: compatibility-composed (NFKC), case-folded, without white space."""
    return "".join(unicodedata.normalize("NFKC", header).casefold().split())


def map_columns(
    headers: Sequence[str],
    labels: Sequence[str | None],
    contract: TableContract,
    *,
    question_version: str,
    file: str,
) -> ColumnMap:
    """Where the contract's columns stand among `headers`, as `find_columns` finds them.

    Args:
        question_version: columns of other versions need not be there.
        file: how messages name the file.

    Raises:
        ViolationsError: every column that is missing and every one that stands more than once.
    """
    found = find_columns(headers, labels, contract)
    violations = _violations(found, headers, contract, question_version=question_version, file=file)
    if violations:
        raise ViolationsError(file, violations)
    taken = {position for places in found.values() for position in places}
    return ColumnMap(
        positions={name: places[0] for name, places in found.items()},
        extra=_unique({position: headers[position] for position in range(len(headers)) if position not in taken}),
    )


def find_columns(headers: Sequence[str], labels: Sequence[str | None], contract: TableContract) -> dict[str, list[int]]:
    """Contract column -> its positions among `headers`, which are several where it stands more than once.

    A column is known by its name or a synonym, read from the header or else from the variable label; a header
    joined from several rows is tried whole and then by its last part alone.
    """
    names = {normalised(known): column.name for column in contract.columns for known in (*column.synonyms, column.name)}
    found: dict[str, list[int]] = {}
    unknown: list[int] = []
    for position, (header, label) in enumerate(zip(headers, labels, strict=True)):
        name = names.get(normalised(header)) or names.get(normalised(label or ""))
        if name is None:
            unknown.append(position)
        else:
            found.setdefault(name, []).append(position)
    by_last_part: dict[str, list[int]] = {}
    for position in unknown:
        head, joint, last = headers[position].rpartition(HEADER_JOINT)
        name = names.get(normalised(last)) if head and joint else None
        if name is not None and name not in found:
            by_last_part.setdefault(name, []).append(position)
    return found | by_last_part


def _violations(
    found: Mapping[str, list[int]],
    headers: Sequence[str],
    contract: TableContract,
    *,
    question_version: str,
    file: str,
) -> list[Violation]:
    if not found:
        shown = ", ".join(repr(header) for header in headers[:8])
        return [
            Violation(
                code="no_known_column",
                where=file,
                expected=f"the columns of {contract.name}: {', '.join(contract.column_names)}",
                got=f"headers {shown}{', …' if len(headers) > 8 else ''}",
                hint="check 'contract', 'delimiter', 'header_rows' and 'sheet' of the file in the manifest",
            )
        ]
    violations = [
        Violation(
            code="duplicate_column",
            where=f"{file}, column {name}",
            expected="one column",
            got=f"{len(places)} columns: {', '.join(f'{headers[at]!r} (column {at + 1})' for at in places)}",
            hint="leave only one of them in the file",
        )
        for name, places in found.items()
        if len(places) > 1
    ]
    taken = {position for places in found.values() for position in places}
    free = {normalised(header): header for at, header in enumerate(headers) if at not in taken and header}
    violations.extend(
        _missing(column, free, file=file)
        for column in contract.columns_for(question_version)
        if column.name not in found
    )
    return violations


def _missing(column: Column, free: Mapping[str, str], *, file: str) -> Violation:
    known = [normalised(name) for name in (column.name, *column.synonyms)]
    near = [key for name in known for key in difflib.get_close_matches(name, free, n=1, cutoff=0.6)]
    headers = ", ".join(repr(name) for name in (column.name, *column.synonyms))
    best = max(
        near,
        key=lambda key: max(difflib.SequenceMatcher(None, key, name).ratio() for name in known),
        default=None,
    )
    return Violation(
        code="missing_column",
        where=f"{file}, column {column.name}",
        expected=f"a column with one of the headers {headers}",
        got="no such header" if best is None else f"no such header; the nearest is {free[best]!r}",
        hint="rename the header if that is the column, else send the file with the column"
        if best is not None
        else "send the file with the column",
    )


def _unique(headers: Mapping[int, str]) -> dict[int, str]:
    """Headers as keys of one JSON object: a blank one gets its column number, a repeated one too."""
    unique: dict[int, str] = {}
    for position, header in headers.items():
        taken = set(unique.values())
        unique[position] = header if header and header not in taken else f"{header or 'column'} ({position + 1})"
    return unique
