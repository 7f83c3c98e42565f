"""Makes a site and brings it to where a person would: past the set-up wizard, with a way out for its mail.

Runs in the bench's sites folder: prepare_site.py create|finish_wizard|connect SITE [argument ...]
"""

import os
import sys
from datetime import date

import frappe
from frappe.installer import update_site_config
from frappe.utils import now

COMPANY = "Nordlicht Handel GmbH"


def create(site: str) -> None:
	from frappe.commands.site import new_site

	# The command itself, called here, since on a command line everybody could read the password.
	options = [site, "--force", "--admin-password", "admin", "--install-app", "erpnext"]
	if os.path.isdir("../apps/newsletter"):
		options += ["--install-app", "newsletter"]
	if password := os.environ.get("DB_ROOT_PASSWORD"):
		options += [
			"--db-root-username",
			os.environ.get("DB_ROOT_USER", "root"),
			"--db-root-password",
			password,
		]
	new_site.main(options, standalone_mode=False)
	frappe.destroy()
	finish_wizard(site)


def finish_wizard(site: str) -> None:
	from frappe.desk.page.setup_wizard.setup_wizard import setup_complete

	connect_to(site)
	if frappe.is_setup_complete():
		return
	year = date.today().year
	setup_complete(
		{
			"language": "English",
			"country": "Germany",
			"timezone": "Europe/Warsaw",
			"currency": "EUR",
			"company_name": COMPANY,
			"company_abbr": "NH",
			"company_tagline": "Demo",
			"chart_of_accounts": "Standard",
			"fy_start_date": f"{year}-01-01",
			"fy_end_date": f"{year}-12-31",
		}
	)
	# What came before was created in Frappe's default time zone, hours ahead, and is not due before that.
	frappe.db.set_value("Scheduled Job Type", {"creation": (">", now())}, "last_execution", now())
	# `connect` switches it on where a scheduler is meant to run. Tests want no jobs between their lines.
	frappe.db.set_single_value("System Settings", "enable_scheduler", 0)
	frappe.db.commit()


def connect(site: str, web_port: str, smtp_port: str, mails: str) -> None:
	"""Tell the site of the web server, worker, scheduler and SMTP server that are about to run for it."""
	connect_to(site)
	for key, value in {
		"host_name": f"http://{site}:{web_port}",
		# A queue of its own: jobs of other sites in this bench are none of our worker's business.
		"bench_id": site,
		# Queued mail goes out each minute, not only each fourth.
		"scheduler_interval": 60,
		"gdpr_consent_demo_mails": mails,
	}.items():
		if frappe.conf.get(key) != value:
			update_site_config(key, value)
	frappe.db.set_single_value("System Settings", "enable_scheduler", 1)

	name = "Demo"
	account = (
		frappe.get_doc("Email Account", name)
		if frappe.db.exists("Email Account", name)
		else frappe.new_doc("Email Account", email_account_name=name)
	)
	account.update(
		{
			"email_id": "crm@nordlicht.example",
			"enable_outgoing": 1,
			"default_outgoing": 1,
			"no_smtp_authentication": 1,
			"awaiting_password": 0,
			"smtp_server": "127.0.0.1",
			"smtp_port": smtp_port,
			"use_tls": 0,
			"use_ssl_for_outgoing": 0,
		}
	)
	account.save()
	frappe.db.commit()


def connect_to(site: str) -> None:
	frappe.init(site, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")


if __name__ == "__main__":
	{"create": create, "finish_wizard": finish_wizard, "connect": connect}[sys.argv[1]](*sys.argv[2:])
