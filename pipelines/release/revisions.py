"""`mart.revision`: what each release printed for each headline figure, and why it changed.

Belongs here: which figures are followed, gathering their prints, and the cause of each change. Does not belong here:
the arithmetic of revisions (stats), the notice that tells a change (reporting).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.release.history import PastRelease
from pipelines.release.revision_causes import derived_causes
from pipelines.release.vintages import Vintage
from pipelines.stats.revisions import revision_triangle

FIGURE = ("survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting")
_SUPPRESS = "suppress"


def revision_table(
    before: Sequence[PastRelease],
    rates: pl.DataFrame,
    *,
    vintage: Vintage,
    basis: Mapping[str, Any],
    library: ContractLibrary,
) -> pl.DataFrame:
    """Rows of `mart.revision` with the columns of its contract.

    Args:
        before: releases that stand already, the oldest first.
        rates: rows of `mart.adoption_rate` of the release that is being made.
        vintage: its name. basis: the part of its manifest that says what it rests on.
    """
    manifests = {str(release.vintage): release.manifest for release in before} | {str(vintage): basis}
    prints = [
        _printed(release.rates(), library, vintage=release.vintage, order=release.order, upto=vintage.wave)
        for release in before
    ]
    prints.append(_printed(rates, library, vintage=vintage, order=len(before) + 1, upto=vintage.wave))
    triangle = revision_triangle(pl.concat(prints), figure=FIGURE)
    why = [_why(row, manifests, library) for row in triangle.iter_rows(named=True)]
    texts = dict.fromkeys(("cause", "kind", "reason_ko", "reason_en", "declared_by"), pl.String)
    return triangle.hstack(pl.DataFrame(why, schema=texts)).select(library.marts["mart.revision"].column_names)


def _printed(rates: pl.DataFrame, library: ContractLibrary, *, vintage: Vintage, order: int, upto: int) -> pl.DataFrame:
    """The figures that are followed: the headline measure of every total, by each weighting."""
    key = ["survey", "domain_type", "measure", "base", "unit_weighting"]
    followed = pl.DataFrame(
        [
            (name, domain.type, chosen.measure, chosen.base, weighting, (domain.type, weighting) == on_page_one)
            for name, survey in library.surveys.items()
            for chosen in (survey.headline,)
            for on_page_one in ((chosen.domain_type, chosen.unit_weighting),)
            for domain in survey.domains
            if domain.code is not None
            for weighting in survey.unit_weightings
        ],
        schema=[*key, "is_headline"],
        orient="row",
    )
    shown = pl.col("reliability") != _SUPPRESS
    return (
        rates.filter(pl.col("wave") <= upto)
        .join(followed, on=key, how="inner")
        .select(
            *FIGURE,
            pl.lit(str(vintage)).alias("vintage"),
            pl.lit(order, dtype=pl.Int32).alias("publication_order"),
            "is_headline",
            *(pl.when(shown).then(name).alias(name) for name in ("estimate", "se")),
        )
        .cast({"wave": pl.Int32})
    )


def _why(
    row: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]], library: ContractLibrary
) -> Mapping[str, str | None]:
    nothing = dict.fromkeys(("reason_ko", "reason_en", "declared_by"))
    if row["previous_vintage"] is None:
        return {"cause": "first", "kind": "first", **nothing}
    if not row["differs"]:
        return {"cause": "none", "kind": "unchanged", **nothing}
    declared = library.revisions.declared(vintage=row["vintage"], survey=row["survey"], wave=row["wave"])
    if declared is None:
        causes = derived_causes(
            manifests[row["previous_vintage"]],
            manifests[row["vintage"]],
            survey=row["survey"],
            wave=row["wave"],
            library=library,
        )
        return {"cause": ";".join(causes), "kind": "undeclared", **nothing}
    return {
        "cause": declared.cause,
        "kind": declared.kind,
        "reason_ko": declared.reason_ko,
        "reason_en": declared.reason_en,
        "declared_by": declared.who,
    }
