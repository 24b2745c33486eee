"""Deliveries whose manifest, folder or edit file is broken.

Belongs here: what is said about a file and where it lies. Does not belong here: the file itself (files.py, cells.py).
"""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.integration.broken.cells import reverse_rows
from tests.integration.broken.country import (
    FIRST,
    RESPONSE,
    SAMPLE,
    SECOND,
    Accepted,
    Case,
    Delivery,
    Expected,
    ignored,
    rejected,
    unregistered,
)

FORM = "csv-utf-8"
REQUIRED = (
    "delivery", "sequence", "question_version", "tech_list_version", "collection_start", "collection_end", "sender",
    "synthetic", "files",
)  # fmt: skip


def says(**values: object) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.manifest.update(values)


def lacks(key: str) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.manifest.pop(key)


def lacks_of_file(key: str) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.entry.pop(key)


def of_file(**values: object) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.entry.update(values)


def as_text(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Delivery], None]:
    """The manifest's text changed."""

    def changed(delivery: Delivery) -> None:
        delivery.text = change(json.dumps(delivery.manifest)).encode(encoding)

    return changed


def _keys() -> list[Case]:
    invalid = unregistered("manifest_invalid")
    values: Mapping[str, Mapping[str, object]] = {
        "sequence of nought": {"sequence": 0},
        "sequence as text": {"sequence": "2"},
        "sequence with decimals": {"sequence": 2.5},
        "sequence as truth value": {"sequence": True},
        "a day that is none": {"collection_start": "2022-13-01"},
        "a day as number": {"collection_start": 20220901},
        "an end before the start": {"collection_end": "2022-01-01"},
        "a start in another year": {"collection_start": "2025-09-01", "collection_end": "2025-11-28"},
        "synthetic as word": {"synthetic": "yes"},
        "no sender": {"sender": ""},
        "a key nobody knows": {"comment": "!"},
        "an id with a path": {"delivery": "../industry"},
        "no files": {"files": []},
        "files that are no list": {"files": "response.csv"},
        "files that are no objects": {"files": ["response.csv"]},
    }
    in_file: Mapping[str, Mapping[str, object]] = {
        "fewer rows than none": {"rows": -1},
        "rows as text": {"rows": "554"},
        "rows with decimals": {"rows": 554.5},
        "a short hash": {"sha256": "abc"},
        "a hash of other letters": {"sha256": "z" * 64},
        "a path out of the folder": {"file": "../industry-2022/industry_response.csv"},
        "a path from the root": {"file": "/etc/passwd"},
        "a path of Windows": {"file": "C:\\data\\response.csv"},
        "a zero byte in the name": {"file": "a\0.csv"},
        "no name": {"file": ""},
        "a contract with a path": {"contract": "../raw"},
        "an encoding nobody knows": {"encoding": "koi8-r"},
        "a delimiter of two": {"delimiter": ",,"},
        "a quote as delimiter": {"delimiter": '"'},
        "no header row": {"header_rows": 0},
        "titles fewer than none": {"skip_rows": -1},
        "a key of a file nobody knows": {"columns": []},
        "a layout out of the folder": {"layout": "../layout.csv", "layout_sha256": "0" * 64},
        "a layout without its hash": {"layout": "layout.csv"},
        "the hash of no layout": {"layout_sha256": "0" * 64},
    }
    return [
        *(Case(f"manifest without {key}", FORM, invalid, delivery=lacks(key)) for key in REQUIRED),
        *(
            Case(f"manifest: {name}", FORM, invalid, delivery=says(**said), quick=name == "an id with a path")
            for name, said in values.items()
        ),
        *(
            Case(f"manifest: {name}", FORM, invalid, delivery=of_file(**said), quick=name == "rows as text")
            for name, said in in_file.items()
        ),
        *(
            Case(f"manifest: a file without {key}", FORM, invalid, delivery=lacks_of_file(key))
            for key in ("file", "contract", "sha256", "rows")
        ),
        Case(
            "manifest: a file twice",
            FORM,
            invalid,
            delivery=lambda delivery: delivery.manifest.update(files=[delivery.entry, delivery.entry]),
        ),
        Case("manifest: two files of a contract", FORM, invalid, delivery=_second_of_contract),
        Case("manifest: more rows than any number holds", FORM, invalid, delivery=of_file(rows=10**30)),
        Case("manifest: another hash", FORM, rejected("hash_differs"), delivery=of_file(sha256="0" * 64)),
        Case(
            "manifest: the hash in capitals",
            FORM,
            Accepted(),
            delivery=lambda delivery: delivery.entry.update(sha256=str(delivery.entry["sha256"]).upper()),
            cells=reverse_rows,
        ),
        Case(
            "manifest: a contract nobody knows",
            FORM,
            unregistered("unknown_contract"),
            delivery=of_file(contract="industry_answers"),
        ),
        Case(
            "manifest: a contract of the other survey",
            FORM,
            unregistered("unknown_contract"),
            delivery=of_file(contract="public_response"),
        ),
        Case(
            "manifest: the sample's contract for answers",
            FORM,
            rejected("missing_column"),
            delivery=of_file(contract=SAMPLE),
        ),
        Case(
            "manifest: another question version",
            FORM,
            unregistered("question_versions_differ"),
            delivery=says(question_version="yes-no-2021"),
            cells=reverse_rows,
        ),
        Case(
            "manifest: the sequence of the first",
            FORM,
            unregistered("sequence_repeated"),
            delivery=says(sequence=1),
            quick=True,
        ),
        Case("manifest: the id of the first", FORM, unregistered("delivery_repeated"), delivery=says(delivery=FIRST)),
    ]


