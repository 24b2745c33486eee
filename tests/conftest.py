"""Settings of the property tests.

Belongs here: what holds for every test. Does not belong here: fixtures of one kind of test.

`make test` is a gate: on the same code it gives the same answer, so its examples are drawn from a seed made
of the test itself. `make test-search` draws new ones each time, in order to find what the gate does not know.
"""

from hypothesis import settings

settings.register_profile("gate", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("gate")
