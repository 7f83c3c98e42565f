"""Prints the table of `benchmarks/run`, out of what `common.kept` has noted. Argument: the file."""

import json
import sys
from pathlib import Path


def main(file: Path) -> None:
	print(f"\n{'':<20}{'':<72}{'figure':>10}  {'limit':>14}")
	name = ""
	for line in file.read_text().splitlines():
		row = json.loads(line)
		if "benchmark" in row:
			name = row["benchmark"]
			continue
		limit = f"{'at least' if row['least'] else 'at most'} {number(row['limit'])}"
		verdict = "" if row["kept"] else "  MISSED"
		print(f"{name:<20}{row['what']:<72}{number(row['figure']):>10}  {limit:>14}{verdict}")
		name = ""


def number(value: float) -> str:
	return f"{value:,.0f}" if value >= 100 else f"{value:,.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
	main(Path(sys.argv[1]))