def _second_of_contract(delivery: Delivery) -> None:
    delivery.files["b.csv"] = delivery.data
    delivery.manifest["files"] = [delivery.entry, delivery.entry | {"file": "b.csv"}]


def _texts() -> list[Case]:
    unreadable = ignored("manifest_unreadable")
    return [
        Case("manifest: a folder", FORM, unregistered("manifest_unreadable"), delivery=says(folder="/etc")),
        Case("manifest: not JSON", FORM, unreadable, delivery=as_text(lambda text: text[:-20])),
        Case("manifest: empty", FORM, unreadable, delivery=as_text(lambda text: "")),
        Case("manifest: a list", FORM, unreadable, delivery=as_text(lambda text: f"[{text}]")),
        Case("manifest: UTF-16", FORM, unreadable, delivery=as_text(str, "utf-16")),
        Case("manifest: nested beyond measure", FORM, unreadable, delivery=as_text(lambda text: "[" * 100_000)),
        Case(
            "manifest: a number of 5,000 digits",
            FORM,
            unreadable,
            delivery=as_text(lambda text: text[:-1] + f', "x": {"9" * 5_000}}}'),
        ),
        Case(
            "manifest: a key twice",
            FORM,
            unregistered("manifest_unreadable"),
            delivery=as_text(lambda text: text[:-1] + ', "sequence": 2}'),
        ),
        Case(
            "manifest: NaN",
            FORM,
            unregistered("manifest_invalid"),
            delivery=as_text(lambda text: text.replace('"sequence": 2', '"sequence": NaN')),
        ),
        Case(
            "manifest: half a letter",
            FORM,
            unregistered("manifest_invalid"),
            delivery=as_text(lambda text: text.replace('"sender": "', '"sender": "\\ud800')),
        ),
        Case(
            "manifest: a byte order mark",
            FORM,
            Accepted(),
            delivery=as_text(str, "utf-8-sig"),
            cells=reverse_rows,
        ),
        Case("manifest without survey", FORM, ignored("manifest_invalid"), delivery=lacks("survey")),
        Case("manifest without wave", FORM, ignored("manifest_invalid"), delivery=lacks("wave")),
        Case("manifest: wave as text", FORM, ignored("manifest_invalid"), delivery=says(wave="2022")),
        Case("manifest: a wave of the far future", FORM, ignored("manifest_invalid"), delivery=says(wave=3000)),
        Case("manifest: the wave before", FORM, ignored(), cells=reverse_rows, delivery=says(wave=2021)),
        Case("manifest: a survey nobody knows", FORM, ignored(), delivery=says(survey="households")),
    ]


def _move(delivery: Delivery, to: Path) -> None:
    """The file stands elsewhere, a link to it in its place."""
    path = delivery.folder / delivery.name
    path.rename(to)
    path.symlink_to(to)


def _pipe(delivery: Delivery) -> None:
    path = delivery.folder / delivery.name
    path.unlink()
    os.mkfifo(path)


def _folder_for_file(delivery: Delivery) -> None:
    path = delivery.folder / delivery.name
    path.unlink()
    path.mkdir()


