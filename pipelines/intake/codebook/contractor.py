"""The contractor's codebook: any table with a row a variable or a row a code -> Codebook.

Belongs here: which column of the table holds what, and lists of codes in one cell. Does not belong here: headers and
words, which stand in `data_contracts/codebooks.yaml`; reading the file (formats).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.contracts.codebooks import CodebookForm, VariableType
from pipelines.contracts.models import TableContract
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.codebook.made import columns_of
from pipelines.intake.codebook.model import Codebook, Variable, plain
from pipelines.intake.columns import normalised
from pipelines.intake.form import FileForm
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.manifest import Manifest, ManifestFile
from pipelines.intake.sent import hash_violations, layout_violations, sent_path
from pipelines.intake.table import HEADER_JOINT, TextTable

# A code before its label in a list: at the start or after what parts items, with = : ) or a full stop behind it.
_MARK = re.compile(r"(?:^|(?<=[;,/|\s]))(?P<code>-?[A-Za-z]?\d{1,6})\s*(?:[=:)]|\.(?!\d))\s*")
_CIRCLED = re.compile("[①-⑳]")
_BETWEEN = " \t\r\n;,/|"
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass
class _Growing:
    """A variable as its rows come by."""

    name: str
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    type: str | None = None


def delivered_codebook(
    manifest: Manifest, entry: ManifestFile, form: CodebookForm, contract: TableContract
) -> Codebook | None:
    """The contractor's codebook of a delivered file; None: the manifest names none.

    Raises:
        ViolationsError: it is not there, not the file that was announced, or no codebook.
    """
    if entry.codebook is None:
        return None
    # Under the data file's name: that is the file that cannot be taken as it is.
    file = f"{manifest.where(entry)}, codebook {entry.codebook.file}"
    violations: list[Violation] = []
    path = sent_path(manifest, entry.codebook, violations)
    if path is not None:
        violations = [
            *hash_violations(path, entry.codebook, file=file),
            *layout_violations(manifest, entry.codebook),
        ]
    if path is None or violations:
        raise ViolationsError(file, violations)
    found = read_codebook(path, entry.codebook, form, contract, file=file)
    return replace(found, source=manifest.where(entry.codebook))


def read_codebook(path: Path, how: FileForm, form: CodebookForm, contract: TableContract, *, file: str) -> Codebook:
    """Read the codebook at `path` as `how` describes the file; `file` is how messages name it.

    Raises:
        ViolationsError: the file cannot be read; no column of names, or nothing beside them; a variable with two texts,
            a code with two labels.
    """
    return codebook_of_table(read_table(path, how, file=file), form, contract, file=file)


def is_codebook(headers: Sequence[str], form: CodebookForm) -> bool:
    """True when a table has the headers of a codebook."""
    places = _places(headers, form)
    return "name" in places and bool(places.keys() & {"text", "question", "code"})


def codebook_of_table(table: TextTable, form: CodebookForm, contract: TableContract, *, file: str) -> Codebook:
    """The variables that the rows of a codebook describe.

    Raises:
        ViolationsError: as `read_codebook`, of a file that could be read.
    """
    if not is_codebook(table.headers, form):
        raise ViolationsError(file, [_no_codebook(table.headers, form, file)])
    places = _places(table.headers, form)
    unread: list[str] = []
    violations: list[Violation] = []
    variables = list(_variables(table, places, unread, violations, file).values())
    if violations:
        raise ViolationsError(file, violations)
    columns = columns_of([one.name for one in variables], [one.said.get("text") for one in variables], contract)
    return Codebook(
        source=file,
        kind="codebook",
        unread=tuple(unread),
        variables=tuple(
            Variable(
                names=(one.name,),
                column=column,
                texts=tuple(one.said[key] for key in ("text",) if key in one.said),
                questions=tuple(one.said[key] for key in ("question",) if key in one.said),
                codes={code: (label,) if label else () for code, label in one.codes.items()},
                type=_type(one.type, form),
            )
            for one, column in zip(variables, columns, strict=True)
        ),
    )


def _places(headers: Sequence[str], form: CodebookForm) -> dict[str, int]:
    """What stands where: key of the headers' contract -> position; of several columns for one, the first."""
    keys = {normalised(word): key for key, words in form.headers.model_dump().items() for word in words}
    places: dict[str, int] = {}
    unsaid = []
    for position, header in enumerate(headers):
        key = keys.get(normalised(header)) or keys.get(normalised(header.rpartition(HEADER_JOINT)[2]))
        if key == "label":
            unsaid.append(position)
        elif key is not None:
            places.setdefault(key, position)
    for position in unsaid:
        of_code = "code" in places and position > places["code"]
        places.setdefault("code_label" if of_code else "text", position)
    return places


