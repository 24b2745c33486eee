"""`axstat codebook`: one file's variables against whatever is asked for.

Belongs here: what the command compares with what. Does not belong here: the comparison (codebook), its telling
(codebook_told).
"""

from dataclasses import replace
from pathlib import Path

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.intake.codebook.contractor import delivered_codebook
from pipelines.intake.codebook.made import codebook_of_contract
from pipelines.intake.form import FileForm
from pipelines.precheck.codebook import CodebookReport, against, codebook_of_file, compare_codebooks
from pipelines.precheck.known import Known, known_codebook
from pipelines.precheck.run import as_delivered
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue


def check_codebook(
    path: Path,
    settings: Settings,
    library: ContractLibrary,
    *,
    survey: str,
    wave: int,
    contract: str | None = None,
    form: FileForm | None = None,
    other: str | None = None,
) -> CodebookReport:
    """Compare a data file's variables, or a codebook, with what else is known of them.

    Args:
        path: a data file or a codebook. Where a manifest beside a data file names it, its codebook and question version
            are taken from there.
        contract: its contract; None: what the manifest says, else the survey's answers.
        form: how to read it; None: as the manifest says, else by its name and content.
        other: ``contract``, ``last`` (wave, as the data home has it), or the path of another file, say last year's;
            None: the contractor's codebook, the contract and the last wave.

    Raises:
        AxstatError: no such file, survey, wave or contract; a file that cannot be read; ``last`` and no earlier wave.
    """
    sent_as = as_delivered(path, library, survey=survey, wave=wave, contract=contract, form=form)
    manifest, entry = sent_as.manifest, sent_as.entry
    asked = library.deliveries[entry.contract]
    labels = codebook_of_file(path, entry, library.codebooks, asked)
    sent = delivered_codebook(manifest, entry, library.codebooks, asked)
    version = manifest.question_version
    if other in (None, "last"):
        catalogue = SqlCatalogue(settings.sql_dir)
        known = known_codebook(settings, catalogue, library, asked.name, survey=survey, wave=wave)
    else:
        known = Known({})
    whole = compare_codebooks(
        labels,
        sent,
        asked,
        file=entry.file,
        manifest=manifest,
        previous=known.codebook,
        home_problem=known.problem,
    )
    if other is None:
        return whole
    if other == "contract":
        old = codebook_of_contract(asked, question_version=version)
    elif other == "last":
        if known.codebook is None:
            raise AxstatError(
                "no_earlier_wave",
                where="--against last",
                expected=f"a wave of {survey} before {wave} in the data home",
                got=known.problem or "none",
                hint="run the earlier wave first, or name its file: --against FILE",
            )
        old = known.codebook
    else:
        if not Path(other).is_file():
            raise AxstatError(
                "no_such_file",
                where="--against",
                expected="contract, last, or a file",
                got=other,
                hint="check the path that is asked for",
            )
        # Whatever it is, it is of another time: a text that changed since is not a contradiction.
        old = replace(codebook_of_file(Path(other), FileForm(), library.codebooks, asked), kind="file")
    return against([(old, whole.whole)], asked, whole=whole.whole, file=entry.file, manifest=manifest)
