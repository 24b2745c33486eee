"""`python -m pipelines.contracts.check`: every contract against the ODCS JSON schema and against the others.

Belongs here: running the checks and printing what they find. Does not belong here: the rules across files
(library). The only module that needs jsonschema, which is a development dependency.
"""

import json
import sys
from importlib import resources
from pathlib import Path

import yaml
from jsonschema import Draft201909Validator
from jsonschema.validators import validator_for

from pipelines.contracts.library import load_library
from pipelines.errors import ViolationsError

ODCS_FOLDERS = ("deliveries", "warehouse", "marts")


def odcs_findings(root: Path) -> list[str]:
    """What the ODCS JSON schema finds in the contract files below `root`, one line each."""
    # The package's own json_schema() opens the file in a way that Python has deprecated
    schema = resources.files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    validator = Draft201909Validator(json.loads(schema))
    findings = []
    for folder in ODCS_FOLDERS:
        for path in sorted((root / folder).glob("*.yaml")):
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            for error in sorted(validator.iter_errors(document), key=lambda found: list(map(str, found.path))):
                place = "/".join(str(part) for part in error.path) or "(top)"
                findings.append(f"{folder}/{path.name}: {place}: {error.message[:300]}")
    return findings


def manifest_schema_findings(root: Path) -> list[str]:
    """What is wrong with the JSON schema of the manifest as a schema, one line each."""
    schema = json.loads((root / "manifest.schema.json").read_text(encoding="utf-8"))
    metaschema = validator_for(schema).META_SCHEMA
    return [
        f"manifest.schema.json: {'/'.join(str(part) for part in error.path) or '(top)'}: {error.message}"
        for error in validator_for(metaschema)(metaschema).iter_errors(schema)
    ]


def main(arguments: list[str]) -> int:
    """Check the contracts in the folder named first, else those of the checkout; 0 when all is well."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2] / "data_contracts"
    findings: list[str] = []
    try:
        findings += odcs_findings(root)
        findings += manifest_schema_findings(root)
    except (OSError, yaml.YAMLError, json.JSONDecodeError) as error:
        findings.append(f"{root}: {error}")
    try:
        library = load_library(root)
    except ViolationsError as error:
        findings += [str(violation) for violation in error.violations]
    else:
        sys.stdout.write(
            f"{len(library.deliveries)} deliveries, {len(library.tables)} tables, "
            f"{len(library.surveys)} surveys, {len(library.classifications)} code lists, "
            f"{len(library.measures)} measures\n"
        )
    if findings:
        sys.stderr.write("\n".join([*findings, f"{len(findings)} finding(s)", ""]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
