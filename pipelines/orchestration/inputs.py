"""What the estimators need of one survey and wave, read from `core.*` in one go."""

from dataclasses import dataclass

import polars as pl

from pipelines.warehouse.database import Session

_CLASSIFICATION = (
    "unit_id", "employment", "ksic_group", "ax_industry", "size_class", "region", "main_sector", "institution_type",
)  # fmt: skip


@dataclass(frozen=True)
class WaveInput:
    """`units`: weighted units, the responding ones with their classification today; `answers`: `core.unit_measure`.

    `frame`: every frame unit; `frame_fields`: unit_id and field; `sample`: `core.sample`.
    """

    units: pl.DataFrame
    answers: pl.DataFrame
    frame: pl.DataFrame
    frame_fields: pl.DataFrame
    sample: pl.DataFrame


def read_wave(session: Session, *, survey: str, wave: int) -> WaveInput:
    """Read one survey and wave."""
    scope = {"survey": survey, "wave": wave}
    classified = session.table("core.units", where=scope, columns=_CLASSIFICATION)
    weights = session.table("core.weights", where=scope).drop("survey", "wave")
    return WaveInput(
        units=weights.join(classified, on="unit_id", how="left", maintain_order="left"),
        answers=session.table(
            "core.unit_measure", where=scope, columns=("unit_id", "field", "measure", "value", "answer_status")
        ),
        frame=session.table("core.frame", where=scope, columns=(*_CLASSIFICATION, "selection_stratum", "take_all")),
        frame_fields=session.table("core.frame_field", where=scope, columns=("unit_id", "field")),
        sample=session.table("core.sample", where=scope),
    )
