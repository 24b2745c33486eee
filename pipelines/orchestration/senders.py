"""Sending a notice by mail and to a webhook.

Belongs here: SMTP and HTTP, and faults of both in words. Does not belong here: what a notice says (notices.py), where
it goes (settings). No fault names an address or a secret: they end in the run history.
"""

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import requests

from pipelines.environment import Mail, Webhook

# Dagster gives a tick a minute, for all notices and both ways
PATIENCE_SECONDS = 8.0


@dataclass(frozen=True)
class Notice:
    """What a person is told: `subject` in a line, `text` in full; `facts` say the same to programs."""

    subject: str
    text: str
    facts: Mapping[str, object]


class NotSentError(Exception):
    """A notice that did not get through, with the reason."""


def send_mail(mail: Mail, notice: Notice) -> None:
    """Hand a notice to the mail server.

    Raises:
        NotSentError: no connection, no trust, or refused by the server.
    """
    message = EmailMessage()
    message["From"] = mail.sender
    message["To"] = ", ".join(mail.recipients)
    message["Subject"] = notice.subject
    message["Date"] = formatdate(localtime=True)
    # Without it the library would put the name of the machine there
    message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text)
    try:
        with _connected(mail) as server:
            if mail.user is not None and mail.password is not None:
                server.login(mail.user, mail.password)
            refused = server.send_message(message)
    except smtplib.SMTPResponseException as error:
        # The server's own words may repeat what it was sent
        raise NotSentError(f"the mail server answered {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"mail: {type(error).__name__}") from None
    if refused:
        raise NotSentError(f"the mail server refused {len(refused)} of {len(mail.recipients)} recipients")


def _connected(mail: Mail) -> smtplib.SMTP:
    if mail.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=PATIENCE_SECONDS, context=context)
    server = smtplib.SMTP(mail.host, mail.port, timeout=PATIENCE_SECONDS)
    if mail.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def post(webhook: Webhook, notice: Notice) -> None:
    """Post a notice as JSON: `text`, as chat services want it, and the facts.

    Raises:
        NotSentError: no connection, no trust, or another answer than 2xx.
    """
    headers = {} if webhook.token is None else {"Authorization": f"Bearer {webhook.token}"}
    with requests.Session() as session:
        # No proxy and no .netrc of the machine
        session.trust_env = False
        try:
            answer = session.post(
                webhook.url,
                json={"text": f"{notice.subject}\n{notice.text}", **notice.facts},
                headers=headers,
                timeout=PATIENCE_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise NotSentError(f"webhook: {type(error).__name__}") from None
    if not answer.ok or answer.is_redirect:
        raise NotSentError(f"the webhook answered {answer.status_code}")
