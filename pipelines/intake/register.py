"""Which files were sent and what became of each: the rows of `meta.delivery_file`.

Belongs here: one row a file of the manifests. Does not belong here: finding manifests (manifest), reading files
(delivery), storing anything (warehouse).
"""

from collections.abc import Sequence

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.manifest import SelectedFile


def file_register(selected: Sequence[SelectedFile], rejected: ViolationsError | None = None) -> pl.DataFrame:
    """Rows of `meta.delivery_file`. A current file named in `rejected` gets the status and its reasons."""
    reasons: dict[str, list[str]] = {}
    for violation in rejected.violations if rejected else ():
        for file in selected:
            where = file.manifest.where(file.entry)
            # A column of the file, or a file in it that is a zip
            if violation.where == where or violation.where.startswith((f"{where},", f"{where}/")):
                reasons.setdefault(where, []).append(violation.code)
    rows = []
    for file in selected:
        manifest, entry = file.manifest, file.entry
        broken = reasons.get(manifest.where(entry))
        rows.append(
            {
                "survey": manifest.survey,
                "wave": manifest.wave,
                "contract": entry.contract,
                "delivery": manifest.delivery,
                "sequence": manifest.sequence,
                "file_name": entry.file,
                "file_sha256": entry.sha256,
                "rows_in": entry.rows,
                "question_version": manifest.question_version,
                "tech_list_version": manifest.tech_list_version,
                "collection_start": manifest.collection_start,
                "collection_end": manifest.collection_end,
                "synthetic": manifest.synthetic,
                "status": "rejected" if broken else file.status,
                "reason": ", ".join(sorted(set(broken))) if broken else file.reason,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
