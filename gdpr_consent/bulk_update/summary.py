"""Counts of a Consent Bulk Update: per rule and outcome, per reason, and the database before and after."""

from collections import Counter
from typing import Any

from gdpr_consent.bulk_update import items
from gdpr_consent.bulk_update.words import Why

NOTHING = "Nothing"  # on record
NOT_LOOKED_AT = (Why.NO_ADDRESS, Why.SAME_ADDRESS, Why.NO_DATE)


def of(bulk_update: str) -> dict[str, Any]:
	"""Count the items of an update.

	Returns:
		`plans`, `results`: how many of each; `rules`: the same by rule; `why`: how many for each reason;
		`chart`: `labels`, and for each how many records stood there before, and do after, by the plan or,
		once it has run, in fact.
	"""
	counted = items.counts(bulk_update)
	plans, results, why = Counter(), Counter(), Counter()
	rules: dict[int, dict[str, Counter]] = {}
	before, after = Counter(), Counter()
	for row in counted:
		count = row["count"]
		plans[row["plan"]] += count
		of_rule = rules.setdefault(row["rule"], {"plans": Counter(), "results": Counter()})
		of_rule["plans"][row["plan"]] += count
		if row["result"]:
			results[row["result"]] += count
			of_rule["results"][row["result"]] += count
		if row["why"]:
			why[row["why"], row["plan"], row["result"] or ""] += count
		if row["why"] in NOT_LOOKED_AT:
			continue
		changes = row["plan"] == "Change" and row["result"] in ("", None, "Done", "Not Reverted")
		before[row["before"] or NOTHING] += count
		after[(row["after"] if changes else row["before"]) or NOTHING] += count
	labels = sorted({*before, *after}, key=lambda label: (label != NOTHING, label))
	return {
		"plans": plans,
		"results": results,
		"rules": [{"rule": number, **counts} for number, counts in sorted(rules.items())],
		"why": [
			{"why": reason, "plan": plan, "result": result, "count": count}
			for (reason, plan, result), count in why.most_common()
		],
		"chart": {
			"labels": labels,
			"before": [before[label] for label in labels],
			"after": [after[label] for label in labels],
		},
	}
