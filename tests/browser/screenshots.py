"""Makes the README's pictures from a running demo: python -m tests.browser.screenshots http://127.0.0.1:8000 docs"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS


def main(origin: str, folder: Path) -> None:
    """Open the three faces as a newcomer would and keep what is on the screen."""
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        desk = browser.new_page(viewport={"width": 1440, "height": 900})
        for page, button, then, name in (
            (phone, "Grace's page", None, "customer.png"),
            (phone, "Tom's phone", "Use this phone", "technician.png"),
            (desk, "The dispatcher's board", "Open the board", "board.png"),
        ):
            page.goto(origin)
            with page.expect_popup() as opened:
                page.get_by_role("button", name=button).click()
            face = opened.value
            if then:
                face.get_by_role("button", name=then).click()
            face.wait_for_load_state("networkidle") if page is phone else face.wait_for_timeout(1500)
            face.screenshot(path=str(folder / name))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
