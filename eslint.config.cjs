// Names that Frappe's desk gives to every form and page script.
const desk = ["__", "$", "frappe", "cur_frm", "cur_list", "cur_dialog", "gdpr_consent", "locals", "moment"];

module.exports = [
	{
		files: ["**/*.js"],
		languageOptions: {
			sourceType: "script",
			globals: Object.fromEntries(
				[...desk, "console", "document", "window", "Node"].map((name) => [name, "readonly"]),
			),
		},
		rules: {
			"no-undef": "error",
			"no-unused-vars": "error",
			"no-var": "error",
			"prefer-const": "error",
			eqeqeq: "error",
		},
	},
	{ files: ["gdpr_consent/public/js/*.js"], languageOptions: { sourceType: "module" } }, // esbuild bundles them
	{ files: ["**/*.cjs"], languageOptions: { globals: { module: "writable", require: "readonly" } } },
];
