"""The fourteen claims of the two papers as pre-stated tests, a file each; measures fixed before any study ran.

`rules` says how effects become verdicts; `answers` asks every claim of every study; `sentences` says the answers.
"""

from kdlib.report.claims import c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14

CLAIMS = tuple(one.CLAIM for one in (c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14))
