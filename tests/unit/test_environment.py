import os
from pathlib import Path

import pytest

from pipelines.environment import VARIABLES, Environment, Mail
from pipelines.errors import AxstatError, ViolationsError
from pipelines.settings import load_settings

MAIL = {
    "AXSTAT_SMTP_HOST": "mail.example.org",
    "AXSTAT_NOTICE_FROM": "axstat@example.org",
    "AXSTAT_NOTICE_TO": "kim@example.org, lee@example.org",
}
WEBHOOK = {"AXSTAT_WEBHOOK_URL": "https://chat.example.org/hooks/marker", "AXSTAT_WEBHOOK_TOKEN": "marker"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "axstat.env"
    path.touch(mode=0o600)
    return path


def refused(**variables: str) -> str:
    with pytest.raises(AxstatError) as caught:
        load_settings(variables)
    return str(caught.value)


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings({})
    assert not settings.notices.wanted
    assert settings.postgres_url is None
    assert not settings.json_logs


def test_mail_and_webhook_are_read() -> None:
    notices = load_settings(MAIL | WEBHOOK | {"AXSTAT_SMTP_USER": "u", "AXSTAT_SMTP_PASSWORD": "p"}).notices
    assert notices.mail == Mail(
        host="mail.example.org",
        port=587,
        security="starttls",
        sender="axstat@example.org",
        recipients=("kim@example.org", "lee@example.org"),
        user="u",
        password="p",
    )
    assert notices.webhook is not None
    assert (notices.webhook.url, notices.webhook.token) == tuple(WEBHOOK.values())


def test_the_address_of_the_database_gets_the_driver_that_is_installed() -> None:
    settings = load_settings({"AXSTAT_POSTGRES_URL": "postgresql://u:p%40@localhost:5433/runs?sslmode=require"})
    assert settings.postgres_url == "postgresql+psycopg2://u:p%40@localhost:5433/runs?sslmode=require"
    assert settings.environment["AXSTAT_POSTGRES_URL"] == settings.postgres_url


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("AXSTAT_HOEM", "did you mean AXSTAT_HOME?"),
        ("AXSTAT_SMTP_PASWORD", "did you mean AXSTAT_SMTP_PASSWORD?"),
        ("AXSTAT_XYZ_QQQQ_NOTHING_LIKE_IT", "remove it, or correct its name"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_name_that_was_meant(name: str, near: str) -> None:
    text = refused(**{name: "marker"})
    assert f"[unknown_setting] {name}" in text
    assert near in text
    assert "marker" not in text


def test_credentials_that_sources_name_are_no_unknown_variables(tmp_path: Path) -> None:
    sources = tmp_path / "sources.yaml"
    sources.write_text("credentials: {user: AXSTAT_FAR_USER}", encoding="utf-8")
    Environment({"AXSTAT_FAR_USER": "x", "OTHER": "y"}).require_known(also_named_in=sources)
    with pytest.raises(ViolationsError, match="did you mean AXSTAT_FAR_USER"):
        Environment({"AXSTAT_FAR_USR": "x"}).require_known(also_named_in=sources)


@pytest.mark.parametrize(
    ("variables", "about"),
    [
        ({"AXSTAT_LOG": "xml"}, "AXSTAT_LOG"),
        ({"AXSTAT_POSTGRES_URL": "mysql://u:marker@h/d"}, "AXSTAT_POSTGRES_URL"),
        ({"AXSTAT_POSTGRES_URL": "postgresql://u:marker@h"}, "AXSTAT_POSTGRES_URL"),
        ({"AXSTAT_POSTGRES_URL": "postgresql://[marker"}, "AXSTAT_POSTGRES_URL"),
        (MAIL | {"AXSTAT_SMTP_HOST": ""}, "AXSTAT_SMTP_HOST"),
        (MAIL | {"AXSTAT_SMTP_PORT": "70000"}, "AXSTAT_SMTP_PORT"),
        (MAIL | {"AXSTAT_SMTP_PORT": "smtp"}, "AXSTAT_SMTP_PORT"),
        (MAIL | {"AXSTAT_SMTP_SECURITY": "ssl"}, "AXSTAT_SMTP_SECURITY"),
        (MAIL | {"AXSTAT_NOTICE_TO": "kim"}, "AXSTAT_NOTICE_TO"),
        (MAIL | {"AXSTAT_NOTICE_FROM": "a@b\nBcc: c@d"}, "AXSTAT_NOTICE_FROM"),
        (MAIL | {"AXSTAT_SMTP_PASSWORD": "marker"}, "AXSTAT_SMTP_PASSWORD"),
        (
            MAIL | {"AXSTAT_SMTP_SECURITY": "none", "AXSTAT_SMTP_USER": "u", "AXSTAT_SMTP_PASSWORD": "marker"},
            "AXSTAT_SMTP_SECURITY",
        ),
        ({"AXSTAT_WEBHOOK_URL": "http://chat.example.org/marker"}, "AXSTAT_WEBHOOK_URL"),
        ({"AXSTAT_WEBHOOK_URL": "https:///marker"}, "AXSTAT_WEBHOOK_URL"),
        ({"AXSTAT_WEBHOOK_TOKEN": "marker"}, "AXSTAT_WEBHOOK_URL"),
    ],
)
def test_a_value_that_is_none_is_refused_without_showing_a_secret(variables: dict[str, str], about: str) -> None:
    text = refused(**variables)
    assert f"[bad_setting] {about}" in text
    assert "marker" not in text


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = refused(**MAIL, AXSTAT_SMTP_PORT="0", AXSTAT_SMTP_SECURITY="ssl", AXSTAT_WEBHOOK_TOKEN="marker")
    for name in ("AXSTAT_SMTP_PORT", "AXSTAT_SMTP_SECURITY", "AXSTAT_WEBHOOK_URL"):
        assert f"[bad_setting] {name}" in text


def test_the_settings_file_is_read_below_the_environment(file: Path, tmp_path: Path) -> None:
    file.write_text(
        f"# who is told\n\nAXSTAT_HOME={tmp_path}/from-file\nexport AXSTAT_LOG=json\n"
        f"KOSIS_API_KEY='a=b # c'\nAXSTAT_NOTICE_TO=\"{MAIL['AXSTAT_NOTICE_TO']}\"\n",
        encoding="utf-8",
    )
    mail = {name: value for name, value in MAIL.items() if name != "AXSTAT_NOTICE_TO"}
    settings = load_settings({"AXSTAT_SETTINGS_FILE": str(file), "AXSTAT_LOG": "text", **mail})
    assert settings.home == tmp_path / "from-file"
    assert not settings.json_logs  # the environment's own counts
    assert settings.environment["KOSIS_API_KEY"] == "a=b # c"
    assert settings.notices.mail is not None
    assert settings.notices.mail.recipients == ("kim@example.org", "lee@example.org")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660, 0o610])
