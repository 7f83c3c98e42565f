"""Brings a site to the state the app needs, only adding what is missing, and takes it back again."""

from collections.abc import Iterable

import frappe
from frappe.cache_manager import clear_controller_cache
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

from gdpr_consent import (
	export,
	identity,
	legacy,
	links,
	proof,
	register,
	replay,
	signatures,
	standing,
)
from gdpr_consent.custom_fields import BLOCKED, MODULE, PROPERTIES, WITH_BLOCKED, custom_fields
from gdpr_consent.gate import self_check
from gdpr_consent.seeds import DEFAULT_PURPOSE, ROLES, SEEDS
from gdpr_consent.sensitive_data import finder, protection, rules
from gdpr_consent.sensitive_data.installed_rules import RULES

ROLES_OF_OTHERS = "gdpr_consent_roles_of_others"  # which of our roles the site had before us
# Of two columns at least: Frappe drops an index of one when somebody adds a field to the DocType.
INDEXES_OF_OURS = (
	("Contact Email", ["email_id", "parent"], "consent_email"),
	("Customer", ["email_id", "name"], "consent_email_id"),
	("Opportunity", ["party_name", "name"], "consent_party_name"),
	("Opportunity", ["contact_person", "name"], "consent_contact_person"),
	("Prospect Lead", ["lead", "parent"], "consent_lead"),
)
# They hold all that a report counts, so that a million rows stay unread.
INDEXES_OF_REPORTS = (
	("Consent", ["since", "status"], "changed"),
	("Consent", ["topic", "since", "status", "expires_on"], "topic_changed"),
	(
		"Consent",
		["source", "status", "evidence_grade", "given_month", "expires_on", "legal_basis"],
		"origins_by_month",
	),
	(
		"Consent",
		[
			*("status", "channel", "double_opt_in", "evidence_grade", "country", "purpose", "wording"),
			*("confirmed_on", "expires_on"),
		],
		"proofs",
	),
	("Consent", ["status", "wording", "purpose", "topic", "expires_on"], "wordings"),
	(
		"Consent Decision",
		["allowed", "decided_on", "reason", "reference_doctype", "reference_name", "purpose", "topic"],
		"blocked_mail",
	),
)
FORMER_INDEXES = (
	("Consent", "since"),
	("Consent", "sources"),
	("Consent", "origins"),
	("Consent Decision", "blocked"),
	("Contact Email", "consent_email_id"),
)
ONBOARDING_STEPS = "GDPR Consent %"


def before_install() -> None:
	frappe.db.set_global(ROLES_OF_OTHERS, ",".join(role for role in ROLES if frappe.db.exists("Role", role)))


def after_install() -> None:
	complete()


def after_app_install(app: str) -> None:
	"""Give fields and gates also to what another app brings, as Newsletter on v16."""
	if app != "gdpr_consent":
		complete()


def after_migrate() -> None:
	complete()


def complete() -> None:
	"""Add whatever is missing; what an administrator changed stays as it is."""
	_create_first_keys()
	signatures.create_missing_key()
	register.create_missing_locks()
	create_missing_seeds()
	set_missing_settings()
	create_custom_fields(
		{
			doctype: fields
			for doctype, fields in custom_fields().items()
			if frappe.db.exists("DocType", doctype)  # Newsletter is an app of its own on v16
		},
		update=False,
	)
	allow_status_blocked()
	set_missing_properties()
	_add_month_given()
	for doctype, columns, index in (*INDEXES_OF_OURS, *INDEXES_OF_REPORTS):
		frappe.db.add_index(doctype, columns, index)
	proof.keep_up()
	legacy.take_over()
	replay.every_few_minutes()
	protect_sensitive_fields()
	clear_controller_cache()  # the classes that were loaded before the app came don't run any more
	self_check.run()
	standing.start()


def _add_month_given() -> None:
	"""Add the month (of UTC) in which a consent was given, such as 202603, as a column that the database
	computes: only by a column of an index can it count without a table beside it."""
	if frappe.db.sql("show columns from `tabConsent` like 'given_month'"):
		return
	# `bench trim-tables` takes away the column, and leaves an index without it.
	_drop_indexes([("Consent", "origins_by_month")])
	frappe.db.sql_ddl(
		"""alter table `tabConsent`
		add column `given_month` int as (extract(year_month from `given_on`)) virtual"""
	)


