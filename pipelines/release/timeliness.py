"""How fast and how punctual the results of a wave are (ESS indicators TP1, TP2, TP3).

Belongs here: days between dates that are handed in. Does not belong here: where the dates are from, or a clock.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOT_OUT_YET = "not_out_yet"
NOT_ANNOUNCED = "not_announced"
DAY_NOT_RECORDED = "day_not_recorded"


@dataclass(frozen=True)
class Lag:
    """Days, or the reason (a code of `indicator_reasons`) for which there are none."""

    days: int | None
    reason: str | None = None


def timeliness(
    *,
    reference_end: datetime.date,
    announced: datetime.date | None,
    releases: Sequence[str],
    being_made: str,
    published_on: Mapping[str, datetime.date],
) -> Mapping[str, Lag]:
    """TP1 to TP3 of a survey and wave.

    TP1 = d_first - d_ref, TP2 = d_final - d_ref, TP3 = d_actual - d_scheduled, in days (Eurostat, ESS guidelines for
    the quality and performance indicators). As long as the actual day of the first release is not recorded, TP1 takes
    the announced one.

    Args:
        reference_end: last day of the reference period.
        announced: day of publication by the calendar; None where it has none, which holds the release back.
        releases: releases of the wave in their order, up to the one in which the indicators are printed.
        being_made: the release in which they are printed; the day on which it goes out is not known yet.
        published_on: days on which releases went out, by release.

    Returns:
        by indicator.
    """
    first, latest = releases[0], releases[-1]
    if announced is None:
        return dict.fromkeys(("TP1", "TP2", "TP3"), Lag(None, NOT_ANNOUNCED))
    first_day = published_on.get(first, announced)
    final_day = first_day if latest == first else published_on.get(latest)
    went_out = published_on.get(first)

    def lag(day: datetime.date | None, since: datetime.date, release: str) -> Lag:
        if day is None:
            return Lag(None, NOT_OUT_YET if release == being_made else DAY_NOT_RECORDED)
        return Lag((day - since).days)

    return {
        "TP1": lag(first_day, reference_end, first),
        "TP2": lag(final_day, reference_end, latest),
        "TP3": lag(went_out, announced, first),
    }
