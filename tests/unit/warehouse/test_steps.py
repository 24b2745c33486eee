"""A step counts only as long as the deliveries it rests on are the current ones."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import STEPS, record_step, require_releasable, require_whole, stale_steps

OF_WAVE = {"survey": "industry", "wave": 2025}


def deliver(session: Session, *files: tuple[str, str]) -> None:
    """Register files, each a content and a status."""
    rows = [
        {
            **OF_WAVE,
            "contract": "industry_response",
            "delivery": f"d{place}",
            "sequence": place,
            "file_name": "a.csv",
            "file_sha256": content,
            "rows_in": 1,
            "question_version": "list-2022",
            "tech_list_version": "1",
            "collection_start": date(2025, 9, 1),
            "collection_end": date(2025, 10, 31),
            "synthetic": True,
            "status": status,
            "reason": None,
        }
        for place, (content, status) in enumerate(files, start=1)
    ]
    session.replace("meta.delivery_file", pl.DataFrame(rows), where=OF_WAVE)


def test_steps_are_whole_until_another_file_counts(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session() as session:
        deliver(session, ("aa", "current"))
        assert stale_steps(session, library, **OF_WAVE) == list(STEPS)
        for step in STEPS:
            record_step(session, library, **OF_WAVE, step=step)
        require_whole(session, library, **OF_WAVE, upto=STEPS[-1])
        # a repetition that does not count changes nothing
        deliver(session, ("aa", "current"), ("aa", "superseded"))
        assert stale_steps(session, library, **OF_WAVE) == []
        deliver(session, ("aa", "superseded"), ("bb", "current"))
        assert stale_steps(session, library, **OF_WAVE) == list(STEPS)
        record_step(session, library, **OF_WAVE, step="core")
        assert stale_steps(session, library, **OF_WAVE) == ["weights", "estimates", "replicates", "marts"]
        assert session.table("meta.step").height == len(STEPS)


def deliver_waves(session: Session, **contents: str) -> None:
    """One current file a wave, named by its year."""
    deliver(session, ("aa", "current"))
    row = session.table("meta.delivery_file").row(0, named=True)
    rows = [
        row | {"wave": int(year.removeprefix("y")), "delivery": year, "file_sha256": content}
        for year, content in contents.items()
    ]
    session.replace("meta.delivery_file", pl.DataFrame(rows, schema_overrides={"wave": pl.Int32}), where={})


def test_the_marts_of_a_wave_rest_on_the_earlier_ones_too(warehouse: Warehouse, library: ContractLibrary) -> None:
    later = {"survey": "industry", "wave": 2025}
    with warehouse.session() as session:
        deliver_waves(session, y2024="a", y2025="b", y2026="c")
        for step in STEPS:
            record_step(session, library, **later, step=step)
        assert stale_steps(session, library, **later) == []
        deliver_waves(session, y2024="a", y2025="b", y2026="other")
        assert stale_steps(session, library, **later) == []
        deliver_waves(session, y2024="corrected", y2025="b", y2026="c")
        assert stale_steps(session, library, **later) == ["marts"]
        # An earlier wave that came later is one that the marts lack
        deliver_waves(session, y2023="new", y2024="a", y2025="b")
        assert stale_steps(session, library, **later) == ["marts"]


def test_a_release_needs_every_wave_in_it(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session() as session:
        deliver_waves(session, y2024="a", y2025="b")
        for survey in library.surveys:
            for wave in (2024, 2025):
                for step in STEPS:
                    record_step(session, library, survey=survey, wave=wave, step=step)
        require_releasable(session, library, wave=2025)
        deliver_waves(session, y2023="new", y2024="a", y2025="b")
        with pytest.raises(AxstatError, match=r"industry 2024: marts; industry 2025: marts\n.*axstat run --all"):
            require_releasable(session, library, wave=2025)
        record_step(session, library, **OF_WAVE, step="marts")
        with pytest.raises(AxstatError, match=r"industry 2024: marts\n.*--wave` for 2024 in this order"):
            require_releasable(session, library, wave=2025)
        # A wave whose marts were never made is not in it
        session.delete("meta.step", where={"survey": "industry", "wave": 2024, "step": "marts"})
        require_releasable(session, library, wave=2025)


def test_a_new_figure_of_another_office_makes_no_wave_stale(warehouse: Warehouse, library: ContractLibrary) -> None:
    newer = dict.fromkeys((name for name in library.versions if name.startswith("benchmarks/")), "99")
    assert newer
    with warehouse.session() as session:
        deliver(session, ("aa", "current"))
        for step in STEPS:
            record_step(session, library, **OF_WAVE, step=step)
        changed = replace(library, versions={**library.versions, **newer})
        assert stale_steps(session, changed, **OF_WAVE) == []
        changed = replace(library, versions={**library.versions, "targets.yaml": "99"})
        assert stale_steps(session, changed, **OF_WAVE) == list(STEPS)


def test_what_is_missing_is_named_with_the_command_that_mends_it(
    warehouse: Warehouse, library: ContractLibrary
) -> None:
    with warehouse.session() as session:
        deliver(session, ("aa", "current"))
        record_step(session, library, **OF_WAVE, step="core")
        require_whole(session, library, **OF_WAVE, upto="core")
        with pytest.raises(AxstatError, match=r"missing or older: weights\n.*axstat run --wave 2025"):
            require_whole(session, library, **OF_WAVE, upto="weights")