def drop_former_indexes() -> None:
	_drop_indexes(FORMER_INDEXES)


def tick_special_categories() -> None:
	"""A condition of Art. 9 was a text once, of purposes that use such data (LB-05)."""
	purpose = frappe.qb.DocType("Processing Purpose")
	conditions = frappe.get_meta("Processing Purpose").get_options("article_9_condition")
	for condition in filter(None, conditions.split("\n")):
		frappe.qb.update(purpose).set(purpose.article_9_condition, condition).where(
			purpose.article_9_condition.like(f"%{condition.split()[0]}%")
		).run()
	frappe.qb.update(purpose).set(purpose.uses_special_categories, 1).where(
		purpose.article_9_condition.isnotnull() & (purpose.article_9_condition != "")
	).run()


def _drop_indexes(indexes: Iterable[tuple[str, str]]) -> None:
	for doctype, index in indexes:
		if frappe.db.has_index(f"tab{doctype}", index):
			frappe.db.sql_ddl(f"alter table `tab{doctype}` drop index `{index}`")


def _create_first_keys() -> None:
	"""A key that was there and is gone isn't made anew: nobody would be found, and no link would work."""
	for setting, create in (
		("address_key_fingerprint", identity.create_missing_key),
		("link_key_fingerprint", links.create_missing_key),
	):
		if not frappe.db.get_single_value("Consent Settings", setting):
			create()


def create_missing_seeds() -> None:
	"""Insert each seed that the site doesn't have yet."""
	for doctype, seeds in SEEDS:
		for seed in seeds:
			# Asked of the database: in its collation an edited "CONSENT" is the same name as "Consent".
			if not frappe.db.exists(doctype, seed["title"]):
				frappe.get_doc(doctype=doctype, **seed).insert(ignore_permissions=True)  # run by bench


def set_missing_settings() -> None:
	settings = frappe.get_doc("Consent Settings")
	singles = frappe.qb.Table("tabSingles")
	stored = set(
		frappe.qb.from_(singles)
		.select(singles.field)
		.where(singles.doctype == settings.doctype)
		.run(pluck=True)
	)
	for field in settings.meta.fields:
		if field.default and field.fieldname not in stored:  # it came with a newer version
			settings.set(field.fieldname, field.default)
	if not settings.default_purpose:
		settings.default_purpose = DEFAULT_PURPOSE
	if not settings.address_key_fingerprint:
		settings.address_key_fingerprint = identity.key_fingerprint()
	if not settings.link_key_fingerprint:
		settings.link_key_fingerprint = links.fingerprints()[-1]
	settings.save(ignore_permissions=True)  # run by bench
	_give_purposes_a_company()


def _give_purposes_a_company() -> None:
	"""A site with one company has one controller. With more, an administrator says which."""
	companies = frappe.get_all("Company", pluck="name", limit=2)
	if len(companies) == 1:
		purpose = frappe.qb.DocType("Processing Purpose")
		titles = [
			seed["title"] for doctype, seeds in SEEDS if doctype == "Processing Purpose" for seed in seeds
		]
		frappe.qb.update(purpose).set(purpose.company, companies[0]).where(
			purpose.name.isin(titles) & purpose.company.isnull()
		).run()


def protect_sensitive_fields() -> None:
	"""Add the rules that the site doesn't have yet. Those it has stay as they are, switched off ones too."""
	for role in rules.SENSITIVE_ROLES:
		if not frappe.db.exists("Role", role):
			new = frappe.get_doc(doctype="Role", role_name=role, desk_access=1)
			new.insert(ignore_permissions=True)  # run by bench
	for rule in RULES:
		name = rules.name_of(rule["ref_doctype"], rule["fieldname"])
		of_the_site = frappe.db.exists("DocType", rule["ref_doctype"]) and (
			not rule["fieldname"] or frappe.get_meta(rule["ref_doctype"]).has_field(rule["fieldname"])
		)
		if of_the_site and not frappe.db.exists("Sensitive Field", name):
			values = {"doctype": "Sensitive Field", "is_standard": 1, "enabled": 1} | rule
			frappe.get_doc(values).insert(ignore_permissions=True)  # run by bench
	finder.protect_new_copies()


