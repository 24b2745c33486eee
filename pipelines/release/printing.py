"""The printed forms of a release: PDF, the word processor's form and the picture to share.

Belongs here: which there are, and making them in a process of their own, beside the pages and their judgement, which
keep this process's interpreter busy. Does not belong here: how a form looks (reporting).
"""

import gc
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pipelines.reporting.data import ReportData
from pipelines.reporting.document import document_of
from pipelines.reporting.hwpx import render_hwpx
from pipelines.reporting.numbers import Language
from pipelines.reporting.pdf import render_pdf
from pipelines.reporting.share import render_share


class _Render(Protocol):
    def __call__(self, data: ReportData, language: Language, *, template_dir: Path) -> bytes: ...


# Files beside the report's pages with their language; what each is stands in the texts under provenance.printed
PRINTED: Mapping[str, tuple[Language, _Render]] = {
    "report.ko.pdf": ("ko", render_pdf),
    "report.en.pdf": ("en", render_pdf),
    "report.ko.hwpx": ("ko", render_hwpx),
    "share.ko.png": ("ko", render_share),
    "share.en.png": ("en", render_share),
}


@contextmanager
def printing(folder: Path, data: ReportData, *, template_dir: Path) -> Iterator[None]:
    """Write the printed forms into a folder while the block runs; they are all there when it ends.

    Raises:
        AxstatError: at the end of the block, as the forms' own functions; an error of the block goes before it.
    """
    # Spawned: a process with threads of its own must not be forked
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin) as pool:
        # It loads its libraries while this process makes the documents that both print
        pool.submit(_load)
        for language in dict.fromkeys(language for language, _ in PRINTED.values()):
            document_of(data, language, template_dir)
        forms = pool.submit(_write_forms, folder, data, template_dir)
        yield
        forms.result()


def _begin() -> None:
    """End with the parent: a killed release must not go on writing, for the next one takes its folder away."""
    # It ends before garbage could be a burden; looking for it takes a tenth of its time
    gc.disable()

    def wait() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _load() -> None:
    """Nothing: to find this function, a process has loaded this module."""


def _write_forms(folder: Path, data: ReportData, template_dir: Path) -> None:
    for name, (language, render) in PRINTED.items():
        (folder / name).write_bytes(render(data, language, template_dir=template_dir))


def _read_only(items: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(items)


# Contracts hold read-only mappings, which Python does not send to another process by itself
ForkingPickler.register(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))
