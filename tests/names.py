"""Names of test cases that are the same in every process: workers that run side by side must collect the same tests."""

import re


def steady(value: object, length: int = 60) -> str:
    """Return a value as text, without the addresses of objects in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))[:length]
