"""Options and fixtures of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No deadline: on a busy machine it fails tests for being slow once. Few examples: every run tries others.
settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="write tests/golden/*/expected anew; review the difference as text, for sense",
    )