def _variables(
    table: TextTable, places: Mapping[str, int], unread: list[str], violations: list[Violation], file: str
) -> dict[str, _Growing]:
    found: dict[str, _Growing] = {}
    current: _Growing | None = None
    chosen = table.frame.select(f"c{places[key]}" for key in places)
    for number, cells in enumerate(chosen.iter_rows(), start=1):
        row = {key: cell.strip() for key, cell in zip(places, cells, strict=True) if cell is not None}
        if "name" in row:
            current = found.setdefault(normalised(row["name"]), _Growing(row["name"]))
        elif current is None and row:
            violations.append(
                _violation("codebook_row", file, number, "the name of a variable", "none above", "name the variable")
            )
        if current is None:
            continue
        current.type = current.type or row.get("type")
        place = f"{file}, {current.name}"
        for key in row.keys() & {"text", "question"}:
            known = current.said.setdefault(key, row[key])
            if plain(known) != plain(row[key]):
                got = f"{known!r} and {row[key]!r}"
                hint = "leave the one that was asked; head the column of code labels as such"
                violations.append(_violation("two_texts", place, number, "one text a variable", got, hint))
        for code, label in _codes(row, "code_label" in places, unread, place):
            known = current.codes.setdefault(code, label)
            if plain(known) != plain(label):
                got = f"{code} = {known!r} and {label!r}"
                hint = "leave the label that was shown in the interview"
                violations.append(_violation("two_labels", place, number, "one label a code", got, hint))
    return found


def _codes(row: Mapping[str, str], labelled: bool, unread: list[str], place: str) -> Iterator[tuple[str, str]]:
    """Codes with their labels ('' where there is none) of one row."""
    cell, label = row.get("code"), row.get("code_label", "")
    if cell is None:
        return
    listed = {} if label else code_list(cell)
    if listed:
        yield from listed.items()
    elif labelled:
        yield cell, label
    else:
        unread.append(f"{place}: {cell[:80]!r}")


def code_list(cell: str) -> dict[str, str]:
    """Code -> label of a list in one cell; empty where the cell is none.

    >>> code_list("1=예; 2=아니오")
    {'1': '예', '2': '아니오'}
    >>> code_list("①예 ②아니오")
    {'1': '예', '2': '아니오'}
    >>> code_list("0 to 100")
    {}
    """
    text = _CIRCLED.sub(lambda found: f" {ord(found[0]) - ord('①') + 1}=", cell).strip()
    marks = list(_MARK.finditer(text))
    if not marks or marks[0].start() != 0:
        return {}
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return {mark["code"]: text[mark.end() : end].strip(_BETWEEN) for mark, end in zip(marks, ends, strict=True)}


def _type(word: str | None, form: CodebookForm) -> VariableType | None:
    letters = _LETTERS.match(normalised(word or ""))
    if letters is None:
        return None
    return next((kind for kind, words in form.types.items() if letters[0] in map(normalised, words)), None)


def _no_codebook(headers: Sequence[str], form: CodebookForm, file: str) -> Violation:
    headers_of = form.headers
    name, text, code = (", ".join(words[:4]) for words in (headers_of.name, headers_of.question, headers_of.code))
    shown = ", ".join(repr(header) for header in headers[:8])
    return Violation(
        code="no_codebook",
        where=file,
        expected=f"a header for names ({name}, …) and one for texts ({text}, …) or codes ({code}, …)",
        got=f"headers {shown}{', …' if len(headers) > 8 else ''}",
        hint="check 'sheet', 'header_rows' and 'skip_rows' of the codebook, or add its headers to codebooks.yaml",
    )


def _violation(code: str, where: str, row: int, expected: str, got: str, hint: str) -> Violation:
    return Violation(code=code, where=where, expected=expected, got=got, hint=hint, rows=(row,))
