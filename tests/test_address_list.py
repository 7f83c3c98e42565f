"""BU-08: what is wrong with an uploaded list is found, said and left out, and nothing is half stored."""

import codecs

import pytest
from conftest import PROOF, examples
from hypothesis import given, settings
from hypothesis import strategies as st

import frappe

from gdpr_consent.bulk_update import address_list
from gdpr_consent.bulk_update.access import permitted
from gdpr_consent.bulk_update.address_list import AddressListNotReadable, load, read
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.identity import address_key

GOOD = b"email\nann@list.example\n"
RULE = {"target_doctype": "Consent Bulk Update Address", "action": "Withdraw", "source": "Event"}


def make(title: str) -> str:
	rules = [RULE | {"purpose": "Email Marketing"}]
	return frappe.new_doc("Consent Bulk Update", title=title, reason="Cards", rules=rules).insert().name


@pytest.fixture
def bulk_update(site):
	"""Make a Consent Bulk Update that has read one good line before."""
	made = make("Fair")
	read(made, GOOD)
	return made


def stored(bulk_update: str) -> list:
	fields = ["line", "email", "given_on", "source", "evidence"]
	return frappe.get_all(
		"Consent Bulk Update Address", {"bulk_update": bulk_update}, fields, order_by="line", as_list=True
	)


def emails(bulk_update: str) -> list[str]:
	return [row[1] for row in stored(bulk_update)]


# --- what can be read ---------------------------------------------------------------------------------------


def test_bu_08_the_lines_of_a_list_are_stored_in_the_place_of_earlier_ones(bulk_update):
	check = read(
		bulk_update,
		b"Email;Date;Source;Evidence\n"
		b'jo@list.example;2026-01-02;phone;"Said so; on the phone"\n'
		b"\n"
		b"eve@list.example;2026-01-02T10:00:00+01:00;;\n",
	)
	assert check == (2, [], 0, [])
	jo, eve = stored(bulk_update)
	assert jo[:2] == (2, "jo@list.example") and str(jo[2]) == "2026-01-02 00:00:00"
	assert jo[3:] == ("Phone", "Said so; on the phone")
	assert eve[0] == 4 and str(eve[2]) == "2026-01-02 09:00:00"


@pytest.mark.parametrize(
	("mark", "encoding"),
	[
		(b"", "utf-8"),
		(codecs.BOM_UTF8, "utf-8"),
		(codecs.BOM_UTF16_LE, "utf-16-le"),
		(codecs.BOM_UTF16_BE, "utf-16-be"),
	],
)
def test_bu_08_encodings(mark, encoding, bulk_update):
	text = "adres e-mail,dowód\nzoe@list.example,Zażółć 🙂\n"
	assert read(bulk_update, mark + text.encode(encoding)).lines == 1
	assert stored(bulk_update)[0][4] == "Zażółć 🙂"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bu_08_delimiters_and_ends_of_lines(delimiter, end, bulk_update):
	text = end.join([delimiter.join(["name", "EMAIL"]), delimiter.join(["Jo", "jo@list.example"]), ""])
	assert read(bulk_update, text.encode()) == (1, [], 0, ["name"])
	assert emails(bulk_update) == ["jo@list.example"]


@pytest.mark.parametrize(
	"header",
	["E-Mail", "e_mail", " Email Address ", "Address", "Adres", "Adres e-mail", "Adresse", "E-Mail-Adresse"],
)
def test_bu_08_names_of_the_column_of_addresses(header, bulk_update):
	assert read(bulk_update, f"{header}\njo@list.example\n".encode()).lines == 1


def test_bu_08_a_postal_address_beside_the_e_mail_is_an_unknown_column(bulk_update):
	check = read(bulk_update, b"address,email\nMain Street 1,jo@list.example\n")
	assert check.ignored_columns == ["address"] and emails(bulk_update) == ["jo@list.example"]


def test_bu_08_what_nobody_needs_is_named_and_not_stored(bulk_update):
	check = read(bulk_update, b"email,<b>Salary</b>,\njo@list.example,90000,secret\n")
	assert check.ignored_columns == ["&lt;b&gt;Salary&lt;/b&gt;", "Column 3"]
	(row,) = frappe.get_all("Consent Bulk Update Address", {"bulk_update": bulk_update}, ["*"])
	assert "90000" not in str(row) and "secret" not in str(row)


