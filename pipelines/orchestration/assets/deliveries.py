"""Deliveries into `raw.*`: which files count, their rows as sent, and a register of every file."""

from collections.abc import Sequence

import dagster as dg

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Survey
from pipelines.errors import ViolationsError
from pipelines.intake.delivery import RawTable, read_delivery_file
from pipelines.intake.manifest import SelectedFile, look_for_deliveries, select_files
from pipelines.intake.register import file_register
from pipelines.orchestration.metadata import rows_by_table, table_markdown
from pipelines.settings import Settings
from pipelines.warehouse.database import Warehouse


def delivery_assets(survey: Survey, waves: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The raw files of one survey."""

    @dg.asset(
        key=[survey.survey, "deliveries"],
        group_name="deliveries",
        partitions_def=waves,
        pool="warehouse",
        kinds={"duckdb"},
        description=f"Files of the {survey.label_en}, as sent: raw.* and meta.delivery_file.",
    )
    def deliveries(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        library: dg.ResourceParam[ContractLibrary],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        wave = int(context.partition_key)
        contracts = survey.contracts
        found = look_for_deliveries(settings.deliveries_dir)
        if violations := found.violations(survey=survey.survey, wave=wave):
            raise ViolationsError(f"deliveries of {survey.survey} {wave}", violations)
        for violation in found.unplaced:
            context.log.warning(f"not taken for a delivery of this wave: {violation}")
        selected = select_files(
            found.manifests,
            survey=survey.survey,
            wave=wave,
            contracts=(contracts.response, contracts.sample, contracts.frame),
        )
        try:
            tables = read_current(selected, library, survey=survey.survey, wave=wave)
        except ViolationsError as error:
            with warehouse.session() as session:
                register = file_register(selected, rejected=error)
                session.replace("meta.delivery_file", register, where={"survey": survey.survey, "wave": wave})
            raise
        with warehouse.session() as session:
            register = file_register(selected)
            session.replace("meta.delivery_file", register, where={"survey": survey.survey, "wave": wave})
            for table in tables:
                [sha256] = table.frame["file_sha256"].unique()
                session.replace(
                    f"raw.{table.contract}",
                    table.frame,
                    where={"survey": survey.survey, "wave": wave, "file_sha256": sha256},
                )
        for table in tables:
            for warning in table.warnings:
                context.log.warning(str(warning))
        return dg.MaterializeResult(
            metadata={
                **rows_by_table({f"raw.{table.contract}": table.frame.height for table in tables}),
                "files": table_markdown(register.select("contract", "delivery", "file_name", "rows_in", "status")),
            }
        )

    return [deliveries]


def read_current(
    selected: Sequence[SelectedFile], library: ContractLibrary, *, survey: str, wave: int
) -> list[RawTable]:
    """Every current file of a survey and wave.

    Raises:
        ViolationsError: what is wrong with all of them, at once.
    """
    tables: list[RawTable] = []
    violations = []
    for file in selected:
        if file.status != "current":
            continue
        contract = library.deliveries[file.entry.contract]
        try:
            tables.append(read_delivery_file(file.manifest, file.entry, contract, survey=survey, wave=wave))
        except ViolationsError as error:
            violations.extend(error.violations)
    if violations:
        raise ViolationsError(f"deliveries of {survey} {wave}", violations)
    return tables
