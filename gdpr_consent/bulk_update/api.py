"""The doors of a Consent Bulk Update. Each checks the user's right itself; each answers with `status`."""

from typing import Any

import frappe


@frappe.whitelist(methods=["POST"])
def preview(bulk_update: str) -> dict[str, Any]:
	"""Freeze which records the rules find and what would become of each; in the background."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def approve(bulk_update: str, selection_hash: str) -> dict[str, Any]:
	"""Approve exactly the preview that was looked at; a second Privacy Officer only (BU-04)."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def run(bulk_update: str) -> dict[str, Any]:
	"""Do what the preview says; in the background (BU-06)."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def pause(bulk_update: str) -> dict[str, Any]:
	"""Stop a run or a revert after the chunk it is at."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def resume(bulk_update: str) -> dict[str, Any]:
	"""Go on with what was paused or interrupted."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def revert(bulk_update: str, reason: str) -> dict[str, Any]:
	"""Take back by new events what a run did; never turns a no into a yes."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def status(bulk_update: str) -> dict[str, Any]:
	"""Say how far it is."""
	raise NotImplementedError


@frappe.whitelist(methods=["POST"])
def targets() -> list[str]:
	"""Name the DocTypes that a rule may be about, of those that the user may read."""
	raise NotImplementedError
