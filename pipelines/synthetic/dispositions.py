"""The final dispositions that the made-up field work gives, by what they mean.

Belongs here: which code of the list `dispositions` stands for what; load_country holds them against
the contracts. Does not belong here: who gets which (fieldwork, the populations).
"""

from typing import Final

COMPLETE: Final = "1.1"
PARTIAL: Final = "1.2"
REFUSAL: Final = "2.1"
NON_CONTACT: Final = "2.2"
OTHER_NON_RESPONSE: Final = "2.3"
NOT_CONTACTED: Final = "3.1"
NOT_LOCATED: Final = "3.2"
TOO_SMALL: Final = "4.1"
CLOSED: Final = "4.2"
NOT_TARGET: Final = "4.3"

ALL: Final = (
    COMPLETE,
    PARTIAL,
    REFUSAL,
    NON_CONTACT,
    OTHER_NON_RESPONSE,
    NOT_CONTACTED,
    NOT_LOCATED,
    TOO_SMALL,
    CLOSED,
    NOT_TARGET,
)