def allow_status_blocked() -> None:
	"""Add Blocked to the statuses of Email Queue: to those of core as it is now, or to an admin's own."""
	for doctype, field in WITH_BLOCKED:
		setter = frappe.db.get_value(
			"Property Setter",
			{"doc_type": doctype, "field_name": field, "property": "options"},
			["name", "value", "module"],
			as_dict=True,
		)
		of_core = frappe.db.get_value("DocField", {"parent": doctype, "fieldname": field}, "options")
		options = (of_core if not setter or setter.module == MODULE else setter.value).split("\n")
		value = "\n".join([*(option for option in options if option != BLOCKED), BLOCKED])
		if not setter:
			_set_property(doctype, field, "options", "Text", value)
		elif setter.value != value:
			frappe.db.set_value("Property Setter", setter.name, "value", value, update_modified=False)
			frappe.clear_cache(doctype=doctype)


def set_missing_properties() -> None:
	"""Change properties of core's fields; those that an administrator set stay."""
	for doctype, field, name, kind, value in PROPERTIES:
		setter = {"doc_type": doctype, "field_name": field, "property": name}
		if frappe.db.exists("DocType", doctype) and not frappe.db.exists("Property Setter", setter):
			_set_property(doctype, field, name, kind, value)


def _set_property(doctype: str, field: str, name: str, kind: str, value: str) -> None:
	frappe.get_doc(
		doctype="Property Setter",
		doctype_or_field="DocField",
		doc_type=doctype,
		field_name=field,
		property=name,
		property_type=kind,
		value=value,
		module=MODULE,
		is_system_generated=1,
	).insert(ignore_permissions=True)  # run by bench


def before_uninstall() -> None:
	"""Save the evidence first. Also runs in a dry run, so it changes nothing."""
	export.offer()
	frappe.flags.gdpr_changes_of_permissions = protection.journal()  # its table is gone when they are undone


def after_uninstall() -> None:
	"""Take back what Frappe doesn't find by our module."""
	if frappe.db.exists("Module Def", MODULE):
		return  # a dry run
	for doctype, fields in custom_fields().items():
		if frappe.db.table_exists(doctype):
			columns = frappe.db.get_table_columns(doctype)
			for field in fields:
				if field["fieldname"] in columns:
					frappe.db.sql_ddl(f"alter table `tab{doctype}` drop column `{field['fieldname']}`")
	legacy.restore_global_opt_outs()
	protection.undo(frappe.flags.gdpr_changes_of_permissions or ())
	_drop_indexes((doctype, index) for doctype, _columns, index in INDEXES_OF_OURS)
	for doctype, field in WITH_BLOCKED:
		setters = {"doc_type": doctype, "field_name": field, "property": "options"}
		for name, value in frappe.get_all("Property Setter", setters, ["name", "value"], as_list=True):
			options = "\n".join(option for option in value.split("\n") if option != BLOCKED)
			frappe.db.set_value("Property Setter", name, "value", options, update_modified=False)
	of_others = (frappe.db.get_global(ROLES_OF_OTHERS) or "").split(",")
	for role in ROLES:
		if role not in of_others and frappe.db.exists("Role", role):
			frappe.db.delete("Has Role", {"role": role})
			frappe.db.delete("Custom DocPerm", {"role": role})
			frappe.delete_doc("Role", role, force=True, ignore_permissions=True)  # run by bench
	# They have no module that Frappe would find them by.
	frappe.db.delete("Onboarding Step", {"name": ["like", ONBOARDING_STEPS]})
	for kept in (ROLES_OF_OTHERS, standing.CAUGHT_UP):
		frappe.db.delete("DefaultValue", {"parent": "__global", "defkey": kept})
	for job in frappe.get_all("Scheduled Job Type", {"method": ["like", "gdpr_consent.%"]}, pluck="name"):
		frappe.delete_doc("Scheduled Job Type", job, force=True)
	frappe.db.commit()  # nosemgrep: core has committed before it calls this, and doesn't after
	frappe.clear_cache()
