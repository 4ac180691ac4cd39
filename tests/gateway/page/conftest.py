"""A browser for the page, and pictures of what it shows in `build/screenshots/`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE_S

PICTURES = Path(__file__).parents[3] / "build" / "screenshots"
FLAGS = (
    "--disable-dev-shm-usage",  # /dev/shm of a container may be small
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None or "snap" in str(Path(found).resolve()):
        pytest.skip("no Chromium here that is no snap: `apt-get install chromium` on Debian")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for a file of tests: while it runs, its thread has no room for another loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: `make setup`")
    path = _chromium()
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=path, args=[*FLAGS])
        yield one
        one.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """`open_page(url, ...)`; keywords are the browser's. Fails for errors in the page's scripts."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def opened(url: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: "Security Policy" in said.text and wrong.append(said.text),
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """`picture(page, name)` keeps what can be seen."""
    PICTURES.mkdir(parents=True, exist_ok=True)

    def taken(page: Any, name: str) -> None:
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    return taken


@pytest.fixture
def verify_access() -> Callable[[Any], None]:
    """`verify_access(page)` fails for what keeps people out, as far as axe-core finds it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def verified(page: Any) -> None:
        found = axe.run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
        assert told == []

    return verified