def test_bu_08_a_display_name_is_dropped_and_a_number_is_an_address(bulk_update):
	assert read(bulk_update, b'email\n"Jo <jo@list.example>"\n+48 600 100 200\n').errors == []
	assert emails(bulk_update) == ["jo@list.example", "+48 600 100 200"]


def test_bu_08_sources_may_be_written_in_the_language_of_the_user(bulk_update, monkeypatch):
	monkeypatch.setattr(frappe.local, "lang", "pl")
	assert frappe._("Phone") != "Phone"
	read(bulk_update, f"email,źródło\njo@list.example,{frappe._('Phone')}\n".encode())
	assert stored(bulk_update)[0][3] == "Phone"


def test_bu_08_markup_in_evidence_does_not_reach_the_desk(bulk_update):
	read(bulk_update, b"email,proof\njo@list.example,Mail of <jo@list.example>\n")
	assert stored(bulk_update)[0][4].startswith("Mail of")
	read(bulk_update, b"email,proof\njo@list.example,Card <img src=x onerror=alert(1)>\n")
	assert "onerror" not in stored(bulk_update)[0][4] and "Card" in stored(bulk_update)[0][4]


# --- faults of the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("content", "says"),
	[
		pytest.param(b"", "is empty", id="empty"),
		pytest.param(b"\xef\xbb\xbf", "in the first line", id="byte order mark alone"),
		pytest.param(
			"email\nj\xf6@x.pl\n".encode("latin-1"), "byte 8 of the file, in line 2, is 0xF6", id="latin-1"
		),
		pytest.param(
			b"email\n" + b"a@x.pl\n" * 20_000 + b"\xff", "byte 140007 of the file, in line 20002", id="late"
		),
		pytest.param("email\n".encode("utf-16-le"), "line 1 has a NUL", id="UTF-16 without a mark"),
		pytest.param(codecs.BOM_UTF16_LE + b"e\0m", "0x6D", id="half a character of UTF-16"),
		pytest.param(b"email\na\0@x.pl\n", "line 2 has a NUL", id="NUL"),
		pytest.param(b"PK\x03\x04\x14\x00\x06\x00\x08", "NUL", id="XLSX"),
		pytest.param(b"\nemail\na@x.pl\n", "first line", id="no header"),
		pytest.param(b"a@x.pl\nb@x.pl\n", "first line, <strong>a@x.pl", id="addresses at once"),
		pytest.param(b"name,phone\nJo,1\n", "no column of addresses", id="no column of addresses"),
		pytest.param(
			b"email,e-mail\na@x.pl,b@x.pl\n", "several columns for the same: email, e-mail", id="twice"
		),
		pytest.param(b"email" + b",x" * 100 + b"\n", "101 columns, 100 are allowed", id="columns"),
		pytest.param(b"email,x" + b"x" * 70_000, "first line", id="long header"),
		pytest.param(b"email\n", "a header and no lines", id="no lines"),
		pytest.param(
			b'email,proof\na@x.pl,yes\nb@x.pl,"no end\nc@x.pl,x\n', "the row in line 3", id="open quote"
		),
		pytest.param(b'email,proof\na@x.pl,"so"so\n', "the row in line 2", id="quote within"),
		pytest.param(
			b"email,proof\na@x.pl," + b"x" * 140_000 + b"\n", "the row in line 2", id="endless cell"
		),
		pytest.param(
			b"email\n" + b"x" * (20 * 1024 * 1024), "20971526 bytes, 20971520 are allowed", id="size"
		),
		pytest.param(b"email\n" + b"a@x.pl\n" * 200_001, "more than 200000 lines", id="lines"),
	],
)
def test_bu_08_a_fault_of_the_file_refuses_it_whole(content, says, bulk_update):
	with pytest.raises(AddressListNotReadable, match=says):
		read(bulk_update, content)
	assert emails(bulk_update) == ["ann@list.example"]


