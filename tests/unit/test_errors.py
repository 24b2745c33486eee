"""Errors read the same wherever they come from."""

import pickle

import pytest

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.release.candidate import Reason
from pipelines.release.gate import Finding, RefusedError, Verdict

VIOLATION = Violation("missing_column", "a.csv", "column ksic", "none", "ask the sender", (3, 4))


@pytest.mark.parametrize(
    "error",
    [
        AxstatError("missing_mart", where="here", expected="a mart", got="none", hint="run the wave"),
        ViolationsError("a.csv", [VIOLATION]),
        RefusedError(Verdict("2025.1", ("disclosure",), (Finding(Reason("disclosure", VIOLATION)),))),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_another_process_is_the_same(error: AxstatError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