def _bytes_of_another_wave(delivery: Delivery) -> None:
    folder = delivery.home.deliveries_dir / "industry-2021"
    folder.mkdir()
    manifest = delivery.manifest | {
        "delivery": folder.name, "wave": 2021, "collection_start": "2021-09-01", "collection_end": "2021-11-28"
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _without_contract(delivery: Delivery) -> None:
    path = delivery.home.deliveries_dir / FIRST / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["files"] = [entry for entry in manifest["files"] if entry["contract"] != SAMPLE]
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _renamed(name: str, expected: Expected) -> Case:
    return Case(
        f"file called {name[:40]!r}", FORM, expected,
        cells=reverse_rows, delivery=lambda delivery: delivery.rename(name),
    )  # fmt: skip


def _manifest_is_folder(delivery: Delivery) -> None:
    path = delivery.folder / "manifest.json"
    path.unlink()
    path.mkdir()


def _in_folder(name: str) -> Callable[[Delivery], None]:
    return lambda delivery: setattr(delivery, "folder_name", name)


def _reversed(name: str, **keys: object) -> Case:
    return Case(name, FORM, cells=reverse_rows, **keys)  # type: ignore[arg-type]


def _folders() -> list[Case]:
    return [
        Case(
            "the file is not there",
            FORM,
            rejected("missing_file"),
            cells=reverse_rows,
            written=lambda delivery: (delivery.folder / delivery.name).unlink(),
            quick=True,
        ),
        Case("a folder for the file", FORM, rejected("missing_file"), cells=reverse_rows, written=_folder_for_file),
        Case("a pipe for the file", FORM, rejected("missing_file"), cells=reverse_rows, written=_pipe),
        Case(
            "a link out of the folder",
            FORM,
            rejected("missing_file"),
            cells=reverse_rows,
            written=lambda delivery: _move(delivery, delivery.home.home / "elsewhere.csv"),
            quick=True,
        ),
        _reversed(
            "a link within the folder",
            expected=Accepted(),
            written=lambda delivery: _move(delivery, delivery.folder / "real.csv"),
        ),
        _reversed(
            "a file the manifest does not name",
            expected=Accepted(),
            delivery=lambda delivery: delivery.files.update({"more.csv": b"1"}),
        ),
        _reversed(
            "the file in a folder below",
            expected=Accepted(),
            delivery=lambda delivery: delivery.rename("자료/응답.csv"),
        ),
        Case("no manifest", FORM, ignored(), written=lambda delivery: (delivery.folder / "manifest.json").unlink()),
        Case("a hidden folder", FORM, ignored(), delivery=_in_folder(f".{SECOND}")),
        Case("a folder for the manifest", FORM, ignored("manifest_unreadable"), written=_manifest_is_folder),
        Case(
            "the bytes of another wave",
            FORM,
            unregistered("file_of_another_wave"),
            written=_bytes_of_another_wave,
            cells=reverse_rows,
        ),
        Case("no file of a contract", FORM, unregistered("missing_file"), written=_without_contract),
        Case("the bytes of the first delivery", FORM, ignored()),
        *(
            _renamed(name, Accepted())
            for name in (
                "응답 자료(최종).csv",
                "a'; drop table raw.edit; --.csv",
                "<b>&.csv",
                "-rf.csv",
                "%s{0}$HOME.csv",
                f"{'긴' * 80}.csv",
                "con.csv",
                "🙂.csv",
            )
        ),
        # A terminal obeys what stands in a message
        _renamed("a\nb.csv", unregistered("manifest_invalid")),
        _renamed("a\x1b[2J.csv", unregistered("manifest_invalid")),
    ]


def _edit(delivery: Delivery, content: str | bytes, name: str = "001.csv") -> None:
    folder = delivery.home.edits_dir / FIRST
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _edits(*changes: Mapping[str, str], header: tuple[str, ...] = ()) -> Callable[[Delivery], None]:
    """An edit file with lines for the file's first row, each with what differs from a good line."""

    def write(delivery: Delivery) -> None:
        sent = delivery.grid.rows[0][delivery.grid.at("region")] or ""
        good = {
            "contract": RESPONSE, "file_sha256": str(delivery.entry["sha256"]), "row": "1", "column": "region",
            "old": sent, "new": "11" if sent != "11" else "21", "who": "Kim", "why": "callback",
        }  # fmt: skip
        text = io.StringIO()
        writer = csv.DictWriter(text, [*(header or good)])
        writer.writeheader()
        writer.writerows(
            {key: value for key, value in (good | change).items() if key in writer.fieldnames} for change in changes
        )
        _edit(delivery, text.getvalue())

    return write


def _edit_files() -> list[Case]:
    lines: Mapping[str, Mapping[str, str]] = {
        "a row of nought": {"row": "0"},
        "a row that is no number": {"row": "one"},
        "a hash that is none": {"file_sha256": "abc"},
        "a contract nobody knows": {"contract": "answers"},
        "a reason nobody knows": {"why": "because"},
        "nobody who did it": {"who": " "},
    }
    log_only: Mapping[str, Mapping[str, str]] = {
        "another old value": {"old": "99"},
        "a row that is not there": {"row": "999999"},
        "a column nobody knows": {"column": "turnover"},
        "a file nobody sent": {"file_sha256": "0" * 64},
    }
    return [
        *(
            Case(f"edit file: {name}", FORM, unregistered("edit_line_invalid"), written=_edits(change))
            for name, change in lines.items()
        ),
        *(
            _reversed(f"edit not applied: {name}", expected=Accepted(), written=_edits(change))
            for name, change in log_only.items()
        ),
        _reversed("an edit that is applied", expected=Accepted(), written=_edits({})),
        Case(
            "edit file: no such header",
            FORM,
            unregistered("edit_file_columns"),
            written=_edits({}, header=("contract", "row", "why")),
        ),
        Case(
            "edit file: not UTF-8",
            FORM,
            unregistered("edit_file_unreadable"),
            written=lambda delivery: _edit(delivery, "계약,행".encode("cp949")),
        ),
        Case(
            "edit file: empty",
            FORM,
            unregistered("edit_file_unreadable"),
            written=lambda delivery: _edit(delivery, b""),
        ),
        Case(
            "edit file: a ragged line",
            FORM,
            unregistered("edit_file_unreadable"),
            written=lambda delivery: _edit(delivery, "contract,row\n1,2,3\n"),
        ),
    ]


CASES = [*_keys(), *_texts(), *_folders(), *_edit_files()]