def test_bu_08_a_fault_after_many_lines_leaves_none_of_them(bulk_update):
	lines = b"".join(b"a%d@list.example,\n" % number for number in range(5_000))
	with pytest.raises(AddressListNotReadable, match="line 5002"):
		read(bulk_update, b"email,proof\n" + lines + b'b@list.example,"')
	assert emails(bulk_update) == ["ann@list.example"]


# --- faults of a row ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("row", "column", "value", "says"),
	[
		pytest.param("nobody,,,", "email", "nobody", "isn't an address", id="no address"),
		pytest.param("a@localhost,,,", "email", "a@localhost", "isn't an address", id="no dot"),
		pytest.param("a@x.pl b@x.pl,,,", "email", "a@x.pl b@x.pl", "isn't an address", id="two"),
		pytest.param(",2026-01-01,,", "email", "", "isn't an address", id="missing"),
		pytest.param("<i>x</i>,,,", "email", "&lt;i&gt;x&lt;/i&gt;", "isn't an address", id="markup"),
		pytest.param(f"{'a' * 255}@x.pl,,,", "email", "a" * 59 + "…", "longer than 254", id="long address"),
		pytest.param("a@x.pl\x07,,,", "email", "a@x.pl", "control characters", id="control"),
		pytest.param('"a@x.pl\nb@x.pl",,,', "email", "a@x.pl b@x.pl", "control characters", id="two lines"),
		pytest.param("=1+1,,,", "email", "=1+1", "as a formula", id="equals"),
		pytest.param("+tag@x.pl,,,", "email", "+tag@x.pl", "as a formula", id="plus"),
		pytest.param("-cmd@x.pl,,,", "email", "-cmd@x.pl", "as a formula", id="minus"),
		pytest.param("@sum@x.pl,,,", "email", "@sum@x.pl", "as a formula", id="at"),
		pytest.param('"\ta@x.pl",,,', "email", "a@x.pl", "as a formula", id="tab"),
		pytest.param('"\ra@x.pl",,,', "email", "a@x.pl", "as a formula", id="carriage return"),
		pytest.param("\uff1d1+1@x.pl,,,", "email", "\uff1d1+1@x.pl", "as a formula", id="full-width"),
		pytest.param("a@x.pl,,,=HYPERLINK(1)", "proof", "=HYPERLINK(1)", "as a formula", id="evidence"),
		pytest.param('a@x.pl,,," @x"', "proof", "@x", "as a formula", id="after a blank"),
		pytest.param(
			f"a@x.pl,,,{'x' * 1001}", "proof", "x" * 59 + "…", "longer than 1000", id="long evidence"
		),
		pytest.param("a@x.pl,,,so\x9fso", "proof", "so so", "control characters", id="C1 control"),
		pytest.param("a@x.pl,01.02.2026,,", "date", "01.02.2026", "isn't a date", id="date"),
		pytest.param("a@x.pl,2026-02-30,,", "date", "2026-02-30", "isn't a date", id="30 February"),
		pytest.param("a@x.pl,2999-01-01,,", "date", "2999-01-01", "in the future", id="future"),
		pytest.param("a@x.pl,0206-03-01,,", "date", "0206-03-01", "before 1970", id="long ago"),
		pytest.param(
			"a@x.pl,,Rumour,", "source", "Rumour", "enabled Consent Source. Use one of", id="source"
		),
		pytest.param("a@x.pl,,", "", "a@x.pl,,", "has 3 cells, the header has 4", id="too few"),
		pytest.param("a@x.pl,,,a,b", "", "a@x.pl,,,a,b", "has 5 cells, the header has 4", id="too many"),
	],
)
def test_bu_08_a_fault_of_a_row_leaves_it_out_and_is_listed(row, column, value, says, bulk_update):
	content = f"email,date,source,proof\nfirst@list.example,,,\n{row}\nlast@list.example,,,\n"
	check = read(bulk_update, content.encode())
	(error,) = check.errors
	assert (check.lines, check.errors_total) == (2, 1)
	assert emails(bulk_update) == ["first@list.example", "last@list.example"]
	assert (error.line, error.column, error.value) == (3, column, value)
	assert says in error.problem


