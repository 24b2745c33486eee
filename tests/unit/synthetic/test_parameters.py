from pathlib import Path

import pytest
import yaml

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import ViolationsError
from pipelines.synthetic.parameters import COUNTRY_FILE, Country, load_country


def test_figures_that_stand_in_the_facts(country: Country) -> None:
    # Korean frame counts: 211,615 enterprises with 10 or more employees (2024; sample 12,500), 207,163 (2021);
    # 48 central agencies, 243 local governments, 17 education offices, 331 public institutions (2025).
    assert country.waves[2024].enterprises == 211_615
    assert country.waves[2021].enterprises == 207_163
    assert sum(group.enterprises for group in country.enterprises.groups.values()) == 211_615
    assert country.samples.industry.size == 12_500
    bodies = {name: sum(figures.sectors.values()) for name, figures in country.institutions.types.items()}
    assert bodies["central"] == 48
    assert bodies["local_government"] == 243
    assert bodies["education_office"] == 17
    assert bodies["public_institution"] == country.waves[2025].public_institution == 331
    assert sum(bodies.values()) == 1050
    assert country.enterprises.size_shares == {"10-49": 0.855, "50-249": 0.125, "250+": 0.02}


def test_each_wave_and_survey_has_a_form_of_its_own(country: Country) -> None:
    for survey in ("industry", "public"):
        responses = [forms.response for forms in country.forms[survey].values()]
        assert len({(form.format, form.encoding) for form in responses}) == 5
    for wave in country.waves:
        industry, public = country.forms["industry"][wave].response, country.forms["public"][wave].response
        assert industry.format != public.format


def test_the_latent_effect_lasts(country: Country) -> None:
    adoption = country.adoption
    one_wave = adoption.permanent_variance + (1 - adoption.permanent_variance) * adoption.fading_persistence
    assert one_wave == pytest.approx(0.88)


def test_codes_unknown_to_the_contracts_are_all_named(library: ContractLibrary, tmp_path: Path) -> None:
    figures = yaml.safe_load(COUNTRY_FILE.read_text(encoding="utf-8"))
    figures["enterprises"]["groups"]["XX"] = figures["enterprises"]["groups"].pop("A")
    figures["enterprises"]["regions"].pop("11")
    figures["enterprises"]["division_weights"]["84"] = 1.0
    wrong = tmp_path / "country.yaml"
    wrong.write_text(yaml.safe_dump(figures, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ViolationsError) as caught:
        load_country(library, wrong)
    places = {violation.where.rsplit(": ", 1)[1]: violation.got for violation in caught.value.violations}
    assert set(places) == {"enterprises.groups", "enterprises.regions", "enterprises.division_weights"}
    assert places["enterprises.groups"] == "unknown: ['XX']; left out: ['A']"
    assert places["enterprises.regions"] == "unknown: []; left out: ['11']"
