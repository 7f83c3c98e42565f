// On the form of a request: the package of an Access or Portability request, from making it until the person has
// it; the notice of an Information request; the reviews of a Human Review request.
import { escape } from "./words";

const LOOK_AGAIN = 1500; // milliseconds; there may be no realtime connection that tells when it is done
const DONE = 100;

export const call = (method, args) =>
	frappe
		.call({ method: `gdpr_consent.rights.api.${method}`, type: "POST", args, freeze: true })
		.then((r) => r.message);

// --- package ------------------------------------------------------------------------------------------------

export async function show_package(frm) {
	const { docname } = frm;
	const status = await frappe.xcall("gdpr_consent.rights.api.package_status", { request: docname }, "POST");
	if (frm.docname !== docname) return; // the user went on to another one
	const is_open = frm.doc.status === "In Progress";
	if (is_working(status)) {
		area(frm).html(progress_html(status.progress));
		look_again(frm, docname);
		return;
	}
	if (is_open || status.is_there) area(frm).html(package_html(status));
	if (is_open) {
		const label = status.is_there ? __("Prepare Again") : __("Prepare Package");
		add_button(frm, label, () => prepare(frm), !status.is_there);
	}
	if (status.is_there) {
		if (status.addresses.length) {
			add_button(frm, __("Send Link"), () => send_link(frm, status), !status.link_sent);
		}
		add_button(frm, __("Download"), () => download(frm));
	}
}

const is_working = ({ progress }) => progress > 0 && progress < DONE;

function add_button(frm, label, act, is_primary) {
	const button = frm.add_custom_button(label, act);
	if (!is_primary) return;
	// What this right asks for comes before the free answer that all have.
	frm.page.inner_toolbar.find(".btn-primary").removeClass("btn-primary").addClass("btn-default");
	button?.removeClass("btn-default").addClass("btn-primary");
}

function area(frm) {
	frm.layout.wrapper.find(".consent-package").closest(".form-dashboard-section").remove();
	return $('<div class="consent-package"></div>').appendTo(frm.dashboard.add_section("", __("Package")));
}

async function prepare(frm) {
	await call("prepare_package", { request: frm.docname });
	frm.reload_doc();
}

function look_again(frm, docname) {
	window.setTimeout(async () => {
		if (frm.docname !== docname || !frm.wrapper || !$(frm.wrapper).is(":visible")) return;
		const status = await frappe.xcall(
			"gdpr_consent.rights.api.package_status",
			{ request: docname },
			"POST",
		);
		if (frm.docname !== docname) return;
		if (!is_working(status)) {
			if (!status.is_there) frappe.msgprint(__("The package couldn't be made. Error Log says why."));
			frm.reload_doc();
			return;
		}
		$(frm.wrapper).find(".consent-package").html(progress_html(status.progress));
		look_again(frm, docname);
	}, LOOK_AGAIN);
}

function progress_html(progress) {
	return `<p>${__("The package is being made.")}</p>
		<div class="progress" role="progressbar" aria-valuenow="${progress}" aria-valuemin="0" aria-valuemax="100">
			<div class="progress-bar" style="width: ${progress}%"></div>
		</div>`;
}

function package_html(status) {
	if (!status.is_there) {
		const taken = status.downloaded_on
			? __("The person downloaded it on {0}. It is deleted here.", [when(status.downloaded_on)])
			: __("There is no package yet. Making it takes a minute at most, for most people.");
		return `<p>${taken}</p>`;
	}
	const rows = Object.entries(status.rows)
		.map(([doctype, count]) => `<tr><td>${escape(title(doctype))}</td><td>${count}</td></tr>`)
		.join("");
	const left_out = status.left_out.map((text) => `<li>${escape(text)}</li>`).join("");
	return `<p>${escape(state_text(status))}</p>
		<details>
			<summary>${__("What is inside")}</summary>
			<table class="table table-sm" style="max-width: 32rem">${rows}</table>
		</details>
		${left_out ? `<ul>${left_out}</ul>` : ""}`;
}

const title = (doctype) =>
	doctype
		.split(": ")
		.map((one) => __(one))
		.join(": ");

const when = (moment) => escape(frappe.datetime.str_to_user(moment));

function state_text({ link_sent, expires_on }) {
	const until = frappe.datetime.str_to_user(expires_on);
	return link_sent
		? __("The link was sent. It works once, until {0}.", [until])
		: __("The package is ready. It is deleted on {0}.", [until]);
}

function send_link(frm, { addresses }) {
	const send = async (address) => {
		await call("send_package_link", { request: frm.docname, address });
		frappe.show_alert({ message: __("The link is on its way."), indicator: "green" });
		frm.reload_doc();
	};
	frappe.prompt(
		{
			fieldtype: "Select",
			fieldname: "address",
			label: __("E-mail Address"),
			options: addresses,
			default: addresses[0],
			reqd: 1,
			description: __("Addresses on the person's records. The link works once, for 72 hours."),
		},
		({ address }) => send(address),
		__("Send Link"),
		__("Send"),
	);
}

function download(frm) {
	window.open_url_post("/api/method/gdpr_consent.rights.api.download_package", { request: frm.docname });
}

// --- information, human review ------------------------------------------------------------------------------

export function show_information(frm) {
	if (!["Received", "In Progress"].includes(frm.doc.status) || !frm.doc.email) return;
	add_button(frm, __("Send Notice"), async () => {
		await call("answer_information", { request: frm.docname });
		frm.reload_doc();
	});
}

export async function show_reviews(frm) {
	if (!["Received", "In Progress"].includes(frm.doc.status)) return;
	const { docname } = frm;
	const reviews = await frappe.db.get_list("Automated Decision Review", {
		fields: ["name", "decision", "ref_name", "value", "status", "result"],
		filters: { request: docname },
		limit: 0,
	});
	if (frm.docname !== docname) return;
	if (reviews.length) reviews_area(frm).html(reviews_html(reviews));
	const add = (label, method, is_primary) =>
		add_button(
			frm,
			label,
			async () => {
				await call(method, { request: docname });
				frm.reload_doc();
			},
			is_primary,
		);
	if (!reviews.length) add(__("Open Reviews"), "open_reviews", true);
	const are_done = reviews.every(({ status }) => status === "Reviewed");
	if (frm.doc.status === "In Progress" && are_done) {
		add(__("Answer with Results"), "answer_human_review", Boolean(reviews.length));
	}
}

function reviews_area(frm) {
	frm.layout.wrapper.find(".consent-reviews").closest(".form-dashboard-section").remove();
	return $('<div class="consent-reviews"></div>').appendTo(frm.dashboard.add_section("", __("Reviews")));
}

function reviews_html(reviews) {
	const rows = reviews.map(
		({ name, decision, ref_name, value, status, result }) =>
			`<tr>
				<td><a href="/app/automated-decision-review/${encodeURIComponent(name)}">${escape(__(decision))}</a></td>
				<td>${escape(ref_name)}</td><td>${escape(value)}</td><td>${escape(__(result || status))}</td>
			</tr>`,
	);
	const [what, record] = [__("Automated Decision"), __("Record")];
	return `<table class="table table-sm"><thead><tr>
		<th>${what}</th><th>${record}</th><th>${__("Value")}</th><th>${__("Result")}</th>
		</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}