def test_a_settings_file_that_others_may_read_is_refused(file: Path, rights: int) -> None:
    file.write_text("AXSTAT_SMTP_PASSWORD=marker", encoding="utf-8")
    file.chmod(rights)
    text = refused(AXSTAT_SETTINGS_FILE=str(file))
    assert "[settings_file_not_private]" in text
    assert f"chmod 600 {file}" in text
    assert "marker" not in text


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="giving a file away needs root")
def test_a_settings_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, 12345, 12345)
    assert "[settings_file_not_private]" in refused(AXSTAT_SETTINGS_FILE=str(file))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"AXSTAT_LOG json marker", "another line"),
        (b"AXSTAT_LOG=json\nAXSTAT_LOG=text", "AXSTAT_LOG again"),
        (b"AXSTAT_SETTINGS_FILE=marker", "AXSTAT_SETTINGS_FILE in it"),
        (b"\xff\xfe", "text that is not UTF-8"),
    ],
)
def test_a_line_that_sets_nothing_is_refused(file: Path, content: bytes, got: str) -> None:
    file.write_bytes(content)
    text = refused(AXSTAT_SETTINGS_FILE=str(file))
    assert "[settings_file]" in text
    assert got in text
    assert "marker" not in text


def test_a_settings_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "No such file" in refused(AXSTAT_SETTINGS_FILE=str(tmp_path / "none"))


def test_no_secret_is_in_what_the_settings_print() -> None:
    secret = MAIL | WEBHOOK | {"AXSTAT_SMTP_USER": "marker", "AXSTAT_SMTP_PASSWORD": "marker"}
    settings = load_settings({**secret, "AXSTAT_POSTGRES_URL": "postgresql://u:marker@localhost/d", "KEY": "marker"})
    assert "marker" not in repr(settings) + repr(Environment(secret))


def test_every_variable_says_what_it_is() -> None:
    assert all(name.startswith("AXSTAT_") and about for name, about in VARIABLES.items())
