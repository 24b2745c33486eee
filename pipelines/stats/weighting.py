"""From the sample file and the frame to final weights: the chain of factors of method.md 2.

Belongs here: the order of the steps, the counts of the variance strata, the diagnostics. Does not belong
here: the single steps (collapse, nonresponse, calibration), the variance.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.calibration import Calibration, post_stratify
from pipelines.stats.calibration_diagnostics import QUANTILES, kish_deff
from pipelines.stats.collapse import LOG_SCHEMA, Collapse, merge_post_strata, merge_sparse_strata, merge_take_all_strata
from pipelines.stats.draw_id import DRAW_ID, with_draw_id
from pipelines.stats.model_matrix import columns_of
from pipelines.stats.nonresponse import (
    STATUSES,
    CollapseRule,
    NonresponseAdjustment,
    ResponseModel,
    adjust_nonresponse,
    response_factors,
)

WEIGHT_COLUMNS = (
    "unit_id",
    "status",
    "selection_stratum",
    "variance_stratum",
    "stratum_n",
    "stratum_population",
    "take_all",
    "base_weight",
    "eligibility_factor",
    "nonresponse_factor",
    "calibration_factor",
    "weight",
    "nonresponse_class",
    "post_stratum",
)
SELECTED_COLUMNS = (
    "unit_id",
    DRAW_ID,
    "status",
    "variance_stratum",
    "stratum_population",
    "nonresponse_class",
    "base_weight",
    "inverse_propensity",
)
STRATUM_SEPARATOR = "/"
# Of a relative distance to a margin; totals are met to 1e-9.
MARGIN_DECIMALS = 11
LARGEST = 10


@dataclass(frozen=True)
class WeightingPlan:
    """What a survey's contract chooses.

    ``strata.parts`` name the '/'-joined parts of ``selection_stratum`` in their order; the parts of
    ``classes`` and ``post_strata`` are columns of the frame (``take_all`` may be one).
    ``post_strata.max_factor`` holds the calibration factor between its inverse and itself. The terms of
    ``response_model`` are columns of the frame.
    """

    strata: CollapseRule
    classes: CollapseRule
    post_strata: CollapseRule
    response_model: ResponseModel | None = None

    @property
    def frame_columns(self) -> list[str]:
        """What is read of the frame beside unit_id, selection_stratum and take_all."""
        modelled = columns_of(self.response_model.terms) if self.response_model else []
        return sorted({*self.classes.parts, *self.post_strata.parts, *modelled} - {"take_all", "propensity_class"})


@dataclass(frozen=True)
class WeightingResult:
    """``weights``: WEIGHT_COLUMNS, one row a respondent or out-of-scope unit, sorted by draw_id.

    ``selected``: SELECTED_COLUMNS of all selected units on the frame, sorted by draw_id: what replicates need.
    ``collapse_log``: purpose, cell, merged_into, step, reason. ``diagnostics``: diagnostic, step, value,
    where step is 'base', 'eligibility', 'nonresponse' or 'calibration' and diagnostic one of n, sum, min, the
    quantiles q01 to q99, max, cv, kish_deff (over the weights carried at that step), ``margin_distance:<post-stratum>``
    and ``margin_distance_max`` (relative, before and after calibration), trimmed_share and ``largest:<rank>``
    (the LARGEST different final weights, without their units), and on step 'sample' the counts selected,
    not_on_frame and <status>. ``response``, ``post_strata`` and ``calibration`` are what the steps made; the rows of
    the last are those of ``weights``.
    """

    weights: pl.DataFrame
    selected: pl.DataFrame
    collapse_log: pl.DataFrame
    diagnostics: pl.DataFrame
    response: NonresponseAdjustment
    post_strata: Collapse
    calibration: Calibration


def weight_sample(sample: pl.DataFrame, frame: pl.DataFrame, *, plan: WeightingPlan) -> WeightingResult:
    """Weight one wave.

    Args:
        sample: all selected units: unit_id, inclusion_probability, status, selection_stratum, and draw_id where
            unit_id must not decide the order (:mod:`pipelines.stats.draw_id`). Units that are
            not on the frame (any more) are outside the population it counts: they are left out, and counted
            in the diagnostics.
        frame: all frame units: unit_id, selection_stratum, take_all, and the part columns of classes and
            post-strata as they are today.
        plan: the survey's choices.

    Raises:
        ViolationsError: naming the units or strata: repeated unit, inclusion probability not in (0, 1],
            unknown status, selection stratum other than the frame's, a take-all
            unit with a probability below 1.
        AxstatError: from the steps, e.g. a post-stratum that cannot be met.
    """
    listed = frame.select("unit_id", "selection_stratum", "take_all", *plan.frame_columns)
    selected = (
        with_draw_id(sample)
        .select(
            "unit_id", DRAW_ID, "inclusion_probability", "status", pl.col("selection_stratum").alias("sample_stratum")
        )
        .join(listed, on="unit_id", how="left")
    )
    off_frame = selected.filter(pl.col("selection_stratum").is_null())
    units = selected.filter(pl.col("selection_stratum").is_not_null()).sort(DRAW_ID)
    _check_sample(units, listed)
    units = units.with_columns((1.0 / pl.col("inclusion_probability")).alias("base_weight"))

    strata = _variance_strata(units, listed, plan.strata, modelled=plan.classes.parts)
    adjusted = adjust_nonresponse(units, rule=plan.classes, model=plan.response_model)
    merged = strata.cells.group_by("merged_cell").agg(
        pl.col("observed").sum().cast(pl.Int64).alias("stratum_n"),
        pl.col("population").sum().cast(pl.Int64).alias("stratum_population"),
    )
    placed = (
        adjusted.units.join(
            strata.cells.select(
                pl.col("stratum").alias("selection_stratum"),
                "take_all",
                pl.col("merged_cell").alias("variance_stratum"),
            ),
            on=["selection_stratum", "take_all"],
            how="left",
        )
        .join(merged, left_on="variance_stratum", right_on="merged_cell", how="left")
        .sort(DRAW_ID)
    )
    carried = placed.filter(pl.col("status").is_in(["respondent", "out_of_scope"])).with_columns(
        (pl.col("base_weight") * pl.col("eligibility_factor") * pl.col("nonresponse_factor")).alias("before")
    )

    post = _post_strata(carried, listed, plan.post_strata)
    carried = carried.join(
        post.cells.select(pl.col("cell").alias("post_cell"), pl.col("merged_cell").alias("post_stratum")),
        left_on=_label(plan.post_strata.parts),
        right_on="post_cell",
        how="left",
    ).sort(DRAW_ID)
    totals = post.cells.group_by("merged_cell", maintain_order=True).agg(pl.col("population").sum())
    target = dict(zip(totals["merged_cell"].to_list(), totals["population"].to_list(), strict=True))
    before = carried["before"].to_numpy()
    calibrated = post_stratify(before, carried["post_stratum"], target)
    weights = (
        carried.with_columns(
            pl.Series("calibration_factor", calibrated.factor),
            pl.Series("weight", before * calibrated.factor),
        )
        .sort(DRAW_ID)
        .select(WEIGHT_COLUMNS)
    )
    log = pl.concat(
        [
            collapse.log.select(pl.lit(purpose).alias("purpose"), *LOG_SCHEMA)
            for purpose, collapse in (
                ("variance_stratum", strata),
                ("nonresponse_class", adjusted.collapse),
                ("post_stratum", post),
            )
        ]
    )
    return WeightingResult(
        weights=weights,
        selected=placed.select(SELECTED_COLUMNS),
        collapse_log=log,
        diagnostics=_diagnostics(adjusted.units, weights, target, n_off_frame=off_frame.height),
        response=adjusted,
        post_strata=post,
        calibration=calibrated,
    )


def _check_sample(units: pl.DataFrame, frame: pl.DataFrame) -> None:
    probability = pl.col("inclusion_probability")
    faults: list[Violation] = []
    for code, broken, expected, got in (
        ("unit_repeated", pl.col("unit_id").is_duplicated(), "each selected unit once", "several rows"),
        (
            "inclusion_probability_invalid",
            probability.is_null() | ~probability.is_finite() | (probability <= 0) | (probability > 1 + 1e-9),
            "an inclusion probability above 0, at most 1",
            "none, or another value",
        ),
        (
            "take_all_not_certain",
            pl.col("take_all") & (probability < 1 - 1e-9),
            "inclusion probability 1 in take-all strata",
            "less than 1",
        ),
        (
            "status_unknown",
            ~pl.col("status").is_in(list(STATUSES)) | pl.col("status").is_null(),
            f"a status of {', '.join(STATUSES)}",
            "another status",
        ),
        (
            "selection_stratum_differs",
            pl.col("sample_stratum").ne_missing(pl.col("selection_stratum")),
            "the selection stratum of the frame",
            "another one on the sample file",
        ),
    ):
        at_fault = units.filter(broken)["unit_id"].unique().sort().to_list()
        if at_fault:
            shown = ", ".join(at_fault[:10]) + (f" and {len(at_fault) - 10} more" if len(at_fault) > 10 else "")
            faults.append(
                Violation(code, where=f"units {shown}", expected=expected, got=got, hint="mend the sample file")
            )
    repeated = frame.filter(pl.col("unit_id").is_duplicated())["unit_id"].unique().sort().to_list()
    if repeated:
        faults.append(
            Violation(
                "frame_unit_repeated",
                where=f"frame units {', '.join(repeated[:10])}",
                expected="each unit once on the frame",
                got=f"{len(repeated)} unit(s) repeated",
                hint="mend the frame file",
            )
        )
    if units.height == 0:
        faults.append(
            Violation(
                "empty_sample",
                where="sample",
                expected="selected units that are on the frame",
                got="none",
                hint="check that sample and frame are of the same wave and survey",
            )
        )
    if faults:
        raise ViolationsError("sample", faults)


def _variance_strata(
    units: pl.DataFrame, frame: pl.DataFrame, rule: CollapseRule, *, modelled: Collection[str]
) -> Collapse:
    """Merged selection strata over the whole frame, with N_h and n_h.

    Take-all strata first lose the parts by which response is not ``modelled``, then sparse strata are merged.
    """
    key = ["selection_stratum", "take_all"]
    observed = units.group_by(key).agg(
        (pl.col("status") == "respondent").sum().alias("respondents"),
        pl.col("status").is_in(["respondent", "out_of_scope"]).sum().alias("observed"),
        pl.len().alias("selected"),
    )
    strata = (
        frame.group_by(key)
        .agg(pl.len().alias("population"))
        .join(observed, on=key, how="left")
        .with_columns(pl.col("respondents", "observed", "selected").fill_null(0))
        .sort(key)
    )
    split = pl.col("selection_stratum").str.split(STRATUM_SEPARATOR)
    malformed = strata.filter(split.list.len() != len(rule.parts))
    if malformed.height:
        raise AxstatError(
            "selection_stratum_malformed",
            where=f"selection strata {', '.join(malformed['selection_stratum'].head(10).to_list())}",
            expected=f"{len(rule.parts)} parts ({', '.join(rule.parts)}) joined by '{STRATUM_SEPARATOR}'",
            got=f"{malformed.height} stratum/strata with another number",
            hint="check the selection columns of the frame against the survey's stratum parts",
        )
    # Take-all units inside a sampled stratum are a stratum of their own.
    mixed = pl.col("selection_stratum").is_duplicated() & pl.col("take_all")
    cells = strata.with_columns(
        pl.when(mixed)
        .then(pl.col("selection_stratum") + "#take_all")
        .otherwise(pl.col("selection_stratum"))
        .alias("cell"),
        *[split.list.get(index).alias(f"part_{name}") for index, name in enumerate(rule.parts)],
    ).rename({"selection_stratum": "stratum"})
    cells = cells.rename({f"part_{name}": name for name in rule.parts})
    take_all = merge_take_all_strata(cells, parts=rule.parts, modelled=modelled)
    # The label of a merged stratum is that of one of its strata, whose parts it keeps.
    first = cells.select("cell", "take_all", *rule.parts).join(
        take_all.cells.group_by("merged_cell").agg(pl.col("respondents", "observed", "population").sum()),
        left_on="cell",
        right_on="merged_cell",
        how="inner",
        maintain_order="left",
    )
    sparse = merge_sparse_strata(first, parts=rule.parts, order=rule.order, min_respondents=rule.min_respondents)
    final = sparse.cells.select(pl.col("cell").alias("merged_cell"), pl.col("merged_cell").alias("final_cell"))
    return Collapse(
        cells=take_all.cells.join(final, on="merged_cell", how="left", maintain_order="left")
        .drop("merged_cell")
        .rename({"final_cell": "merged_cell"}),
        log=pl.concat([take_all.log, sparse.log]),
        unresolved=sparse.unresolved,
    )


def _post_strata(carried: pl.DataFrame, frame: pl.DataFrame, rule: CollapseRule) -> Collapse:
    """Post-strata with their frame totals; ``cell`` is the label before collapsing."""
    label = _label(rule.parts)
    absent = frame.filter(pl.any_horizontal(pl.col(name).is_null() for name in rule.parts))
    if absent.height:
        raise AxstatError(
            "post_stratum_part_missing",
            where=f"frame units {', '.join(absent['unit_id'].sort().head(10).to_list())}",
            expected=f"{', '.join(rule.parts)} known for every frame unit",
            got=f"{absent.height} unit(s) without",
            hint="complete the classification on the frame",
        )
    observed = carried.group_by(label.alias("cell")).agg(
        (pl.col("status") == "respondent").sum().alias("respondents"), pl.col("before").sum()
    )
    cells = (
        frame.group_by(label.alias("cell"), *[pl.col(name).cast(pl.String) for name in rule.parts])
        .agg(pl.len().cast(pl.Float64).alias("population"))
        .join(observed, on="cell", how="left")
        .with_columns(pl.col("respondents").fill_null(0), pl.col("before").fill_null(0.0))
        .sort("cell")
    )

    return merge_post_strata(
        cells, parts=rule.parts, order=rule.order, min_respondents=rule.min_respondents, max_factor=rule.max_factor
    )


def _label(parts: tuple[str, ...]) -> pl.Expr:
    if not parts:
        return pl.lit("all")
    return pl.concat_str([pl.col(name).cast(pl.String) for name in parts], separator="/")


def _diagnostics(
    selected: pl.DataFrame, weights: pl.DataFrame, totals: Mapping[str, float], *, n_off_frame: int
) -> pl.DataFrame:
    rows: list[tuple[str, str, float]] = [
        ("selected", "sample", float(selected.height + n_off_frame)),
        ("not_on_frame", "sample", float(n_off_frame)),
    ]
    rows += [(name, "sample", float((selected["status"] == name).sum())) for name in STATUSES]
    base = selected["base_weight"].to_numpy()
    eligible = base * response_factors(selected)["eligibility_factor"].to_numpy()
    before = pl.col("base_weight") * pl.col("eligibility_factor") * pl.col("nonresponse_factor")
    nonresponse = weights.select(before).to_series().to_numpy()
    final = weights["weight"].to_numpy()
    for step, values in (
        ("base", base),
        ("eligibility", eligible[eligible != 0]),
        ("nonresponse", nonresponse),
        ("calibration", final),
    ):
        rows += [(name, step, value) for name, value in _distribution(values)]
    for step, values in (("nonresponse", nonresponse), ("calibration", final)):
        reached = (
            weights.select("post_stratum")
            .with_columns(pl.Series("value", values))
            .group_by("post_stratum")
            .agg(pl.col("value").sum())
            .sort("post_stratum")
        )
        distances = [
            # below the last digit there is only the noise of the order of summation, which changes from run to run
            (label, round(value / totals[label] - 1.0, MARGIN_DECIMALS) + 0.0)
            for label, value in zip(reached["post_stratum"].to_list(), reached["value"].to_list(), strict=True)
        ]
        rows.append(("margin_distance_max", step, max(abs(distance) for _, distance in distances)))
        rows += [(f"margin_distance:{label}", step, distance) for label, distance in distances]
    # No contract of ours trims yet
    rows.append(("trimmed_share", "calibration", 0.0))
    # Units of one cell have one weight: each value once
    largest = np.unique(np.round(final, 9))[::-1][:LARGEST].tolist()
    rows += [(f"largest:{rank:02d}", "calibration", value) for rank, value in enumerate(largest, start=1)]
    return pl.DataFrame(rows, schema={"diagnostic": pl.String, "step": pl.String, "value": pl.Float64}, orient="row")


def _distribution(values: FloatArray) -> list[tuple[str, float]]:
    quantiles = np.quantile(values, QUANTILES).tolist()
    return [
        ("n", float(len(values))),
        ("sum", float(values.sum())),
        ("min", float(values.min())),
        *[(f"q{round(100 * q):02d}", value) for q, value in zip(QUANTILES, quantiles, strict=True)],
        ("max", float(values.max())),
        ("cv", float(values.std()) / float(values.mean())),
        ("kish_deff", kish_deff(values)),
    ]