def test_bu_08_of_a_duplicate_the_first_line_counts(bulk_update):
	check = read(
		bulk_update, b"email\nJo@List.example\neve@list.example\n jo@list.example \n<JO@list.example>\n"
	)
	assert emails(bulk_update) == ["Jo@List.example", "eve@list.example"]
	assert [(error.line, "line 2 already" in error.problem) for error in check.errors] == [
		(4, True),
		(5, True),
	]


def test_bu_08_duplicates_are_found_across_all_parts_of_a_long_list(bulk_update):
	lines = [f"a{number}@list.example" for number in range(address_list.AT_ONCE + 1)]
	check = read(bulk_update, "\n".join(["email", *lines, lines[0]]).encode())
	assert (check.lines, check.errors_total) == (len(lines), 1)


def test_bu_08_a_disabled_source_counts_as_none(bulk_update):
	frappe.new_doc("Consent Source", title="Old Shop", enabled=0).insert()
	check = read(bulk_update, b"email,source\njo@list.example,Old Shop\n")
	assert check.lines == 0 and "Old Shop" not in check.errors[0].problem


def test_bu_08_a_thousand_errors_are_listed_and_all_are_counted(bulk_update):
	check = read(bulk_update, b"email\n" + b"nobody\n" * 1_500)
	assert (len(check.errors), check.errors_total, check.lines) == (1_000, 1_500, 0)
	assert emails(bulk_update) == []


def test_bu_08_the_lines_of_other_updates_stay(bulk_update):
	read(make("Other"), b"email\neve@list.example\n")
	assert emails(bulk_update) == ["ann@list.example"]


