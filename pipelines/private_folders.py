"""Folders with microdata are their owner's alone.

Belongs here: the rights of the data home's folders. Does not belong here: what is in them.
"""

import stat

from pipelines.errors import AxstatError
from pipelines.settings import Settings

_OWNER_ONLY = stat.S_IRWXU
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(settings: Settings) -> None:
    """Make deliveries, edits, warehouse and run history, and take from others the right to look into them.

    Releases stay readable by all: that is what they are for. Without effect on systems without such rights (Windows).

    Raises:
        AxstatError: a folder that others may read and that belongs to somebody else.
    """
    for folder in (settings.deliveries_dir, settings.edits_dir, settings.warehouse_file.parent, settings.dagster_home):
        folder.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY)
        if not folder.stat().st_mode & _OTHERS:
            continue
        try:
            folder.chmod(_OWNER_ONLY)
        except PermissionError as error:
            raise AxstatError(
                "folder_not_private",
                where=str(folder),
                expected="a folder that its owner alone may read: it holds microdata",
                got="one that others may read and that belongs to another user",
                hint="run axstat as the folder's owner, or have the owner run `chmod 700` on it",
            ) from error
