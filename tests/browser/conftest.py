"""Pages are opened in the Chromium of this machine."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.browser.chromium import ARGUMENTS


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The Chromium of this machine."""
    return {**browser_type_launch_args, "executable_path": shutil.which("chromium"), "args": ARGUMENTS}
