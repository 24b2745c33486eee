"""Holds quality indicators, supplied values and declared revisions against the code lists they name.

Belongs here: checks across these files. Does not belong here: the other files (consistency), or whether a release has
its indicators (release).
"""

from typing import TYPE_CHECKING

from pipelines.contracts.findings import Findings

if TYPE_CHECKING:
    from pipelines.contracts.library import ContractLibrary

INDICATORS = "quality_indicators"
CAUSES = "revision_causes"
# Causes that say that nothing changed: nobody declares them
NOTHING_CHANGED = ("first", "none")
_MADE_BY = ("query", "function", "supplied")
_MADE_AT = ("run", "release")


def check_indicators(library: "ContractLibrary", findings: Findings) -> None:
    """Every indicator says its unit and what makes it when; every entry names indicators, surveys, causes there are."""
    _check_properties(library, findings)
    supplied = [
        item.code for item in library.classifications[INDICATORS].items if item.properties.get("by") == "supplied"
    ]
    for value in library.quality_values.values:
        where = f"quality_values.yaml: {value.indicator}"
        if value.indicator not in supplied:
            findings.add("not_supplied", where, f"one of {', '.join(supplied)}", value.indicator, "others are computed")
        _check_survey(value.survey, where, library, findings)
    causes = [code for code in library.classifications[CAUSES].codes if code not in NOTHING_CHANGED]
    for entry in library.revisions.revisions:
        where = f"revisions.yaml: {entry.vintage or entry.wave}"
        if entry.cause not in causes:
            findings.add("unknown_cause", where, f"one of {', '.join(causes)}", entry.cause, "correct it")
        _check_survey(entry.survey, where, library, findings)


def _check_properties(library: "ContractLibrary", findings: Findings) -> None:
    units = library.classifications["measurement_units"].codes
    for item in library.classifications[INDICATORS].items:
        where = f"classifications/{INDICATORS}.yaml: {item.code}"
        given = item.properties
        for name, allowed in (("unit", units), ("by", _MADE_BY), ("made", _MADE_AT)):
            if given.get(name) not in allowed:
                findings.add(
                    "indicator_property", f"{where}.{name}", f"one of {', '.join(allowed)}", str(given.get(name)), "add"
                )
        # What a query rests on, its header says
        for name in ("source",) if given.get("by") == "query" else ("source", "rests_on"):
            if not given.get(name):
                findings.add("indicator_property", f"{where}.{name}", "what the value comes from", "none", "add it")
        reasons = library.classifications["indicator_reasons"].codes
        if given.get("no_value", reasons[0]) not in reasons:
            findings.add(
                "indicator_property", f"{where}.no_value", "a code of indicator_reasons", given["no_value"], "add"
            )
        if not (item.description_ko and item.description_en):
            findings.add("no_definition", where, "description_ko and description_en", "none", "add the definition")


def _check_survey(survey: str | None, where: str, library: "ContractLibrary", findings: Findings) -> None:
    if survey is not None and survey not in library.surveys:
        findings.add("unknown_survey", where, f"one of {', '.join(library.surveys)}", survey, "correct it")
