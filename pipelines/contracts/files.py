"""Opens the files of `data_contracts/` and keeps what is wrong with them instead of stopping at the first.

Belongs here: finding, reading and parsing files, and their versions. Does not belong here: what an ODCS
object means (odcs), checks across files (consistency).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import BaseModel, ValidationError

from pipelines.contracts.classifications import Classification
from pipelines.contracts.findings import Findings
from pipelines.contracts.models import TableContract
from pipelines.contracts.odcs import OdcsProblemError, table_contract

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class ContractFiles:
    """The files below `root`; what is wrong with one goes to `findings`, and the others are still read.

    Attributes:
        versions: version of each file read so far, by its path below the root.
    """

    root: Path
    findings: Findings
    versions: dict[str, str] = field(default_factory=dict)

    def _paths(self, folder: str) -> list[str]:
        found = sorted(path.name for path in (self.root / folder).glob("*.yaml"))
        if not found:
            self.findings.add(
                "no_contracts",
                folder,
                "at least one .yaml file",
                "none",
                "check that the root is the folder data_contracts of a complete checkout",
            )
        return [f"{folder}/{name}" for name in found]

    def _document(self, path: str) -> dict[str, Any] | None:
        try:
            # The C loader reads the same as yaml.safe_load, ten times as fast
            loaded = yaml.load((self.root / path).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        except FileNotFoundError:
            self.findings.add("missing_file", path, "the file", "not there", "restore the file")
            return None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.findings.add("not_yaml", path, "a YAML file in UTF-8", str(error), "mend the file's syntax")
            return None
        if not isinstance(loaded, dict):
            self.findings.add(
                "not_a_mapping", path, "keys and values", type(loaded).__name__, "start the file with keys"
            )
            return None
        return loaded

    def one(self, path: str, model: type[Model]) -> Model | None:
        """The file as a model; None when it cannot be, which is then among the findings."""
        document = self._document(path)
        if document is None:
            return None
        try:
            parsed = model.model_validate(document)
        except ValidationError as error:
            self._invalid(path, error, hidden=model.model_config.get("hide_input_in_errors", False))
            return None
        self.versions[path] = str(document.get("version"))
        return parsed

    def _invalid(self, path: str, error: ValidationError, *, hidden: bool = False) -> None:
        for detail in error.errors(include_url=False):
            place = ".".join(str(part) for part in detail["loc"])
            self.findings.add(
                "invalid_contract",
                f"{path}: {place}" if place else path,
                str(detail["msg"]),
                "(not shown: it may hold a secret)" if hidden else repr(detail["input"])[:200],
                "correct the entry; the file's neighbours show the form",
            )

    def each(self, folder: str, model: type[Model]) -> list[Model]:
        """Every YAML file of a folder as a model, sorted by name."""
        parsed = [self.one(path, model) for path in self._paths(folder)]
        return [entry for entry in parsed if entry is not None]

    def classifications(self) -> dict[str, Classification]:
        """The code lists of `classifications/`, by id."""
        special = {
            "classifications/ksic.yaml",
            "classifications/measures.yaml",
            "classifications/question_versions.yaml",
        }
        found: dict[str, Classification] = {}
        for path in self._paths("classifications"):
            if path in special:
                continue
            parsed = self.one(path, Classification)
            if parsed is None:
                continue
            if path != f"classifications/{parsed.id}.yaml":
                self.findings.add("file_name", path, f"{parsed.id}.yaml", path, "give file and id the same name")
            found[parsed.id] = parsed
        return found

    def contracts(self, folders: Sequence[str]) -> dict[str, TableContract]:
        """The tables of all ODCS files of the folders, by name."""
        found: dict[str, TableContract] = {}
        for folder in folders:
            for path in self._paths(folder):
                for table in self._odcs(path):
                    if table.name in found:
                        self.findings.add("twice", path, "one contract a table", table.name, "delete one of the two")
                    found[table.name] = table
        return found

    def _odcs(self, path: str) -> list[TableContract]:
        document = self._document(path)
        if document is None:
            return []
        try:
            parsed = OpenDataContractStandard.model_validate(document)
        except ValidationError as error:
            self._invalid(path, error)
            return []
        self.versions[path] = str(parsed.version)
        tables = []
        for entry in parsed.schema_ or []:
            try:
                tables.append(table_contract(parsed, entry))
            except OdcsProblemError as problem:
                self.findings.add(
                    "invalid_contract",
                    f"{path}: {entry.name}",
                    problem.expected,
                    problem.got,
                    "complete the entry; the file's neighbours show the form",
                )
        if not tables:
            self.findings.add("no_tables", path, "at least one readable schema object", "none", "add it under `schema`")
        return tables

    def manifest_schema(self) -> dict[str, Any]:
        """The JSON schema of a delivery's manifest."""
        path = self.root / "manifest.schema.json"
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.findings.add("missing_file", path.name, "the file", "not there", "restore the file")
            return {}
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self.findings.add("not_json", path.name, "a JSON file in UTF-8", str(error), "mend the file's syntax")
            return {}
        if not isinstance(loaded, dict):
            self.findings.add("not_a_mapping", path.name, "a JSON object", type(loaded).__name__, "restore the file")
            return {}
        self.versions[path.name] = str(loaded.get("version"))
        return loaded
