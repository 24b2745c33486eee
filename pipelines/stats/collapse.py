"""The merging of sparse cells: selection strata, weighting classes, post-strata.

Belongs here: one deterministic rule by which a cell that is too small joins another, and the log of every
merge. Does not belong here: what makes a cell sufficient for a purpose (the caller says it), weights.

The rule: level by level the cells are made coarser in a stated order (a part is replaced by its group, or
dropped). Within one coarser cell, the sparse cell with the fewest respondents joins the other cell with the
fewest, until none is sparse or one is left; ties by label. Cells of different blocks (take-all and sampled)
never meet.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.errors import AxstatError

LOG_SCHEMA = {"cell": pl.String, "merged_into": pl.String, "step": pl.String, "reason": pl.String}

# Step of the log rows of cells that stay sparse although every level was tried.
UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class Coarsening:
    """One level: ``part`` is replaced by ``groups[part]``, or dropped where there are no groups.

    ``step`` names the level in the log, e.g. 'region_group' or 'without size_class'.
    """

    part: str
    step: str
    groups: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Collapse:
    """The result: ``cells`` has the columns of the input and ``merged_cell``; ``log`` one row a merge.

    ``merged_cell`` is the label of the cell that took the others in. ``unresolved`` lists merged cells
    that are still sparse.
    """

    cells: pl.DataFrame
    log: pl.DataFrame
    unresolved: tuple[str, ...]


@dataclass
class _Group:
    label: str
    block: tuple[str, ...]
    parts: dict[str, str]
    members: list[int]
    counts: dict[str, float]


def collapse_cells(
    cells: pl.DataFrame,
    *,
    parts: Sequence[str],
    order: Sequence[Coarsening],
    counts: Sequence[str],
    size: str,
    sufficient: Callable[[Mapping[str, float]], str | None],
    block: Sequence[str] = (),
) -> Collapse:
    """Merge sparse cells.

    Args:
        cells: one row a cell: ``cell`` (distinct label), the part columns, the block columns, the counts.
        parts: the columns a cell is made of.
        order: the levels of coarsening, applied one after the other, each on top of those before.
        counts: columns that add up when cells merge.
        size: the count by which partners are chosen (the fewest first), one of ``counts``.
        sufficient: given the counts of a merged cell, None if it is large enough, else the reason.
        block: columns within whose values merging stays.

    Raises:
        AxstatError: labels not distinct, a level names an unknown part or a code without a group.
    """
    if cells["cell"].is_duplicated().any():
        repeated = cells.filter(pl.col("cell").is_duplicated())["cell"].unique().sort().to_list()
        raise AxstatError(
            "cell_not_distinct",
            where="cells to collapse",
            expected="one row a cell",
            got=f"several rows for {', '.join(repeated[:10])}",
            hint="aggregate the cells first",
        )
    for level in order:
        if level.part not in parts:
            raise AxstatError(
                "unknown_part",
                where=f"collapse order, step {level.step!r}",
                expected=f"one of the parts {', '.join(parts)}",
                got=level.part,
                hint="name a part of the cell in the merge order",
            )
    groups = [
        _Group(
            label=row["cell"],
            block=tuple(str(row[name]) for name in block),
            parts={name: str(row[name]) for name in parts},
            members=[index],
            counts={name: float(row[name]) for name in counts},
        )
        for index, row in enumerate(cells.iter_rows(named=True))
    ]
    log: list[tuple[str, str, str, str]] = []
    for level in order:
        for group in groups:
            if level.groups is None:
                group.parts.pop(level.part, None)
            else:
                group.parts[level.part] = _group_of(group.parts.get(level.part, ""), level)
        buckets: dict[tuple[str, ...], list[_Group]] = {}
        for group in groups:
            buckets.setdefault((*group.block, *group.parts.values()), []).append(group)
        groups = [
            group for key in sorted(buckets) for group in _merge_bucket(buckets[key], level.step, size, sufficient, log)
        ]
    merged = [""] * cells.height
    unresolved: list[str] = []
    for group in sorted(groups, key=lambda group: group.label):
        for index in group.members:
            merged[index] = group.label
        reason = sufficient(group.counts)
        if reason is not None:
            unresolved.append(group.label)
            log.append((group.label, group.label, UNRESOLVED, reason))
    return Collapse(
        cells=cells.with_columns(pl.Series("merged_cell", merged, dtype=pl.String)),
        log=pl.DataFrame(log, schema=LOG_SCHEMA, orient="row"),
        unresolved=tuple(unresolved),
    )


def merge_take_all_strata(strata: pl.DataFrame, *, parts: Sequence[str], modelled: Collection[str]) -> Collapse:
    """Merge take-all strata that differ only in parts by which response is not modelled (decision 0006).

    Strata that are sampled, and take-all strata of which every frame unit was observed, are left alone.

    Args:
        strata: as :func:`merge_sparse_strata` takes them.
        modelled: the parts of the weighting classes.
    """
    open_strata = pl.col("take_all") & (pl.col("observed") < pl.col("population"))
    reason = f"take-all: response is modelled by {', '.join(part for part in parts if part in modelled) or 'no part'}"
    merged = collapse_cells(
        strata.filter(open_strata),
        parts=parts,
        order=[Coarsening(part, f"without {part}") for part in parts if part not in modelled],
        counts=["respondents"],
        size="respondents",
        sufficient=lambda _: reason,
    )
    return Collapse(
        cells=strata.join(
            merged.cells.select("cell", "merged_cell"), on="cell", how="left", maintain_order="left"
        ).with_columns(pl.col("merged_cell").fill_null(pl.col("cell"))),
        log=merged.log.filter(pl.col("step") != UNRESOLVED),
        unresolved=(),
    )


def merge_sparse_strata(
    strata: pl.DataFrame,
    *,
    parts: Sequence[str],
    order: Sequence[Coarsening],
    min_respondents: int = 2,
) -> Collapse:
    """Merge selection strata with fewer than ``min_respondents`` respondents (method.md 2).

    A stratum of which every frame unit was observed adds nothing to the variance and is left alone,
    however small. Take-all strata merge with take-all strata only.

    Args:
        strata: one row a stratum: ``cell``, the parts, ``take_all``, ``respondents``, ``observed``
            (respondents and observed out-of-scope units, the n_h of the variance), ``population`` (frame
            units, N_h).
    """

    def sufficient(counts: Mapping[str, float]) -> str | None:
        if counts["respondents"] >= min_respondents or counts["observed"] >= counts["population"]:
            return None
        return f"{counts['respondents']:.0f} respondent(s), at least {min_respondents} needed"

    return collapse_cells(
        strata,
        parts=parts,
        order=order,
        counts=["respondents", "observed", "population"],
        size="respondents",
        sufficient=sufficient,
        block=["take_all"],
    )


def merge_post_strata(
    cells: pl.DataFrame,
    *,
    parts: Sequence[str],
    order: Sequence[Coarsening],
    min_respondents: int,
    max_factor: float | None = None,
) -> Collapse:
    """Merge post-strata of too few respondents, or of a factor not between 1/max_factor and max_factor.

    Args:
        cells: one row a post-stratum: ``cell``, the parts, ``respondents``, ``before`` (sum of the weights before
            calibration), ``population`` (its total).
    """

    def sufficient(counts: Mapping[str, float]) -> str | None:
        if counts["respondents"] < min_respondents or counts["before"] <= 0:
            return f"{counts['respondents']:.0f} respondent(s), at least {min_respondents} needed"
        factor = counts["population"] / counts["before"]
        if max_factor is not None and not 1.0 / max_factor <= factor <= max_factor:
            return f"calibration factor {factor:.3f}, between {1.0 / max_factor:.3f} and {max_factor:g} wanted"
        return None

    return collapse_cells(
        cells,
        parts=parts,
        order=order,
        counts=["respondents", "before", "population"],
        size="respondents",
        sufficient=sufficient,
    )


def _merge_bucket(
    bucket: list[_Group],
    step: str,
    size: str,
    sufficient: Callable[[Mapping[str, float]], str | None],
    log: list[tuple[str, str, str, str]],
) -> list[_Group]:
    def rank(group: _Group) -> tuple[float, str]:
        return group.counts[size], group.label

    left = sorted(bucket, key=rank)
    while len(left) > 1:
        reasons = [(group, sufficient(group.counts)) for group in left]
        sparse = [(group, reason) for group, reason in reasons if reason is not None]
        if not sparse:
            break
        joining, reason = min(sparse, key=lambda pair: rank(pair[0]))
        partner = min((group for group in left if group is not joining), key=rank)
        log.append((joining.label, partner.label, step, str(reason)))
        partner.members += joining.members
        partner.counts = {name: partner.counts[name] + joining.counts[name] for name in partner.counts}
        left = [group for group in left if group is not joining]
    return left


def _group_of(code: str, level: Coarsening) -> str:
    groups = level.groups or {}
    if code not in groups:
        raise AxstatError(
            "code_without_group",
            where=f"collapse order, step {level.step!r}",
            expected=f"a group for every code of {level.part}",
            got=f"none for {code!r}",
            hint="complete the mapping of codes to groups",
        )
    return groups[code]
