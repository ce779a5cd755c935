"""What pyproject.toml cannot say: the README with links that work where the package is read."""

import re
from pathlib import Path

from setuptools import setup

BRANCH = "https://github.com/daleml/daleml/blob/main/"
FILES = "https://raw.githubusercontent.com/daleml/daleml/main/"


def with_addresses(text: str) -> str:
    """Return Markdown in which no link is relative to a folder of the repository."""
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:|#)", rf"\1{FILES}", text)
    return re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#|mailto:)", rf"\1{BRANCH}", text)


setup(
    long_description=with_addresses(
        Path(__file__).with_name("README.md").read_text("utf-8")
    ),
    long_description_content_type="text/markdown",
)
