"""A mail and a post against servers on this machine, and faults of both without a secret in their words."""

from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest

from pipelines.environment import Mail, Webhook
from pipelines.orchestration.senders import Notice, NotSentError, post, send_mail
from pipelines.settings import load_settings
from tests.sinks import Sink, free_port, notice_sink

# The mail server of the tests, on loopback
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

SECRET = "mark3r"
NOTICE = Notice("[axstat] wave of wave 2025 failed", "제조업: [rows_differ] 응답.csv", {"run": "r1", "wave": 2025})


@pytest.fixture
def sink() -> Iterator[Sink]:
    with notice_sink(SECRET) as made:
        yield made


@pytest.fixture
def mail(sink: Sink) -> Mail:
    found = load_settings(sink.settings).notices.mail
    assert found is not None
    return found


@pytest.fixture
def webhook(sink: Sink) -> Webhook:
    found = load_settings(sink.settings).notices.webhook
    assert found is not None
    return found


def test_a_mail_arrives_with_its_text(mail: Mail, sink: Sink) -> None:
    send_mail(mail, NOTICE)
    [content] = sink.mails
    got = message_from_bytes(content)
    assert str(make_header(decode_header(got["Subject"]))) == NOTICE.subject
    assert (got["From"], got["To"]) == ("axstat@example.org", "kim@example.org, lee@example.org")
    payload = got.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().strip() == NOTICE.text
    # Not the name of the machine
    assert got["Message-ID"].endswith("@example.org>")
    assert sink.passwords == [SECRET]


def test_a_post_arrives_with_text_and_facts(webhook: Webhook, sink: Sink) -> None:
    post(webhook, NOTICE)
    assert sink.posts == [(f"Bearer {SECRET}", {"text": f"{NOTICE.subject}\n{NOTICE.text}", "run": "r1", "wave": 2025})]


def refusal(send: object, *arguments: object) -> str:
    assert callable(send)
    with pytest.raises(NotSentError) as caught:
        send(*arguments)
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_wrong_password_is_said_without_it(mail: Mail, sink: Sink) -> None:
    assert refusal(send_mail, replace(mail, password=f"{SECRET}-old"), NOTICE) == "the mail server answered 535"
    assert sink.mails == []


def test_without_signing_in_the_server_refuses(mail: Mail) -> None:
    assert refusal(send_mail, replace(mail, user=None, password=None), NOTICE) == "the mail server answered 530"


def test_a_server_without_encryption_gets_no_password(mail: Mail, sink: Sink) -> None:
    assert "NotSupported" in refusal(send_mail, replace(mail, security="starttls"), NOTICE)
    assert "SSL" in refusal(send_mail, replace(mail, security="tls"), NOTICE)
    assert sink.passwords == []


def test_nobody_there_is_said(mail: Mail) -> None:
    port = free_port()
    assert refusal(send_mail, replace(mail, port=port), NOTICE) == "mail: ConnectionRefusedError"
    assert refusal(post, Webhook(f"http://127.0.0.1:{port}/{SECRET}"), NOTICE) == "webhook: ConnectionError"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_none(webhook: Webhook, sink: Sink, status: int) -> None:
    sink.answers = [status]
    assert refusal(post, webhook, NOTICE) == f"the webhook answered {status}"
    # Not followed to where it leads
    assert len(sink.posts) == 1
