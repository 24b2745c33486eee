"""Running a vintage again in a data home of its own.

Belongs here: the temporary home, and the waves that run in it. Does not belong here: what is laid out and compared
(release.replay).
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from pipelines.orchestration.runs import Show, run_waves
from pipelines.release.replay import Replay, compare, lay_out
from pipelines.release.vintages import Vintage
from pipelines.settings import Settings


def replay(settings: Settings, vintage: Vintage, *, on_event: Show) -> Replay:
    """Rebuild a published vintage from the deliveries, edit files, replies and vintages that its manifest names.

    The waves up to the vintage's run again, oldest first, in a folder of the data home that is gone afterwards. Nothing
    is read of the warehouse, and nothing is written to it or to the releases.

    Raises:
        AxstatError: no such vintage; a wave that does not run through.
    """
    # Below the data home: what is copied are microdata, which stay where they are kept
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=settings.home) as folder:
        home = Path(folder)
        if faults := lay_out(settings, vintage, home):
            return Replay(vintage, (), faults, ())
        # Its runs are no part of the history
        there = replace(settings, home=home, postgres_url=None)
        run_waves(there, None, on_event=on_event)
        files, reasons = compare(settings.published_dir, there.published_dir, vintage)
    return Replay(vintage, files, (), reasons)
