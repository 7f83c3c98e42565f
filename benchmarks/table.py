"""Prints the table of `benchmarks/run`, out of what `common.kept` has noted.

It has a row for each figure, and a column for each size of the site. Argument: the file.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(file: Path) -> None:
	sizes: list[int | None] = []
	rows: dict[tuple[str, str], dict[int | None, Any]] = {}
	benchmark, size = "", None
	without_figures: list[str] = []
	for line in file.read_text().splitlines():
		noted = json.loads(line)
		if "benchmark" in noted:
			benchmark, size = noted["benchmark"], noted.get("people")
			if size not in sizes:
				sizes.append(size)
			without_figures.append(benchmark)
		else:
			without_figures = [name for name in without_figures if name != benchmark]
			rows.setdefault((benchmark, noted["what"]), {})[size] = noted
	heads = ["figure" if size is None else f"{size:,} people" for size in sizes]
	print(f"\n{'':<20}{'':<64}{''.join(f'{head:>18}' for head in heads)}  {'limit':>14}")
	shown = ""
	for (name, what), found in rows.items():
		cells = "".join(f"{cell(found.get(size)):>18}" for size in sizes)
		one = next(iter(found.values()))
		limit = f"{'at least' if one['least'] else 'at most'} {number(one['limit'])}"
		print(f"{'' if name == shown else name:<20}{what:<64}{cells}  {limit:>14}")
		shown = name
	for name in dict.fromkeys(without_figures):
		print(f"{name:<20}ended with an error, which stands above")


def cell(noted: Any) -> str:
	if not noted:
		return "-"
	return number(noted["figure"]) if noted["kept"] else f"MISSED {number(noted['figure'])}"


def number(value: float) -> str:
	return f"{value:,.0f}" if value >= 100 else f"{value:,.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
	main(Path(sys.argv[1]))
