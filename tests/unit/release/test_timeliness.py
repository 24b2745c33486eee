"""Days counted by hand."""

import datetime

from pipelines.release.timeliness import Lag, timeliness

END = datetime.date(2025, 11, 28)
ANNOUNCED = datetime.date(2025, 12, 17)


def lags(releases: list[str], being_made: str, published_on: dict[str, datetime.date]) -> list[Lag]:
    found = timeliness(
        reference_end=END, announced=ANNOUNCED, releases=releases, being_made=being_made, published_on=published_on
    )
    assert list(found) == ["TP1", "TP2", "TP3"]
    return list(found.values())


def test_a_first_release_takes_the_announced_day_and_does_not_know_when_it_goes_out() -> None:
    """28 November to 17 December are 2 + 17 days."""
    assert lags(["2025.1"], "2025.1", {}) == [Lag(19), Lag(19), Lag(None, "not_out_yet")]


def test_a_later_wave_knows_when_it_went_out_if_somebody_recorded_it() -> None:
    """Two days late: 21 days after the end of collection."""
    late = {"2025.1": datetime.date(2025, 12, 19)}
    assert lags(["2025.1"], "2026.1", late) == [Lag(21), Lag(21), Lag(2)]
    assert lags(["2025.1"], "2026.1", {}) == [Lag(19), Lag(19), Lag(None, "day_not_recorded")]


def test_without_an_announced_day_nothing_can_be_counted() -> None:
    found = timeliness(
        reference_end=END, announced=None, releases=["2025.1"], being_made="2025.1", published_on={"2025.1": ANNOUNCED}
    )
    assert set(found.values()) == {Lag(None, "not_announced")}


def test_final_results_are_those_of_the_last_release() -> None:
    days = {"2025.1": ANNOUNCED, "2025.2": datetime.date(2026, 3, 2)}
    # 2 November days, 31 of December, 31, 28, and 2 of March
    assert lags(["2025.1", "2025.2"], "2026.1", days) == [Lag(19), Lag(2 + 31 + 31 + 28 + 2), Lag(0)]
    assert lags(["2025.1", "2025.2"], "2025.2", {"2025.1": ANNOUNCED})[1] == Lag(None, "not_out_yet")
    assert lags(["2025.1", "2025.2"], "2026.1", {"2025.1": ANNOUNCED})[1] == Lag(None, "day_not_recorded")