PIECES = st.sampled_from(
	[
		*(b"email", b"date", b"a@x.pl", b"b@y.de", b"<c@x.pl>", b"2026-01-01", b"Phone", b'"', b",", b";"),
		*(b"\t", b"\n", b"\r", b"\r\n", b"\0", b"=", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc4", b" "),
		"ą@ź.pl".encode(),
	]
)
FILES = st.one_of(
	st.binary(max_size=200),
	st.lists(PIECES, max_size=30).map(b"".join),
	st.lists(PIECES, max_size=30).map(lambda pieces: b"email,date\n" + b"".join(pieces)),
	st.text(max_size=60).map(lambda text: f"email\n{text}@x.pl\n".encode(errors="ignore")),
	st.text(max_size=60).map(lambda text: f"email,proof\na@x.pl,{text}\n".encode(errors="ignore")),
)


@settings(max_examples=examples(6))
@given(content=FILES)
def test_bu_08_any_bytes_are_rows_or_an_error_of_ours(content):
	frappe.db.savepoint("example")
	try:
		made = make("Any")
		read(made, GOOD)
		try:
			check = read(made, content)
		except ConsentError as error:
			assert str(error) and emails(made) == ["ann@list.example"]
		else:
			found = emails(made)
			assert len(found) == check.lines == len({address_key(email) for email in found})
			assert check.lines + check.errors_total > 0
			assert not [email for email in found if email[0] in "=-@\t\r"]
	finally:
		frappe.db.rollback(save_point="example")


# --- the door -----------------------------------------------------------------------------------------------


@pytest.fixture
def attached(bulk_update):
	"""Attach a file to the update, and name both."""

	def attach(content: bytes = GOOD, to: str = bulk_update, **more) -> str:
		values = {"file_name": f"{frappe.generate_hash(length=8)}.csv", "is_private": 1, "content": content}
		values |= {"attached_to_doctype": "Consent Bulk Update", "attached_to_name": to}
		file = frappe.new_doc("File", **values | more).insert(ignore_permissions=True)
		frappe.db.set_value("Consent Bulk Update", bulk_update, "address_list", file.file_url)
		return bulk_update

	return attach


def test_bu_08_the_door_reads_the_attached_file(attached):
	bulk_update = attached("email,Pensja\nj\xf6@list.example,1\nnobody,1\n".encode())
	frappe.db.set_value("Consent Bulk Update", bulk_update, "status", "Previewed")
	answer = load(bulk_update)
	assert (answer["lines"], answer["errors_total"], answer["ignored_columns"]) == (1, 1, ["Pensja"])
	assert answer["errors"][0]["line"] == 3 and set(answer["errors"][0]) == {
		"line",
		"column",
		"value",
		"problem",
	}
	assert emails(bulk_update) == ["jö@list.example"]
	assert frappe.db.get_value("Consent Bulk Update", bulk_update, "status") == "Draft"


def test_bu_08_the_door_guesses_no_code_page(attached):
	with pytest.raises(AddressListNotReadable, match="0xF6"):
		load(attached("email\nj\xf6@list.example\n".encode("latin-1")))


@pytest.mark.parametrize("status", ["Previewing", "Running", "Paused", "Completed", "Reverting", "Reverted"])
def test_bu_07_a_list_is_not_exchanged_under_a_run(status, attached):
	bulk_update = attached(b"email\neve@list.example\n")
	frappe.db.set_value("Consent Bulk Update", bulk_update, "status", status)
	with pytest.raises(AddressListNotReadable, match=status):
		load(bulk_update)
	assert emails(bulk_update) == ["ann@list.example"]


def test_bu_08_an_update_that_somebody_deletes_meanwhile_is_said(attached, monkeypatch):
	bulk_update = attached()

	def permitted_a_moment_ago(name: str, right: str) -> None:
		permitted(name, right)
		frappe.db.delete("Consent Bulk Update", {"name": name})

	monkeypatch.setattr(address_list, "permitted", permitted_a_moment_ago)
	with pytest.raises(AddressListNotReadable, match="deleted"):
		load(bulk_update)


def test_bu_08_the_door_reads_nothing_but_its_own_private_file(attached, bulk_update, web):
	with pytest.raises(AddressListNotReadable, match="missing"):
		load(bulk_update)
	with pytest.raises(AddressListNotReadable, match="isn't attached"):
		load(attached(to=make("Other")))
	with pytest.raises(AddressListNotReadable, match="is public"):
		load(attached(is_private=0))
	for url in (PROOF["evidence"], f"{web.base}/list.csv", "/private/files/../../site_config.json"):
		frappe.db.set_value("Consent Bulk Update", bulk_update, "address_list", url)
		with pytest.raises(AddressListNotReadable, match="isn't attached"):
			load(bulk_update)
	assert emails(bulk_update) == ["ann@list.example"]


def test_bu_08_a_file_that_is_gone_from_the_disk_is_said(attached):
	bulk_update = attached()
	url = frappe.db.get_value("Consent Bulk Update", bulk_update, "address_list")
	frappe.get_doc("File", {"file_url": url}).delete_file_data_content()
	with pytest.raises(AddressListNotReadable, match="gone from the disk"):
		load(bulk_update)


@pytest.mark.parametrize("roles", [(), ("Newsletter Manager",), ("Consent User",)])
def test_bu_05_the_door_is_for_those_who_may_write_this_update(roles, attached, user_with_roles):
	bulk_update = attached()  # the Administrator's, so a Consent User may not
	user_with_roles(*roles)
	with pytest.raises(frappe.PermissionError):
		load(bulk_update)


def test_bu_04_who_brings_the_list_is_one_of_its_makers_and_an_approval_is_over(attached, user_with_roles):
	bulk_update = attached(b"email\neve@list.example\n")
	approved = {"status": "Previewed", "selection_hash": "a" * 64, "approved_by": "ann@office.example"}
	frappe.db.set_value("Consent Bulk Update", bulk_update, approved)
	officer = user_with_roles("Privacy Officer")
	assert load(bulk_update)["lines"] == 1
	made = frappe.get_doc("Consent Bulk Update", bulk_update)
	assert made.edited_by.split() == ["Administrator", officer]
	assert (made.status, made.selection_hash, made.approved_by) == ("Draft", None, None)


def test_bu_08_the_door_is_post_only_and_not_for_guests(web):
	assert web.call("GET", "/api/method/gdpr_consent.bulk_update.address_list.load").status_code == 403
	answer = web.call(
		"POST", "/api/method/gdpr_consent.bulk_update.address_list.load", json={"bulk_update": "x"}
	)
	assert answer.status_code == 403
