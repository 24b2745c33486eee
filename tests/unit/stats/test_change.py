"""Covariance of two waves: by hand, in its limits, and by simulation."""

import numpy as np
import polars as pl
import pytest

from pipelines.stats.change import ComparabilityError, Segment, adoption_change
from pipelines.stats.overlap import Overlap, overlap_covariance
from pipelines.stats.rates import adoption_rates
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

LIST = Segment("industry", "list-2022", "1")
TOTAL = [Domain("total")]


def wave(
    values: dict[str, float | None],
    *,
    strata: dict[str, str] | None = None,
    merged: dict[str, str] | None = None,
    population: dict[str, int] | None = None,
) -> Wave:
    """Units with a value each, None for a don't know; strata of selection ('s'), merged ones, frame counts (20)."""
    ids = list(values)
    selection = [(strata or {}).get(unit, "s") for unit in ids]
    variance = [(merged or {}).get(stratum, stratum) for stratum in selection]
    counts = {stratum: (population or {}).get(stratum, 20) for stratum in set(variance)}
    n = {stratum: variance.count(stratum) for stratum in counts}
    units = pl.DataFrame(
        {
            "unit_id": ids,
            "status": ["respondent"] * len(ids),
            "selection_stratum": selection,
            "take_all": [False] * len(ids),
            "variance_stratum": variance,
            "stratum_n": [n[stratum] for stratum in variance],
            "stratum_population": [counts[stratum] for stratum in variance],
            "weight": [counts[stratum] / n[stratum] for stratum in variance],
            "post_stratum": variance,
            "employment": [1] * len(ids),
        }
    )
    answers = pl.DataFrame(
        {
            "unit_id": ids,
            "field": [""] * len(ids),
            "measure": ["ai_adoption"] * len(ids),
            "value": list(values.values()),
            "answer_status": ["dont_know" if value is None else "answered" for value in values.values()],
        },
        schema_overrides={"value": pl.Float64},
    )
    return Wave.build(units, answers, frame=units)


def change(before: Wave, after: Wave) -> dict[str, object]:
    table = adoption_change(
        before,
        after,
        before_segment=LIST,
        after_segment=LIST,
        domains=TOTAL,
        measures=["ai_adoption"],
        unit_weightings=["unit"],
    )
    assert table.height == 1
    return table.row(0, named=True)


