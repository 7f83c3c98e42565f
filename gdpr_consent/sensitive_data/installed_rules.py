"""The Sensitive Fields that come with the app. Data only; each can be switched off."""


def _(text: str) -> str:
	"""Mark a text for translation; the desk translates it when it shows it."""
	return text


TAX = _("Needed on invoices and in tax returns.")
BANK = _("Needed to pay and to assign payments.")
IDENTITY = _("Needed to prove who somebody is, for authorities and for travel.")
HEALTH = _("Needed for the safety of employees at work.")
CONTRACT = _("Its terms concern only those who negotiate and fulfil it.")

SALES, PURCHASE, ACCOUNTS, HR = "Sales Manager", "Purchase Manager", "Accounts Manager", "HR Manager"

_TAX_IDS = (
	("Customer", "", (SALES, ACCOUNTS)),
	("Supplier", "", (PURCHASE, ACCOUNTS)),
	("Sales Order", "customer.tax_id", (SALES, ACCOUNTS)),
	("Sales Invoice", "customer.tax_id", (ACCOUNTS,)),
	("POS Invoice", "customer.tax_id", (ACCOUNTS,)),
	("Delivery Note", "customer.tax_id", (SALES, ACCOUNTS)),
	("Purchase Invoice", "supplier.tax_id", (ACCOUNTS,)),
)
_BANK_DATA = (
	("Bank Account", "iban", ""),
	("Bank Account", "bank_account_no", ""),
	("Bank Account", "branch_code", ""),
	("Payment Entry", "bank_account_no", "bank_account.bank_account_no"),
	("Payment Request", "iban", "bank_account.iban"),
	("Payment Request", "bank_account_no", "bank_account.bank_account_no"),
	("Payment Request", "branch_code", "bank_account.branch_code"),
	("Bank Transaction", "bank_party_iban", ""),
	("Bank Transaction", "bank_party_account_number", ""),
	("Bank Guarantee", "iban", "bank_account.iban"),
	("Bank Guarantee", "bank_account_no", "bank_account.bank_account_no"),
	("Bank Guarantee", "branch_code", "bank_account.branch_code"),
)
_EMPLOYEE_BANK = ("bank_ac_no", "iban")
_EMPLOYEE_IDENTITY = ("passport_number", "date_of_issue", "valid_upto", "place_of_issue", "family_background")
_EMPLOYEE_HEALTH = ("blood_group", "health_details")


def _rule(doctype: str, fieldname: str, why: str, revealers: tuple[str, ...], **more: str) -> dict:
	roles = [{"role": role} for role in revealers]
	return {
		"ref_doctype": doctype,
		"fieldname": fieldname,
		"sensitivity": "Sensitive",
		"why_kept": why,
		"revealers": roles,
	} | more


RULES = (
	*(_rule(doctype, "tax_id", TAX, roles, copy_of=copy_of) for doctype, copy_of, roles in _TAX_IDS),
	*(_rule(doctype, field, BANK, (ACCOUNTS,), copy_of=copy_of) for doctype, field, copy_of in _BANK_DATA),
	*(_rule("Employee", field, BANK, (HR,)) for field in _EMPLOYEE_BANK),
	*(_rule("Employee", field, IDENTITY, (HR,)) for field in _EMPLOYEE_IDENTITY),
	*(_rule("Employee", field, HEALTH, (), sensitivity="Special Category") for field in _EMPLOYEE_HEALTH),
	_rule("Contract", "", CONTRACT, ()),
)
