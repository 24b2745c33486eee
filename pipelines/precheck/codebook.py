"""A file's codebook held against the contractor's, the contract and the last wave.

Belongs here: which codebooks are compared, the verdict. Does not belong here: what differs (intake.codebook), how it is
told (codebook_told).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipelines.contracts.codebooks import CodebookForm
from pipelines.contracts.models import TableContract
from pipelines.intake.codebook.contractor import codebook_of_table, is_codebook
from pipelines.intake.codebook.differences import Comparison, compare
from pipelines.intake.codebook.made import codebook_of_contract, codebook_of_labels, completed
from pipelines.intake.codebook.model import Codebook
from pipelines.intake.columns import find_columns
from pipelines.intake.form import FileForm
from pipelines.intake.formats.dispatch import read_table
from pipelines.intake.manifest import Manifest

CodebookVerdict = Literal["same", "look", "serious"]


@dataclass(frozen=True, kw_only=True)
class CodebookReport:
    """How the variables of one file differ from what else is known of them.

    Attributes:
        whole: what is known of the file's variables: its own labels, and from the contractor's codebook what they do
            not say.
        comparisons: with the contractor's codebook, the contract and the last wave, as far as there are any.
        synthetic: the manifest says that the data are made up.
        home_problem: why the data home's warehouse could not be asked for the last wave.
    """

    file: str
    survey: str
    wave: int
    contract: str
    synthetic: bool
    whole: Codebook
    comparisons: tuple[Comparison, ...]
    home_problem: str | None = None

    @property
    def verdict(self) -> CodebookVerdict:
        """'serious' where numbers may mean something else, 'look' where a person decides, else 'same'."""
        found = {difference.gravity for comparison in self.comparisons for difference in comparison.differences}
        if "serious" in found:
            return "serious"
        return "look" if "look" in found or self.unread else "same"

    @property
    def unread(self) -> tuple[str, ...]:
        """Cells of codebooks that hold no list of codes."""
        books = (self.whole, *(comparison.old for comparison in self.comparisons))
        return tuple(dict.fromkeys(cell for book in books for cell in book.unread))


def compare_codebooks(
    labels: Codebook,
    sent: Codebook | None,
    contract: TableContract,
    *,
    file: str,
    manifest: Manifest,
    previous: Codebook | None,
    home_problem: str | None = None,
) -> CodebookReport:
    """Compare a file's variables with all that is known of them.

    Args:
        labels: the file's variables with its own labels. sent: the contractor's codebook of it.
        previous: what the last wave was delivered with.
    """
    version = manifest.question_version
    whole = replace(labels if sent is None else completed(labels, sent), question_version=version)
    pairs = [] if sent is None else [(sent, labels)]
    pairs.append((codebook_of_contract(contract, question_version=version), whole))
    if previous is not None:
        pairs.append((previous, whole))
    return against(pairs, contract, whole=whole, file=file, manifest=manifest, home_problem=home_problem)


def against(
    pairs: list[tuple[Codebook, Codebook]],
    contract: TableContract,
    *,
    whole: Codebook,
    file: str,
    manifest: Manifest,
    home_problem: str | None = None,
) -> CodebookReport:
    """The report of pairs of an old and a new codebook."""
    # A column that only some versions of the question have is one of those that measures rest on.
    measured = {column.name for column in contract.columns if column.question_versions}
    return CodebookReport(
        file=file,
        survey=manifest.survey,
        wave=manifest.wave,
        contract=contract.name,
        synthetic=manifest.synthetic,
        whole=whole,
        comparisons=tuple(compare(old, new, measured=measured) for old, new in pairs),
        home_problem=home_problem,
    )


def codebook_of_file(path: Path, how: FileForm, form: CodebookForm, contract: TableContract) -> Codebook:
    """The codebook that a file is, or else the variables and labels that it has.

    Raises:
        ViolationsError: the file cannot be read, or is a codebook that contradicts itself.
    """
    table = read_table(path, how, file=path.name)
    if is_codebook(table.headers, form) and not find_columns(table.headers, table.labels, contract):
        return codebook_of_table(table, form, contract, file=path.name)
    return codebook_of_labels(table, contract, source=path.name)
