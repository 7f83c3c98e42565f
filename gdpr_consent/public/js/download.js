// Consents as files. By POST, so that no address stands in a URL.
import { api } from "./record";
import { escape } from "./words";

const METHOD = "/api/method/gdpr_consent.api.";
const RECORD_FORMATS = () => [
	{ value: "PDF", label: __("PDF, to read and to print") },
	{ value: "JSON-LD", label: __("JSON-LD, the record (ISO/IEC TS 27560)") },
	{ value: "JSON-LD Receipt", label: __("JSON-LD, a receipt for the person") },
	{ value: "Kantara", label: __("Kantara Consent Receipt 1.1") },
];

/** Ask in which form one consent is to be downloaded, and say what its file can't say. */
export async function download_record(consent) {
	const gaps = await api("record_gaps", { consent });
	ask(RECORD_FORMATS(), gaps, (values) =>
		window.open_url_post(`${METHOD}download_record`, { consent, ...values }),
	);
}

/** The same for everything about a person; `whose` holds email, or party_type and party. */
export function download_history(whose) {
	const formats = RECORD_FORMATS().slice(0, 2);
	ask(formats, [], (values) => window.open_url_post(`${METHOD}download_history`, { ...whose, ...values }));
}

function ask(formats, gaps, download) {
	const dialog = new frappe.ui.Dialog({
		title: __("Download"),
		fields: [
			{
				fieldtype: "Select",
				fieldname: "file_format",
				label: __("File Format"),
				options: formats,
				default: "PDF",
				reqd: 1,
			},
			{
				fieldtype: "Check",
				fieldname: "signed",
				label: __("Sign it with the key of this site"),
				depends_on: "eval:doc.file_format !== 'PDF'",
			},
			{ fieldtype: "HTML", fieldname: "gaps", options: gaps_html(gaps) },
		],
		primary_action_label: __("Download"),
		primary_action({ file_format, signed }) {
			download({ file_format, signed: file_format === "PDF" ? 0 : signed || 0 });
			dialog.hide();
		},
	});
	dialog.show();
}

function gaps_html(gaps) {
	if (!gaps.length) return "";
	const rows = gaps.map(({ what, where }) => `<li><b>${escape(what)}</b>: ${escape(where)}</li>`);
	const intro = __("The file says that these aren't stated. Fill them in, so that it is complete:");
	return `<p class="text-muted mb-1">${intro}</p><ul class="small">${rows.join("")}</ul>`;
}
