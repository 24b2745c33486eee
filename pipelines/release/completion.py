"""The tables of a release made whole: what the warehouse cannot know is added to its marts.

Belongs here: the two steps in which indicators and revisions are added. Does not belong here: how they are made
(indicators, revisions), or when a release is made (publish).

The steps are two because a release is new only if something of its own changed: what the first adds counts, what the
second adds does not, for it changes with every release that is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.release.history import PastRelease
from pipelines.release.indicators import history_indicators, own_indicators
from pipelines.release.revisions import revision_table
from pipelines.release.vintages import Vintage
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import publishable

Marts = Mapping[str, pl.DataFrame]


def with_own_indicators(marts: Marts, *, library: ContractLibrary, statements: SqlCatalogue) -> Marts:
    """The marts with the indicators that rest on them and on supplied values.

    Args:
        marts: tables of the release by name without schema, as `publishable` gives them.
    """
    return _with_rows(marts, own_indicators(marts, library=library, statements=statements), library)


def with_history(
    marts: Marts,
    deliveries: pl.DataFrame,
    before: Sequence[PastRelease],
    *,
    vintage: Vintage,
    basis: Mapping[str, Any],
    library: ContractLibrary,
    statements: SqlCatalogue,
) -> Marts:
    """The marts with `mart.revision` and the indicators that rest on earlier releases.

    Args:
        marts: those of `with_own_indicators`.
        deliveries: `meta.delivery_file`, waves up to the release's.
        before: releases that stand already.
        vintage, basis: the release that is being made, and the part of its manifest that says what it rests on.
    """
    revisions = revision_table(before, marts["adoption_rate"], vintage=vintage, basis=basis, library=library)
    marts = {**marts, "revision": publishable(revisions, library.marts["mart.revision"])}
    indicators = history_indicators(
        marts["revision"],
        deliveries,
        vintage=vintage,
        releases=[release.vintage for release in before],
        library=library,
        statements=statements,
    )
    return _with_rows(marts, indicators, library)


def _with_rows(marts: Marts, more: pl.DataFrame, library: ContractLibrary) -> Marts:
    table = pl.concat([marts["quality_indicator"], more.cast(marts["quality_indicator"].schema)])
    return {**marts, "quality_indicator": publishable(table, library.marts["mart.quality_indicator"])}
