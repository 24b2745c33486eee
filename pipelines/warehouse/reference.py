"""The reference tables: what contracts say about codes, waves and domains, as rows that SQL can join.

Belongs here: turning the contract library into those rows and loading them. Does not belong here: the
contracts themselves, or any table that comes from deliveries.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.contracts.compiler import data_dictionary, polars_schema
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import Domain
from pipelines.warehouse.session import Session


def load_reference(session: Session, library: ContractLibrary, *, last_wave: int) -> None:
    """Replace every reference table, and the marts that stand in the contracts, by what these say now.

    Args:
        last_wave: `core.wave_version` runs from each survey's first wave to this one.
    """
    for name, frame in reference_frames(library, last_wave=last_wave).items():
        session.replace(name, frame, where={})


def reference_frames(library: ContractLibrary, *, last_wave: int) -> Mapping[str, pl.DataFrame]:
    """Rows of the reference tables by name of the table, with the columns and types of its contract."""
    items = [
        {
            "classification": classification.id,
            "version": classification.version,
            "code": item.code,
            "label_ko": item.label_ko,
            "label_en": item.label_en,
            "parent": item.parent,
            "sort_order": item.sort_order,
            "source": item.source,
            "named_in_source": item.named_in_source,
        }
        for classification in library.classifications.values()
        for item in classification.items
    ]
    scope = [
        {
            "revision": row.revision,
            "division": row.division,
            "section": row.section,
            "ksic_group": row.ksic_group,
            "ax_industry": row.ax_industry,
        }
        for row in library.ksic
    ]
    waves = [
        {
            "survey": survey.survey,
            "wave": wave,
            "question_version": survey.question_version(wave),
            "tech_list_version": survey.tech_list_version(wave),
            "comparability_segment": survey.comparability_segment(wave),
            "first_wave_of_segment": survey.first_wave_of_segment(wave),
            "segment_has_predecessor": survey.has_earlier_segment(wave),
            "ksic_revision": survey.ksic_revision(wave),
            "question_form": survey.question_form(wave),
            "statistical_unit": survey.statistical_unit,
            "min_employees": survey.min_employees,
        }
        for survey in library.surveys.values()
        for wave in range(survey.first_wave, last_wave + 1)
    ]
    domains = []
    for survey in library.surveys.values():
        for domain in survey.domains:
            first, second = _code_lists(domain, library)
            domains.append(
                {
                    "survey": survey.survey,
                    "domain_type": domain.type,
                    "domain_code": domain.code,
                    "first_list": first,
                    "second_list": second,
                }
            )
    measures = [measure.model_dump() for measure in library.measures.values()]
    examples = [
        {"position": position, **example.model_dump()}
        for position, example in enumerate(library.outputs.examples, start=1)
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "core.classification_item": items,
        "core.ksic_scope": scope,
        "core.wave_version": waves,
        "core.survey_domain": domains,
        "mart.measure": measures,
        "mart.example_query": examples,
    }
    made = {
        name: pl.DataFrame(records, schema=polars_schema(library.tables[name]), orient="row")
        for name, records in rows.items()
    }
    return {**made, "mart.dictionary": data_dictionary(library)}


def _code_lists(domain: Domain, library: ContractLibrary) -> tuple[str | None, str | None]:
    """Ids of the code lists of the domain's columns, as the contract of the table that has them says."""
    table = library.tables["core.unit_measure" if domain.rows == "field" else "core.units"]
    lists = [table.column(column).classification for column in domain.columns]
    first, second = (*lists, None, None)[:2]
    return first, second
