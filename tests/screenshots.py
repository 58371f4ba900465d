"""`make screenshots`: the pictures that README shows, and one of every page, small and dark ones too, in
var/screenshots/; of a fresh installation with demo data."""

import re
from itertools import product
from pathlib import Path

from segments.urlstate import encode
from tests.live import CHROMIUM, ROOT, Installation
from tests.test_browser import EMAIL, FLAGS, every_page

QUESTION = {
    "version": 1,
    "match": "all",
    "conditions": [
        {
            "kind": "event",
            "event": "placed-order",
            "did": True,
            "count": {"op": "gte", "value": 2},
            "within": {"last_days": 90},
            "where": [{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}],
        },
        {"kind": "event_time", "event": "opened-app", "occurrence": "last", "op": "less_than_days_ago", "value": 14},
        {"kind": "event", "event": "cancelled-plan", "did": False},
    ],
}


def take(folder: Path, all_pages: Path):
    """Write people.png, rule.png and person.png to `folder`, and a picture of every page to `all_pages`."""
    from playwright.sync_api import sync_playwright

    with Installation() as shop, sync_playwright() as playwright:
        shop.set_up()
        shop.manage("demo", "--workspace", shop.app_id)
        password = shop.manage("create_staff", EMAIL)
        shop.make_rule(
            body="<h2>Thank you</h2>\n<p>Your order of {{ event.metadata.total | money }} is on its way.</p>"
        )
        shop.start_web()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=f"{shop.url}/app/{shop.app_id}/")
        page.goto("/login/")
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.goto(f"people/?q={encode(QUESTION)}")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / "people.png")
        page.locator("tbody a").first.click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / "person.png")
        page.goto("messages/")
        page.locator("tbody a").first.click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / "rule.png")
        _take_all(browser, page.context.storage_state(), f"{shop.url}/app/{shop.app_id}/", every_page(page), all_pages)
        browser.close()


def _take_all(browser, login, base_url, addresses, folder: Path):
    """Write every page to `folder`, light and dark, at the width of a desk and of a hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, scheme in product((1440, 390), ("light", "dark")):
        view = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page = browser.new_page(base_url=base_url, storage_state=login, **view)
        for number, address in enumerate(addresses):
            page.goto(address)
            page.wait_for_load_state("load" if "live" in address else "networkidle")
            words = re.sub(r"\W+", "-", re.sub(r"^/app/[^/]+/|[?].*|[0-9a-f]{24}", "", address)).strip("-") or "home"
            page.screenshot(path=folder / f"{number:02}-{words}-{scheme}-{width}.png", full_page=True)


if __name__ == "__main__":
    take(ROOT / "docs", ROOT / "var" / "screenshots")
