"""What the estimators need of one survey and wave, read from `core.*` in one go."""

from collections import OrderedDict
from dataclasses import dataclass

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.stats.draw_id import DRAW_ID, in_draw_order
from pipelines.stats.survey_wave import Wave
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import fingerprint

_CLASSIFICATION = (
    "unit_id", "employment", "ksic_group", "ax_industry", "size_class", "region", "main_sector", "institution_type",
)  # fmt: skip


@dataclass(frozen=True)
class WaveInput:
    """`units`: weighted units, the responding ones with their classification today; `answers`: `core.unit_measure`.

    `frame`: every frame unit; `frame_fields`: unit_id and field; `sample`: `core.sample` in the order of draw_id.
    """

    units: pl.DataFrame
    answers: pl.DataFrame
    frame: pl.DataFrame
    frame_fields: pl.DataFrame
    sample: pl.DataFrame


class WaveReader:
    """Reads waves and keeps the last few: the steps after the weights read the same tables again.

    A wave that is kept counts only as long as its weights rest on the same deliveries and contracts.
    """

    def __init__(self, library: ContractLibrary, *, keep: int = 16) -> None:
        """``keep``: the waves of a comparability segment, of both surveys."""
        self._library = library
        self._keep = keep
        self._kept: OrderedDict[tuple[str, int, str], WaveInput] = OrderedDict()

    def read(self, session: Session, *, survey: str, wave: int) -> WaveInput:
        """One survey and wave whose weights are whole (:func:`pipelines.warehouse.steps.require_whole`)."""
        key = (survey, wave, fingerprint(session, self._library, survey=survey, wave=wave))
        if key not in self._kept:
            self._kept[key] = _read(session, survey=survey, wave=wave)
        self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return self._kept[key]

    def state(self, session: Session, survey: Survey, wave: int) -> Wave:
        """The same, ready for the estimators."""
        read = self.read(session, survey=survey.survey, wave=wave)
        return Wave.build(
            read.units, read.answers, frame=read.frame, frame_fields=read.frame_fields, lonely_psu=survey.lonely_psu
        )


def _read(session: Session, *, survey: str, wave: int) -> WaveInput:
    scope = {"survey": survey, "wave": wave}
    classified = session.table("core.units", where=scope, columns=_CLASSIFICATION)
    weights = session.table("core.weights", where=scope).drop("survey", "wave")
    sample = in_draw_order(session.table("core.sample", where=scope))
    return WaveInput(
        units=weights.join(classified, on="unit_id", how="left", maintain_order="left").join(
            sample.select("unit_id", DRAW_ID), on="unit_id", how="left", maintain_order="left"
        ),
        answers=session.table(
            "core.unit_measure",
            where=scope,
            columns=("unit_id", "field", "measure", "value", "answer_status", "imputed"),
        ),
        frame=session.table("core.frame", where=scope, columns=(*_CLASSIFICATION, "selection_stratum", "take_all")),
        frame_fields=session.table("core.frame_field", where=scope, columns=("unit_id", "field")),
        sample=sample,
    )
