"""The headline as one picture to pass on: rate, interval and target of both surveys, 1200 x 630 pixels.

Belongs here: what stands in the picture. Does not belong here: how it looks (reports/annual/share.typ), or the words
about a headline (sentences).

A picture travels without its page: it says by itself what it shows, where it is from, and whether data are synthetic.
"""

from pathlib import Path

from pipelines.reporting import numbers, sentences
from pipelines.reporting.data import ReportData
from pipelines.reporting.numbers import Language
from pipelines.reporting.pdf import card_values, frame_values
from pipelines.reporting.texts import Texts
from pipelines.reporting.typesetting import typeset

_TEMPLATE = "share.typ"


def render_share(data: ReportData, language: Language, *, template_dir: Path) -> bytes:
    """The picture as PNG; the same data give the same bytes.

    Args:
        data: what is printed.
        language: ``ko`` or ``en``.
        template_dir: the folder `reports/annual`.

    Raises:
        AxstatError: the headline is missing, a text is missing, or the template does not compile without a warning.
    """
    texts = Texts(template_dir, language)
    surveys = [str(getattr(contract, f"label_{language}")) for contract in data.surveys.values()]
    values = {
        **frame_values(data, texts),
        "cards": [
            {
                **card_values(survey, sentences.headline(data, survey, texts)),
                "bar_target": texts(
                    "chart.series_target", year=goal.year, target=numbers.whole_per_cent(goal.value, language)
                ),
            }
            for survey, goal in ((survey, data.targets[survey]) for survey in data.surveys)
        ],
        "source": texts("common.source", survey=texts.listed(surveys), wave=data.wave),
    }
    return typeset(template_dir / _TEMPLATE, values, form="png", day=data.publication_date)