def test_covariance_by_hand() -> None:
    """n1 = n2 = 4, N = 20, m = 3 (b, c, d): p1 = p2 = 1/2, z = (20/4)(y - 1/2)/20 = (y - 1/2)/4.

    Common units: y1 = (0, 1, 0), y2 = (0, 1, 1). C = (1 - 16/60)(3/2) sum of centred products of z
    = (44/60)(3/2)(1/16)(1/3), since sum (y1 - 1/3)(y2 - 2/3) = 1/3.
    """
    before = wave({"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0})
    after = wave({"b": 0.0, "c": 1.0, "d": 1.0, "e": 0.0})
    row = change(before, after)
    assert row["covariance"] == pytest.approx((1 - 16 / 60) * 1.5 / 16 / 3)
    variance = (1 - 4 / 20) * 4 / 3 * 4 / 64
    assert row["variance_before"] == pytest.approx(variance)
    assert row["change_se"] == pytest.approx(np.sqrt(2 * variance - 2 * row["covariance"]))
    assert (row["n_before"], row["n_after"], row["n_common"]) == (4, 4, 3)
    assert row["covariance_clipped"] is False


def test_same_sample_same_answers_is_no_change() -> None:
    """Full overlap: 1 - n n/(n N) = 1 - f, so C = V and the change has no error."""
    same = wave({"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0})
    row = change(same, same)
    assert row["covariance"] == pytest.approx(row["variance_before"])
    assert row["change_se"] == pytest.approx(0.0, abs=1e-9)


def test_common_units_outside_the_domain_enter_as_zeros() -> None:
    """C written out over all common units of the stratum, those of another region and post-stratum included."""
    rng = np.random.default_rng(4)
    ids = [f"{number:02d}" for number in range(28)]
    region = {unit: f"r{1 + int(unit) % 2}" for unit in ids}
    waves, scores = [], []
    for chosen in (ids[:20], ids[6:]):
        # Units of one wave only all adopt, so that the mean score of the common ones is not 0.
        own = wave(
            {unit: float(rng.integers(0, 2)) if unit in ids[6:20] else 1.0 for unit in chosen}, population={"s": 40}
        )
        regions = pl.Series("region", [region[unit] for unit in own.units["unit_id"].to_list()])
        units = own.units.with_columns(regions, regions.alias("post_stratum"))
        waves.append(Wave.build(units, own.answers, frame=units))
        y = units.join(own.answers, on="unit_id", how="left")["value"].to_numpy()
        w, inside = units["weight"].to_numpy(), (regions == "r1").to_numpy()
        p = (w * inside * y).sum() / (w * inside).sum()
        # The residual on the post-strata is the score itself: inside r1 the scores sum to 0.
        z = w * inside * (y - p) / (w * inside).sum()
        scores.append(dict(zip(units["unit_id"].to_list(), z, strict=True)))
    common = sorted(set(scores[0]) & set(scores[1]))
    outside = [unit for unit in common if region[unit] == "r2"]
    assert len(common) == 14
    assert len(outside) >= 2
    z1, z2 = (np.array([side[unit] for unit in common]) for side in scores)
    assert abs(z1.mean() * z2.mean()) > 1e-5
    expected = (1 - 20 * 22 / (14 * 40)) * 14 / 13 * ((z1 - z1.mean()) * (z2 - z2.mean())).sum()
    table = adoption_change(
        *waves,
        before_segment=LIST,
        after_segment=LIST,
        domains=[Domain("region", ("region",))],
        measures=["ai_adoption"],
        unit_weightings=["unit"],
    )
    row = table.filter(pl.col("domain_code") == "r1").row(0, named=True)
    assert row["covariance_clipped"] is False
    assert row["covariance"] == pytest.approx(expected, rel=1e-9)
    assert row["n_common"] == 14 - len(outside)


def test_units_without_an_answer_leave_the_finite_population_correction() -> None:
    """A fully enumerated stratum, n1 = n2 = m = N = 12; 10 and 9 units answer, 8 of them twice.

    Design and frame leave no error; what is left is who answers. Written with the answered counts, as if 10 and 9
    units had been drawn from 12 with 8 in common: C = (1 - 10 x 9/(8 x 12)) 12/11 sum z1 z2, z centred at 0 because
    the residuals sum to 0 over the stratum.
    """
    first = dict(zip("abcdefghijkl", [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, None, None], strict=True))
    second = dict(zip("abcdefghijkl", [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, None, None, 0.0, None], strict=True))
    row = change(wave(first, population={"s": 12}), wave(second, population={"s": 12}))
    z1, z2 = (
        np.array([0.0 if y is None else (y - p) / n for y in values.values()])
        for values, p, n in ((first, 6 / 10, 10), (second, 6 / 9, 9))
    )
    assert (row["n_before"], row["n_after"], row["n_common"]) == (10, 9, 8)
    assert row["covariance"] == pytest.approx((1 - 10 * 9 / (8 * 12)) * 12 / 11 * (z1 * z2).sum(), rel=1e-9)
    assert row["variance_before"] == pytest.approx((1 - 10 / 12) * 12 / 11 * np.square(z1).sum(), rel=1e-9)


def test_where_all_answered_it_is_the_covariance_of_any_two_files() -> None:
    """Both ways to C, that of our surveys and that of `axstat estimate`, on two strata and one domain of two."""
    rng = np.random.default_rng(8)
    ids = [f"{number:02d}" for number in range(30)]
    strata = {unit: "s" if int(unit) < 14 else "t" for unit in ids}
    region = {unit: f"r{1 + int(unit) % 2}" for unit in ids}
    waves, influences = [], []
    for chosen in (ids[:24], ids[5:]):
        own = wave({unit: float(rng.integers(0, 2)) for unit in chosen}, strata=strata, population={"s": 40, "t": 30})
        regions = pl.Series("region", [region[unit] for unit in own.units["unit_id"].to_list()])
        waves.append(Wave.build(own.units.with_columns(regions), own.answers, frame=own.units.with_columns(regions)))
        y = own.units.join(own.answers, on="unit_id", how="left")["value"].to_numpy()
        share = own.units["weight"].to_numpy() * (regions == "r1").to_numpy()
        influences.append((share * (y - share @ y / share.sum()) / share.sum())[:, None])
    expected = overlap_covariance(
        waves[0].design,
        waves[1].design,
        (waves[0].units["unit_id"], waves[1].units["unit_id"]),
        (influences[0], influences[1]),
    )
    table = adoption_change(
        *waves,
        before_segment=LIST,
        after_segment=LIST,
        domains=[Domain("region", ("region",))],
        measures=["ai_adoption"],
        unit_weightings=["unit"],
    )
    row = table.filter(pl.col("domain_code") == "r1").row(0, named=True)
    assert row["covariance_clipped"] is False
    assert row["covariance"] == pytest.approx(expected[0], rel=1e-9)


def test_fewer_than_two_common_units_add_nothing() -> None:
    before = wave({"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0})
    apart = change(before, wave({"e": 1.0, "f": 0.0, "g": 1.0, "h": 0.0}))
    assert (apart["covariance"], apart["n_common"]) == (0.0, 0)
    single = change(before, wave({"a": 1.0, "f": 0.0, "g": 1.0, "h": 0.0}))
    assert (single["covariance"], single["n_common"]) == (0.0, 1)


def test_the_covariance_is_held_within_its_bound() -> None:
    """Two common units far fewer than by chance: the factor 1 - n1 n2/(m N) is below -1."""
    before = wave({unit: float(unit in "ab") for unit in "abcdefghijkl"})
    after = wave({unit: float(unit in "bx") for unit in "bcuvwxyz1234"})
    row = change(before, after)
    assert row["n_common"] == 2
    bound = np.sqrt(row["variance_before"] * row["variance_after"])
    assert abs(row["covariance"]) <= bound * (1 + 1e-9)
    assert row["covariance_clipped"] is True
    assert row["change_se"] == pytest.approx(np.sqrt(row["variance_before"]) + np.sqrt(row["variance_after"]))


def test_different_merges_meet_in_the_coarsest_one() -> None:
    """Wave 1 merged s with t, wave 2 t with u: one stratum s+t+u; v stays apart."""
    ids = {
        unit: stratum for stratum, units in {"s": "abc", "t": "def", "u": "ghi", "v": "jkl"}.items() for unit in units
    }
    values = {unit: float(i % 2) for i, unit in enumerate(ids)}
    before = wave(values, strata=ids, merged={"t": "s"})
    after = wave(values, strata=ids, merged={"u": "t"})
    overlap = Overlap.build(before, after)
    assert len(set(overlap.stratum.tolist())) == 2
    first, last = overlap.stratum[0], overlap.stratum[-1]
    assert (overlap.common[first], overlap.common[last]) == (9.0, 3.0)
    # Before: strata s (6 units of 20) and u (3 of 20); after: s (3 of 20) and t (6 of 20): 9 of 40 both times.
    assert overlap.counts[:, first].tolist() == [9.0, 9.0]
    assert overlap.population[first] == 40.0


def test_a_unit_drawn_anew_in_another_stratum_is_not_common() -> None:
    before = wave(dict.fromkeys("abcd", 1.0) | dict.fromkeys("efgh", 0.0), strata=dict.fromkeys("efgh", "t"))
    after = wave(dict.fromkeys("abcd", 1.0) | dict.fromkeys("efgh", 0.0), strata=dict.fromkeys("dfgh", "t"))
    overlap = Overlap.build(before, after)
    assert len(overlap.stratum) == 6
    assert overlap.before_index[[3, 4]].tolist() == [-1, -1]


def test_larger_frame_count_is_used() -> None:
    before = wave({"a": 1.0, "b": 0.0, "c": 1.0}, population={"s": 20})
    after = wave({"a": 1.0, "b": 0.0, "c": 0.0}, population={"s": 30})
    assert Overlap.build(before, after).population.tolist() == [30.0]
    # z1 = (y1 - 2/3)/3, z2 = (y2 - 1/3)/3, and sum (y1 - 2/3)(y2 - 1/3) = 1/3.
    assert change(before, after)["covariance"] == pytest.approx((1 - 9 / (3 * 30)) * 1.5 / 9 / 3)


def test_variances_are_those_of_the_rates(country, plan) -> None:
    waves, tables = [], []
    domains = [Domain("total"), Domain("region", ("region",)), Domain("ax_industry", ("ax",))]
    for number, start in ((1, 0.0), (2, 0.03)):
        sample = country.sample(number, start=start)
        units = country.classified(weight_sample(sample, country.frame, plan=plan).weights)
        answers = country.answers(sample, number)
        waves.append(Wave.build(units, answers, frame=country.frame))
        tables.append(
            adoption_rates(
                units, answers, frame=country.frame, domains=domains, measures=["ai_adoption"], bases=["answered"]
            )
        )
    table = adoption_change(*waves, before_segment=LIST, after_segment=LIST, domains=domains, measures=["ai_adoption"])
    for side, rates in zip(("before", "after"), tables, strict=True):
        joined = table.join(rates, on=["domain_type", "domain_code", "measure", "base", "unit_weighting"])
        assert joined.height == table.height == rates.height
        assert joined[f"estimate_{side}"].to_numpy() == pytest.approx(joined["estimate"].to_numpy(), rel=1e-12)
        assert np.sqrt(joined[f"variance_{side}"].to_numpy()) == pytest.approx(joined["se"].to_numpy(), rel=1e-12)
    total = table.filter((pl.col("domain_type") == "total") & (pl.col("unit_weighting") == "unit")).row(0, named=True)
    assert 0 < total["n_common"] < total["n_before"]
    # Answers persist, so panel overlap makes the change more precise than two independent samples would.
    assert total["covariance"] > 0
    assert total["change_se"] < np.sqrt(total["variance_before"] + total["variance_after"])


def test_the_change_of_known_domains_is_known() -> None:
    """Take-all units that all answered twice: 1/3, then 2/3, whatever weights they carry for others."""
    waves = []
    for values, weight in (((1.0, 0.0, 0.0), 1.5), ((1.0, 1.0, 0.0), 1.2)):
        own = wave(dict(zip("abc", values, strict=True)), population={"s": 4})
        units = own.units.with_columns(pl.Series("weight", [weight, 1.1, 1.3]), pl.lit(True).alias("take_all"))
        waves.append(Wave.build(units, own.answers, frame=units))
    row = change(*waves)
    assert row["change"] == pytest.approx(1 / 3)
    assert (row["variance_before"], row["variance_after"], row["covariance"], row["change_se"]) == (0, 0, 0, 0)


def test_segments_are_not_compared() -> None:
    same = wave({"a": 1.0, "b": 0.0, "c": 1.0})
    with pytest.raises(ComparabilityError) as error:
        adoption_change(
            same,
            same,
            before_segment=Segment("industry", "yn-2019", "none"),
            after_segment=LIST,
            domains=TOTAL,
            measures=["ai_adoption"],
        )
    text = str(error.value)
    assert "ai_adoption@yn-2019" in text
    assert "ai_adoption@list-2022" in text
    assert LIST.code == "industry-list-2022-1"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 202, 303])
def test_simulated_panel_overlap(seed: int) -> None:
    """Three strata, 70 % panel overlap, a little growth of the frame: C against the truth over 1,000 draws.

    Seeds written down before the first run. Truth by theory: Cov = sum_h W1 W2 (m/(n1 n2) - 1/N) S12, N the larger
    frame (the first frame is part of it), S12 over the first frame's units.
    """
    rng = np.random.default_rng(seed)
    sizes, births, taken = (400, 200, 60), (20, 0, 6), (40, 30, 18)
    kept = [round(0.7 * n) for n in taken]
    population = []
    for h, (size, born) in enumerate(zip(sizes, births, strict=True)):
        latent = rng.normal(0.3 * h - 0.5, 1, size + born)
        y1 = (latent + rng.normal(0, 0.4, size + born) > 0).astype(float)
        y2 = (latent + 0.2 + rng.normal(0, 0.4, size + born) > 0).astype(float)
        population.append((y1, y2))
    total1, total2 = float(sum(sizes)), float(sum(sizes) + sum(births))
    truth = 0.0
    for (y1, y2), size, born, n, m in zip(population, sizes, births, taken, kept, strict=True):
        s12 = float(np.cov(y1[:size], y2[:size])[0, 1])
        truth += size / total1 * (size + born) / total2 * (m / n**2 - 1 / (size + born)) * s12
    covariances, variances, differences = [], [], []
    for _ in range(1000):
        values: list[dict[str, float]] = [{}, {}]
        strata: dict[str, str] = {}
        for h, ((y1, y2), size, born, n, m) in enumerate(zip(population, sizes, births, taken, kept, strict=True)):
            order = rng.permutation(size)
            first = order[:n]
            # The panel stays; the rest of wave 2 is drawn from all other units, births included.
            panel = first[:m]
            others = rng.permutation(np.concatenate([order[n:], np.arange(size, size + born)]))[: n - m]
            for unit in first:
                values[0][f"{h}/{unit:04d}"] = float(y1[unit])
            for unit in np.concatenate([panel, others]):
                values[1][f"{h}/{unit:04d}"] = float(y2[unit])
        for unit in (*values[0], *values[1]):
            strata[unit] = unit[0]
        counts = [
            {str(h): size + (born if i else 0) for h, (size, born) in enumerate(zip(sizes, births, strict=True))}
            for i in (0, 1)
        ]
        row = change(*(wave(values[i], strata=strata, population=counts[i]) for i in (0, 1)))
        covariances.append(row["covariance"])
        variances.append(row["change_se"] ** 2)
        differences.append(row["change"])
    error = np.std(covariances) / np.sqrt(len(covariances))
    assert abs(np.mean(covariances) - truth) <= max(3.5 * error, 0.03 * truth)
    observed = np.var(differences, ddof=1)
    # The sample variance of 1,000 near-normal draws has a relative SE of sqrt(2/999).
    assert abs(np.mean(variances) / observed - 1.0) <= 3.5 * np.sqrt(2 / 999)
