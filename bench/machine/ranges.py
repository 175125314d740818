"""Types of numbers and texts in result files, with ranges in which no later step fails."""

from typing import Annotated

from msgspec import Meta

from gradrace.backends.interface import MOST_EPOCHS

MOST_SECONDS = 1e6
"""The longest time that anything may take; a million seconds are twelve days."""

MOST_SESSIONS = MOST_REPETITIONS = MOST_THREADS = 10_000

Spec = Annotated[str, Meta(min_length=1, max_length=4096)]  # the longest path
Repetitions = Annotated[int, Meta(ge=1, le=MOST_REPETITIONS)]
# The ratio of two times per epoch is at most 10²¹, so an interval of two sessions is finite
PerEpoch = Annotated[float, Meta(ge=1e-15, le=MOST_SECONDS)]
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Cores = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=1, le=MOST_EPOCHS)]
Number = Annotated[int, Meta(ge=0, le=MOST_EPOCHS)]
Rate = Annotated[float, Meta(ge=1, le=1e18)]  # bytes, or multiply-adds, per second
MOST_TEXT = 1_000
Text = Annotated[str, Meta(max_length=MOST_TEXT)]  # what a table or a line shows
Caches = dict[Annotated[str, Meta(pattern="^L[0-9]d?$")], Count]
Threads = Annotated[str, Meta(pattern="^[1-9][0-9]{0,4}$")]  # JSON keys are always text
