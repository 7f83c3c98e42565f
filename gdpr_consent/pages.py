"""Renders the pages under /consent with what a page behind a signed link needs."""

from werkzeug.wrappers import Response

from frappe.website.page_renderers.template_page import TemplatePage

HEADERS = {
	"Referrer-Policy": "no-referrer",  # the link is the authority, so it goes nowhere else (TK-08)
	"Cache-Control": "no-store",
	"X-Robots-Tag": "noindex",
	"X-Frame-Options": "DENY",
	"X-Content-Type-Options": "nosniff",
}


class ConsentPage(TemplatePage):
	def can_render(self) -> bool:
		return self.path.startswith("consent/") and super().can_render()

	def render(self) -> Response:
		html = self.get_html()
		return self.build_response(html, self.context.get("http_status_code"), HEADERS)
