"""What a release rests on, read from the warehouse in one session.

Belongs here: picking the published rows, what they rest on and what the blocking checks say of them. Does not belong
here: judging (gate), writing or publishing (publish).
"""

import polars as pl

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError
from pipelines.release.candidate import FailedCheck
from pipelines.release.publish import ReleaseInput
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.published import publishable
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import fingerprints, require_releasable


def read_built(settings: Settings, wave: int) -> tuple[ContractLibrary, ReleaseInput]:
    """The contracts, and the input of a wave that ran already.

    Raises:
        AxstatError: nothing ran yet; as `read_release`.
    """
    library = load_library(settings.contracts_dir)
    if not settings.warehouse_file.exists():
        raise AxstatError(
            "nothing_built",
            where=str(settings.warehouse_file),
            expected=f"wave {wave}, built from its deliveries",
            got="no warehouse",
            hint=f"run `axstat run --wave {wave}` first",
        )
    # A run keeps the file for a wave: who asks is told at once who has it
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library, lock_timeout=2.0)
    return library, read_release(warehouse, wave)


def read_release(warehouse: Warehouse, wave: int) -> ReleaseInput:
    """Everything of one wave and the earlier ones that its release publishes or is judged by.

    Raises:
        AxstatError: the wave, or an earlier one in it, is not built from what is current now; names the command.
    """
    library = warehouse.library
    with warehouse.session() as session:
        require_releasable(session, library, wave=wave)
        edits = _upto(session.table("raw.edit", columns=("survey", "wave", "edit_sha256")), wave)
        return ReleaseInput(
            wave=wave,
            marts={
                name.split(".")[1]: publishable(_upto(session.table(name), wave), table)
                for name, table in library.marts.items()
            },
            deliveries=_upto(session.table("meta.delivery_file"), wave),
            row_balance=_upto(session.table("meta.row_balance"), wave),
            edit_files=edits.unique().sort(edits.columns),
            rests_on={survey: fingerprints(session, library, survey=survey, upto=wave) for survey in library.surveys},
            failed_checks=failed_checks(warehouse, session, wave),
        )


def failed_checks(warehouse: Warehouse, session: Session, wave: int) -> tuple[FailedCheck, ...]:
    """Blocking checks of `sql/checks/` that find something, of each survey or, where they ask for none, of the wave."""
    found = []
    for statement in warehouse.catalogue.layer("checks"):
        if statement.severity == "error":
            for survey in warehouse.library.surveys if "survey" in statement.params else (None,):
                rows = session.check(statement.table, survey=survey, wave=wave)
                if rows.height:
                    found.append(FailedCheck(statement.table, survey, rows))
    return tuple(found)


def _upto(frame: pl.DataFrame, wave: int) -> pl.DataFrame:
    return frame.filter(pl.col("wave") <= wave) if "wave" in frame.columns else frame
