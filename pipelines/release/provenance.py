"""What each published table was made by: statements and functions, from the marts back to the deliveries.

Belongs here: `provenance.json` of a release, put together from the contracts (`madeBy`, `reads`) and the SQL catalogue.
Does not belong here: what became of the rows, which the manifest has; telling it to people (explain).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pipelines
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.release.vintages import file_sha256
from pipelines.warehouse.catalogue import SqlCatalogue

PROVENANCE = "provenance.json"
_PACKAGE = Path(pipelines.__file__).parent


def provenance(library: ContractLibrary, catalogue: SqlCatalogue) -> dict[str, object]:
    """Every published table and every table that one of them rests on.

    Returns:
        ``tables``: by ``schema.table``: ``title_en``, ``title_ko``, ``contract_version``, ``key`` (of a mart: the parts
        of a cell's id, in this order), ``made_by`` (``kind`` 'statement' or 'function', ``name``, ``file`` in the
        source tree, ``sha256`` of that file), ``reads``.

    Raises:
        AxstatError: a table that neither a statement nor a declared function makes; a function whose module is gone.
    """
    found: dict[str, dict[str, object]] = {}
    waiting = sorted(library.marts)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        contract = library.tables[name]
        makers, reads = _makers(name, library, catalogue)
        found[name] = {
            "title_en": contract.title_en,
            "title_ko": contract.title_ko,
            "contract_version": contract.version,
            "key": list(contract.key),
            "made_by": makers,
            "reads": list(reads),
        }
        waiting += reads
    return {"tables": dict(sorted(found.items()))}


def _makers(
    name: str, library: ContractLibrary, catalogue: SqlCatalogue
) -> tuple[list[Mapping[str, str]], tuple[str, ...]]:
    """What makes a table's rows, and the tables those come from."""
    contract = library.tables[name]
    if name in catalogue:
        statement = catalogue[name]
        file = f"sql/{statement.path.relative_to(catalogue.root).as_posix()}"
        sha256 = hashlib.sha256(statement.sql.encode()).hexdigest()
        return [{"kind": "statement", "name": name, "file": file, "sha256": sha256}], statement.reads
    if not contract.made_by:
        raise AxstatError(
            "maker_unknown",
            where=name,
            expected="a statement in sql/, or the functions that make the table",
            got="neither",
            hint="name them in the table's contract: customProperties madeBy and reads",
        )
    return [_function(name, function) for function in contract.made_by], contract.reads


def _function(table: str, name: str) -> Mapping[str, str]:
    module = name.rpartition(".")[0]
    path = _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        raise AxstatError(
            "maker_missing",
            where=f"{table}: madeBy",
            expected="a function of this program, as package.module.function",
            got=name,
            hint="correct the name in the table's contract",
        )
    return {
        "kind": "function",
        "name": name,
        "file": f"{module.replace('.', '/')}.py",
        "sha256": file_sha256(path),
    }
