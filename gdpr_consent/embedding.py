"""Serves the sign-up form as a script, for a page of another site (docs/forms.md).

It is the same for everybody, so that it may be cached: no cookie, no session, no address.
"""

import json

from werkzeug.wrappers import Response

import frappe
from frappe.utils import get_url
from frappe.website.page_renderers.base_renderer import BaseRenderer

from gdpr_consent import pages, proof, sign_up, told

HEADERS = {
	"Content-Type": "application/javascript; charset=utf-8",
	"Cache-Control": "public, max-age=300",
	"Cross-Origin-Resource-Policy": "cross-origin",
	"X-Content-Type-Options": "nosniff",
	"X-Robots-Tag": "noindex",
}


class SignUpScript(BaseRenderer):
	def can_render(self) -> bool:
		return self.path == "consent/sign-up.js"

	def render(self) -> Response:
		# Neither the visitor's own language nor a session's cookie may get into what others are given.
		frappe.local.lang = _language()
		frappe.local.cookie_manager.cookies.clear()
		with pages.as_the_person():
			script, status = _script(frappe.request.args.getlist("topic"))
		return self.build_response(script, status, HEADERS)


def _language() -> str:
	asked = frappe.request.args.get("_lang") or ""
	return frappe.db.exists("Language", asked) or told.site_language()


def _script(topics: list[str]) -> tuple[str, int]:
	boxes = sign_up.boxes(frappe.local.lang, topics)
	if not boxes:
		return "console.error('gdpr_consent: no public topic is called so');", 404
	form = frappe.render_template(
		"gdpr_consent/templates/consent_form_embedded.html",
		{
			"action": get_url("/consent/subscribe"),
			"boxes": boxes,
			"age": proof.age_asked(None),
			"company": frappe.db.get_default("company") or frappe.local.site,
			"shown": sign_up.signed_texts(boxes),
			"lang": frappe.local.lang,
			"privacy_notice_url": frappe.db.get_single_value("Consent Settings", "privacy_notice_url"),
		},
	)
	# Where it might be put between <script> tags, no text of ours ends them.
	text = json.dumps(form).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
	return f"document.currentScript.insertAdjacentHTML('afterend', {text});", 200
