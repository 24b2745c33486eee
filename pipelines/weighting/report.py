"""The weight report: one HTML file that needs nothing beside it.

Belongs here: what of the weights and diagnostics is shown, and how numbers look there. Does not belong here: charts
(reporting.weight_charts), markup (the template), any figure that the diagnostics do not hold.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment
from markupsafe import Markup

from pipelines.reporting.drawing import NARROW, WIDE
from pipelines.reporting.fonts import embedded_font
from pipelines.reporting.html import chart_colours, font_face, inline_svg, page_environment
from pipelines.reporting.weight_charts import Distance, distance_plot, histogram
from pipelines.stats.arrays import FloatArray
from pipelines.stats.collapse import UNRESOLVED
from pipelines.stats.nonresponse import STATUSES
from pipelines.weighting.diagnostics import DISTRIBUTION, MARGIN, RATES, STEPS, TRIMMING, step_weights
from pipelines.weighting.run import SurveyWeights

LARGEST = 20
CHARTED = 40
_TEMPLATE = "weights.html.jinja"
_FACTORS = ("eligibility_factor", "nonresponse_factor", "calibration_factor", "trimming_factor")


@cache
def _environment(template_dir: Path) -> Environment:
    environment = page_environment(template_dir)
    environment.globals.update(svg=inline_svg, table=_table)
    return environment


def weight_report(made: SurveyWeights, *, template_dir: Path) -> str:
    """The page; the same weights give the same text.

    Args:
        template_dir: the folder `reports/annual`.
    """
    body = _environment(template_dir).get_template(_TEMPLATE).render(_context(made))
    style = (template_dir / "style.css").read_text(encoding="utf-8")
    return body.replace("@@STYLE@@", f"{font_face(embedded_font([body]))}\n{chart_colours()}\n{style}", 1)


def _context(made: SurveyWeights) -> dict[str, Any]:
    told = made.diagnostics
    sample = dict(told.filter(pl.col("step") == "sample").select("diagnostic", "value").iter_rows())
    names = ("selected", *STATUSES)
    distances = _distances(told)
    return {
        "sample": made.sample,
        "notes": made.notes,
        "counts": [(name.replace("_", " "), f"{sample[name]:,.0f}") for name in names],
        "steps_header": ["step", *DISTRIBUTION],
        "steps_rows": [[step, *_figures(told, step, DISTRIBUTION)] for step in STEPS],
        "histograms": _histograms(made.weights),
        "response_header": ["", *RATES],
        "response_rows": _response_rows(told),
        "coefficient_rows": _coefficient_rows(told),
        "margin_header": ["total of", *(name.removeprefix("margin_").replace("_", " ") for name in MARGIN)],
        "margin_rows": _margin_rows(told),
        "distances": distances,
        "other_rows": _other_rows(told),
        "collapse_rows": [
            [step, cell, text if kind == "collapse" else f"left as it is: {text}"]
            for kind, step, cell, text in told.filter(pl.col("diagnostic").is_in(["collapse", UNRESOLVED]))
            .select("diagnostic", "step", "cell", "text")
            .iter_rows()
        ],
        "largest_header": [
            made.unit,
            "status",
            "base weight",
            *(name.replace("_", " ") for name in _FACTORS),
            "weight",
        ],
        "largest_rows": [
            [str(unit), status, *(_number(value) for value in rest)]
            for unit, status, *rest in made.weights.sort("weight", descending=True, maintain_order=True)
            .head(LARGEST)
            .select(made.unit, "status", "base_weight", *_FACTORS, "weight")
            .iter_rows()
        ],
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _figures(told: pl.DataFrame, step: str, names: Sequence[str], cell: str | None = None) -> list[str]:
    rows = told.filter((pl.col("step") == step) & pl.col("cell").eq_missing(pl.lit(cell, dtype=pl.String)))
    known = dict(rows.select("diagnostic", "value").iter_rows())
    return [_number(known.get(name)) for name in names]


def _histograms(weights: pl.DataFrame) -> list[dict[str, str]]:
    """Base and final weight on one axis, and each factor that is not the same for all that carry weight."""
    steps = step_weights(weights)
    base, final = steps["base"], steps["trimming"]
    low, high = float(min(base.min(), final.min())), float(max(base.max(), final.max()))
    drawn: list[tuple[str, FloatArray, float, float]] = [
        ("Base weight", base, low, high),
        ("Final weight", final, low, high),
    ]
    carried = weights.filter(pl.col("weight") != 0)
    for name in _FACTORS:
        values = carried[name].to_numpy()
        if not np.allclose(values, values[0], rtol=1e-12, atol=0):
            drawn.append((name.replace("_", " ").capitalize(), values, float(values.min()), float(values.max())))
    return [
        {
            "title": title,
            "subtitle": f"{len(values):,} units, {_number(float(values.min()))} to {_number(float(values.max()))}",
            "alternative": f"Histogram: {title.lower()}",
            "drawing": histogram(values, width=NARROW, low=start, high=end),
        }
        for title, values, start, end in drawn
    ]


def _response_rows(told: pl.DataFrame) -> list[list[str]]:
    rates = told.filter((pl.col("step") == "response") & (pl.col("diagnostic") != "coefficient"))
    if rates.is_empty():
        return []
    weighted = [f"weighted_{name}" for name in RATES]
    rows = [
        ["all units", *_figures(told, "response", RATES)],
        ["all units, by base weight", *_figures(told, "response", weighted)],
    ]
    cells = rates["cell"].drop_nulls().unique(maintain_order=True).to_list()
    return rows + [[f"class {cell}", *_figures(rates, "response", RATES, cell)] for cell in cells]


def _coefficient_rows(told: pl.DataFrame) -> list[list[str]]:
    rows = told.filter(pl.col("diagnostic") == "coefficient").select("cell", "value").iter_rows()
    return [[term, _number(value)] for term, value in rows]


def _margins(told: pl.DataFrame) -> dict[str, dict[str, float]]:
    rows = told.filter(pl.col("diagnostic").is_in(MARGIN)).select("cell", "diagnostic", "value").iter_rows()
    found: dict[str, dict[str, float]] = {}
    for cell, name, value in rows:
        found.setdefault(cell, {})[name] = value
    return found


def _margin_rows(told: pl.DataFrame) -> list[list[str]]:
    return [[cell, *(_number(known[name]) for name in MARGIN)] for cell, known in _margins(told).items()]


def _distances(told: pl.DataFrame) -> dict[str, Any] | None:
    known = [
        Distance(cell, figures["distance_before"], figures["distance_after"])
        for cell, figures in _margins(told).items()
    ]
    if not known:
        return None
    shown = known
    if len(known) > CHARTED:
        shown = sorted(known, key=lambda each: -abs(each.before))[:CHARTED]
    return {
        "drawing": distance_plot(shown, width=WIDE),
        "alternative": f"Distances of {len(shown)} sums from their totals before and after; the table has the numbers",
        "shown": len(shown),
        "left_out": len(known) - len(shown),
    }


def _other_rows(told: pl.DataFrame) -> list[list[str]]:
    mine = pl.col("diagnostic").str.contains("^(factor|share|bound)_|^iterations$") | (
        (pl.col("step") == "trimming") & pl.col("diagnostic").is_in(TRIMMING)
    )
    rows = told.filter(mine).select("step", "diagnostic", "value").iter_rows()
    return [[step, name.replace("_", " "), _number(value)] for step, name, value in rows]


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table whose first column names its rows; columns of words are set to the left."""
    first = rows[0] if rows else header
    head = Markup("").join(
        Markup("<th scope='col'{}>{}</th>").format(
            Markup(" class='label'") if not place or _is_words(cell) else "", name
        )
        for place, (name, cell) in enumerate(zip(header, first, strict=True))
    )
    body = Markup("").join(
        Markup("<tr><th scope='row'>{}</th>{}</tr>").format(
            row[0],
            Markup("").join(
                Markup("<td{}>{}</td>").format(Markup(" class='w'") if _is_words(cell) else "", cell)
                for cell in row[1:]
            ),
        )
        for row in rows
    )
    return Markup(
        "<div class='scroll' tabindex='0'><table><caption>{}</caption>"
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, head, body)


def _is_words(cell: str) -> bool:
    return bool(cell) and cell[0] not in "-0123456789"
