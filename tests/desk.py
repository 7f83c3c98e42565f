"""How the browser tests handle Frappe's desk."""

import re

from conftest import wait_until
from playwright.sync_api import Page, TimeoutError


def press(place, name: str) -> None:
	label = re.compile(rf"^{re.escape(name)}$", re.IGNORECASE)  # v16 has small letters where v15 has capitals
	place.get_by_role("button", name=label).locator("visible=true").first.click()


def choose(place, text: str) -> None:
	"""Pick what a field with suggestions suggests; again, if Frappe has moved the focus meanwhile."""
	box, suggestion = place.locator("input").first, place.locator("li, [role=option]", has_text=text).first

	def is_suggested() -> bool:
		box.fill("")
		box.fill(text)
		try:
			suggestion.click(timeout=3_000)
		except TimeoutError:
			return False
		return True

	wait_until(is_suggested)


def go(page: Page, path: str) -> None:
	"""Open another page of the desk as a user does, without loading the desk anew."""
	page.evaluate("(path) => frappe.set_route(path)", path)
	settle(page)


def settle(page: Page) -> None:
	"""Wait until the desk has asked the server for nothing during ten frames."""
	page.evaluate("window.quiet_frames = 0")
	page.wait_for_function("(quiet_frames = frappe.request.ajax_count ? 0 : quiet_frames + 1) > 10")


def stand_still(page: Page) -> None:
	"""Wait until charts have grown: a picture of them shows nothing before."""
	page.evaluate("window.still_frames = 0; window.charts_seen = null")
	page.wait_for_function(
		"""() => {
			const charts = [...document.querySelectorAll(".frappe-chart")].map((one) => one.innerHTML).join();
			still_frames = charts === charts_seen ? still_frames + 1 : 0;
			charts_seen = charts;
			return !charts || still_frames > 60;
		}"""
	)
