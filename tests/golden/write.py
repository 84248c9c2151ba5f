"""Write what no change of layout may change: the names of all recorded runs, and the verdicts as they are printed.

`python tests/golden/write.py` wrote `names.txt` and `verdicts.txt` at commit a47c44ad7adc.
"""

from __future__ import annotations

from pathlib import Path

from kdlib.report.claims.answers import columns
from kdlib.report.words import interval
from kdlib.study import records

HERE = Path(__file__).parent
STUDY = "digits"


def names() -> list[str]:
    """Return the names of the runs that records hold."""
    return sorted(records.frame().index)


def verdicts() -> list[str]:
    """Return a line a claim and member of the study's column: verdict, n, effect and interval."""
    lines = []
    for column in columns(STUDY):
        for answer in column.answers:
            lines.append(f"{answer.claim.id} {answer.verdict}")
            for one in answer.judged:
                effect = answer.measured[one.member]
                said = f"n = {effect.n}, {interval(effect, answer.claim.unit)}" if effect else "-"
                lines.append(f"  {one.member}: {one.verdict}, {said}")
    return lines


if __name__ == "__main__":
    (HERE / "names.txt").write_text("\n".join(names()) + "\n")
    (HERE / "verdicts.txt").write_text("\n".join(verdicts()) + "\n")
