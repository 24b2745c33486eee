"""A made-up country with a known truth, and the deliveries that a contractor would send of it.

Belongs here: the way from a seed to delivery folders and the truth beside them. Does not belong here: any
figure (country.yaml), the parts of the way (the other modules), or reading deliveries (intake).
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.surveys import Survey
from pipelines.errors import AxstatError
from pipelines.private_folders import keep_private
from pipelines.settings import Settings
from pipelines.synthetic import enterprises, institutions
from pipelines.synthetic.fieldwork import Collected, Fieldwork, frame_rows, sample_rows
from pipelines.synthetic.parameters import Country, IndustrySample, PublicSample, load_country
from pipelines.synthetic.population import Population
from pipelines.synthetic.sampling import SampleDesign, Sampler
from pipelines.synthetic.streams import Streams
from pipelines.synthetic.truth import true_rates
from pipelines.synthetic.writers import WrittenFile, ksic_sections, write_table

DEFAULT_SEED: Final = 20240926
WAVES: Final = (2021, 2022, 2023, 2024, 2025)
TRUTH_FOLDER: Final = "synthetic_truth"
_MANIFEST: Final = "manifest.json"
_SENDER: Final = "가상 조사기관 (합성 자료)"
_COLLECTION: Final = ("09-01", "11-28")


@dataclass(frozen=True)
class Truth:
    """What only the maker of the country knows.

    Attributes:
        rates: true rates, columns of `TRUTH_SCHEMA`, base ``answered``.
        bad_rows: rows spoiled on purpose, columns of `BAD_ROW_SCHEMA`.
        fieldwork: one row a survey and wave: units on the frame, in scope, selected, disposition counts,
            response rows, bad rows.
        folders: the delivery folders written.
    """

    rates: pl.DataFrame
    bad_rows: pl.DataFrame
    fieldwork: pl.DataFrame
    folders: tuple[Path, ...]


def synthesise(
    settings: Settings,
    *,
    seed: int = DEFAULT_SEED,
    scale: float = 1.0,
    only_if_empty: bool = False,
    say: Callable[[str], None] | None = None,
) -> Truth | None:
    """Write deliveries of all waves into the data home of `settings`.

    Args:
        only_if_empty: do nothing, and return None, if the data home holds any delivery.
    """
    if only_if_empty and any(settings.deliveries_dir.glob(f"*/{_MANIFEST}")):
        if say is not None:
            say(f"{settings.deliveries_dir} holds deliveries: no synthetic ones written")
        return None
    library = load_library(settings.contracts_dir)
    keep_private(settings)
    return write_deliveries(settings.home, library, seed=seed, scale=scale, progress=say)


def write_deliveries(
    home: Path,
    library: ContractLibrary,
    *,
    seed: int = DEFAULT_SEED,
    waves: Sequence[int] = WAVES,
    scale: float = 1.0,
    progress: Callable[[str], None] | None = None,
) -> Truth:
    """Write `<home>/deliveries/<survey>-<wave>/` of both surveys, and the truth in `<home>/synthetic_truth/`.

    The same seed and scale give the same bytes, whichever waves are asked for. A folder appears whole or not
    at all. Synthetic deliveries of an earlier call are replaced.

    Args:
        scale: size of the enterprise frame and sample; 1 is the country's real size. The sample of a small
            scale keeps a minimum in each stratum, so it is a larger part of its frame. Public bodies are
            about a thousand and are not scaled.
        progress: called with a line of text for each delivery written.

    Raises:
        AxstatError: a wave the country does not have, a scale out of (0, 1], or a folder in the way that
            holds a delivery that is not synthetic.
    """
    country = load_country(library)
    _check(country, home, waves=waves, scale=scale)
    rates: list[pl.DataFrame] = []
    bad_rows: list[pl.DataFrame] = []
    summaries: list[pl.DataFrame] = []
    folders: list[Path] = []
    stages = library.classifications["ai_stages"].codes
    for survey, populations, sampler, fieldwork in _surveys(country, library, seed, max(waves), scale):
        for population in populations:
            drawn = sampler.draw(population)
            if population.wave not in waves:
                continue
            sample = drawn.filter("selected")
            collected = fieldwork.collect(population, sample)
            folder = home / "deliveries" / f"{survey.survey}-{population.wave}"
            _write_delivery(folder, library, country, survey, population.wave, drawn, sample, collected)
            rates.append(true_rates(population, survey, stages))
            bad_rows.append(collected.bad_rows)
            summaries.append(_summary(population, sample, collected))
            folders.append(folder)
            if progress is not None:
                progress(
                    f"{folder.name}: frame {population.units.height:,}, sample {sample.height:,}, "
                    f"responses {collected.responses.height:,}, of which {collected.bad_rows.height} bad rows"
                )
    truth = Truth(
        rates=pl.concat(rates),
        bad_rows=pl.concat(bad_rows),
        fieldwork=pl.concat(summaries),
        folders=tuple(folders),
    )
    _write_truth(home / TRUTH_FOLDER, truth)
    return truth


def _check(country: Country, home: Path, *, waves: Sequence[int], scale: float) -> None:
    unknown = sorted(set(waves) - set(country.waves))
    if unknown or not waves:
        raise AxstatError(
            "synthetic_waves",
            where="the made-up country",
            expected=f"waves among {', '.join(map(str, sorted(country.waves)))}",
            got=", ".join(map(str, unknown)) or "none",
            hint="ask for waves the country has, or add the wave to pipelines/synthetic/country.yaml",
        )
    if not 0.0 < scale <= 1.0:
        raise AxstatError(
            "synthetic_scale",
            where="the made-up country",
            expected="a scale above 0, at most 1",
            got=str(scale),
            hint="1 is the real size; tests use 0.02",
        )
    for survey in (enterprises.SURVEY, institutions.SURVEY):
        for wave in waves:
            folder = home / "deliveries" / f"{survey}-{wave}"
            manifest = folder / _MANIFEST
            ours = manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8-sig")).get("synthetic") is True
            if folder.exists() and not ours:
                raise AxstatError(
                    "synthetic_over_real",
                    where=str(folder),
                    expected="no folder, or a synthetic delivery to replace",
                    got="a folder without a manifest that says synthetic",
                    hint="keep real deliveries and synthetic ones in different data homes (AXSTAT_HOME)",
                )


def _surveys(
    country: Country, library: ContractLibrary, seed: int, last_wave: int, scale: float
) -> Iterator[tuple[Survey, Iterator[Population], Sampler, Fieldwork]]:
    streams = Streams(seed)
    industry, public = library.surveys[enterprises.SURVEY], library.surveys[institutions.SURVEY]
    yield (
        industry,
        enterprises.enterprise_waves(country, library, streams, last_wave=last_wave, scale=scale),
        Sampler(industry_design(country.samples.industry, scale)),
        Fieldwork(country.fieldwork, library, industry, streams),
    )
    yield (
        public,
        institutions.institution_waves(country, library, streams, last_wave=last_wave),
        Sampler(public_design(country.samples.public)),
        Fieldwork(country.fieldwork, library, public, streams),
    )


def industry_design(figures: IndustrySample, scale: float) -> SampleDesign:
    """The enterprise sample at `scale`; a small one keeps a minimum in each stratum."""
    return SampleDesign(
        size=round(figures.size * scale),
        minimum=figures.minimum if scale == 1.0 else figures.small_scale_minimum,
        power=figures.power,
        relative_spread=figures.relative_spread,
        take_all=pl.col(figures.take_all.column).is_in(list(figures.take_all.codes)),
        rotation=figures.rotation,
        slack=figures.small_scale_slack,
    )


def public_design(figures: PublicSample) -> SampleDesign:
    """The sample of public bodies: small sectors are enumerated."""
    return SampleDesign(
        size=figures.size,
        minimum=figures.minimum,
        power=figures.power,
        relative_spread=figures.relative_spread,
        take_all=pl.len().over("selection_main_sector") <= figures.take_all_up_to,
        rotation=figures.rotation,
    )


def _write_delivery(
    folder: Path,
    library: ContractLibrary,
    country: Country,
    survey: Survey,
    wave: int,
    frame: pl.DataFrame,
    sample: pl.DataFrame,
    collected: Collected,
) -> None:
    """Write one delivery beside its place and move it there when it is whole."""
    deliveries = library.deliveries
    contracts, unit_id = survey.contracts, survey.unit_id_column
    forms = country.forms[survey.survey][wave]
    tables = [
        (contracts.response, forms.response, collected.responses),
        (
            contracts.sample,
            forms.sample,
            sample_rows(deliveries[contracts.sample], unit_id, sample, collected.dispositions),
        ),
        (contracts.frame, forms.frame, frame_rows(deliveries[contracts.frame], unit_id, frame)),
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".synthetic-", dir=folder.parent) as work:
        built = Path(work) / folder.name
        built.mkdir()
        files = [
            write_table(table, deliveries[name], form, built, stem=f"{name}_{wave}", sections=ksic_sections(library))
            for name, form, table in tables
        ]
        manifest = {
            "delivery": folder.name,
            "survey": survey.survey,
            "wave": wave,
            "sequence": 1,
            "question_version": survey.question_version(wave),
            "tech_list_version": survey.tech_list_version(wave),
            "collection_start": f"{wave}-{_COLLECTION[0]}",
            "collection_end": f"{wave}-{_COLLECTION[1]}",
            "sender": _SENDER,
            "synthetic": True,
            "files": [_manifest_entry(built, file) for file in files],
        }
        text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
        (built / _MANIFEST).write_bytes(text.encode("utf-8"))
        if folder.exists():
            shutil.rmtree(folder)
        built.replace(folder)


def _manifest_entry(folder: Path, file: WrittenFile) -> dict[str, str | int]:
    entry: dict[str, str | int] = {
        "file": file.name,
        "contract": file.contract,
        "sha256": hashlib.sha256((folder / file.name).read_bytes()).hexdigest(),
        "rows": file.rows,
        "header_rows": file.header_rows,
    }
    if file.encoding is not None:
        entry["encoding"] = file.encoding
    if file.delimiter is not None:
        entry["delimiter"] = file.delimiter
    if file.sheet is not None:
        entry["sheet"] = file.sheet
    return entry


def _summary(population: Population, sample: pl.DataFrame, collected: Collected) -> pl.DataFrame:
    """One row: what became of the frame and the sample."""
    counts = collected.dispositions.group_by(pl.col("disposition").str.head(1).alias("group")).len()
    by_group = dict(counts.iter_rows())
    return pl.DataFrame(
        {
            "survey": population.survey,
            "wave": population.wave,
            "frame": population.units.height,
            "in_scope": int(population.units["in_scope"].sum()),
            "selected": sample.height,
            "take_all": int(sample["take_all"].sum()),
            "respondents": by_group.get("1", 0),
            "eligible_nonrespondents": by_group.get("2", 0),
            "unknown_eligibility": by_group.get("3", 0),
            "out_of_scope": by_group.get("4", 0),
            "response_rows": collected.responses.height,
            "bad_rows": collected.bad_rows.height,
        }
    )


def _write_truth(folder: Path, truth: Truth) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (("rates", truth.rates), ("bad_rows", truth.bad_rows), ("fieldwork", truth.fieldwork)):
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", statistics=False)
