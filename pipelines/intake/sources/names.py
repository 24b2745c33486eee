"""Names that a source may give to what becomes files on this machine.

Belongs here: the rule for names of deliveries and of their files. Does not belong here: any file.
"""

import re

from pipelines.intake.manifest import MANIFEST_NAME

_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_LONGEST_PART, _LONGEST_PATH = 200, 500


def folder_problem(name: str) -> str | None:
    """Why a delivery's folder may not be called so; None: it may."""
    if _FOLDER.fullmatch(name):
        return None
    return "a folder's name is made of 1 to 100 letters, digits and - _ . and does not start with - or ."


def file_problem(path: str) -> str | None:
    """Why a data file may not lie at this path below its delivery's folder; None: it may.

    Names are for people, so letters of any script are let in, but nothing that a file system or a terminal
    reads as more than a letter.
    """
    if path == MANIFEST_NAME:
        return "is the manifest itself"
    if len(path.encode("utf-8", "replace")) > _LONGEST_PATH:
        return f"is longer than {_LONGEST_PATH} bytes"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "is not a plain path below the delivery's folder"
        if part.startswith("."):
            return "is hidden: a part starts with a dot"
        if len(part.encode("utf-8", "replace")) > _LONGEST_PART:
            return f"has a part longer than {_LONGEST_PART} bytes"
        if not part.isprintable() or set(part) & set('\\:*?"<>|'):
            return 'holds a control character or one of \\ : * ? " < > |'
    return None


def shown(name: str) -> str:
    """A name from outside, as a message may show it: escaped and cut."""
    text = name.encode("unicode_escape").decode("ascii") if not name.isprintable() else name
    return text if len(text) <= 120 else f"{text[:117]}..."
