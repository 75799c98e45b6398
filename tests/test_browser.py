"""The built book, in Chromium, with the network cut: math, figures, scripts, search, no errors."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import FLAGS, find_chromium

pytestmark = pytest.mark.browser

HTML = Path(__file__).resolve().parents[1] / "book" / "_build" / "html"
PAGES = sorted(p.relative_to(HTML).as_posix() for p in (HTML / "book").glob("*.html"))
CHAPTERS = [page for page in PAGES if page.startswith("book/0") or page.startswith("book/1")]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    if not (HTML / "index.html").exists():
        pytest.skip("the book is not built: make book")
    handler = functools.partial(_Quiet, directory=str(HTML))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One open page, what it asked of other machines and what it complained about."""

    def __init__(self, browser, base: str, path: str, **options) -> None:
        self.away: list[str] = []
        self.errors: list[str] = []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.route("**/*", lambda route: self._route(route, base))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("response", self._response)
        self.page.goto(f"{base}/{path}", wait_until="load")
        self.page.wait_for_function(
            "!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)"
        )

    def _route(self, route, base: str) -> None:
        if route.request.url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            self.away.append(route.request.url)
            route.abort()

    def _console(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _response(self, response) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def test_the_front_page_leads_to_the_book(browser, site: str) -> None:
    with Visit(browser, site, "index.html") as visit:
        visit.page.wait_for_url("**/book/intro.html")
        assert "BRADCN" in visit.page.title()


@pytest.mark.parametrize("path", PAGES or ["book/intro.html"])
def test_a_page_reads_offline_without_an_error(browser, site: str, path: str) -> None:
    with Visit(browser, site, path) as visit:
        visit.page.wait_for_timeout(300)
        assert visit.away == []
        assert visit.errors == []
        broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        assert visit.page.evaluate(broken) == []
        silent = "[...document.querySelectorAll('main img:not([alt])')].map(i => i.src)"
        assert visit.page.evaluate(silent) == []
        # Every formula that Sphinx marked up was typeset, and MathJax understood it.
        assert visit.page.locator(".math:not(:has(mjx-container))").count() == 0
        assert visit.page.locator("mjx-merror, [data-mjx-error]").count() == 0


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_chapter_fits_a_phone(browser, site: str, path: str) -> None:
    with Visit(browser, site, path, viewport={"width": 390, "height": 800}) as visit:
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 400, f"{path} is {width} px wide on a 390 px screen"


@pytest.mark.parametrize("path", CHAPTERS)
def test_no_visible_code_is_cut_off_at_1280_pixels(browser, site: str, path: str) -> None:
    with Visit(browser, site, path, viewport={"width": 1280, "height": 900}) as visit:
        cut = visit.page.evaluate(
            """() => [...document.querySelectorAll(".cell_input pre")].filter(box =>
                box.clientWidth > 0 && !box.closest("details:not([open])") &&
                box.scrollWidth > box.clientWidth + 1).map(box => box.innerText.slice(0, 80))"""
        )
        assert cut == []
        width = "document.querySelector('article p').getBoundingClientRect().width"
        assert visit.page.evaluate(width) >= 800


@pytest.mark.parametrize("path", CHAPTERS)
def test_interactive_output_can_be_reached_by_keyboard(browser, site: str, path: str) -> None:
    """Whatever a cell's output offers for the pointer has a control that takes the focus."""
    with Visit(browser, site, path) as visit:
        for part in visit.page.locator(".cell_output .interactive").all():
            controls = part.locator("input, button, select, [tabindex='0']")
            assert controls.count() > 0
            controls.first.focus()
            assert controls.first.evaluate("node => node === document.activeElement")


def test_search_works_without_the_network(browser, site: str) -> None:
    with Visit(browser, site, "search.html?q=depth") as visit:
        visit.page.wait_for_selector("#search-results li")
        assert visit.away == [] and visit.errors == []
