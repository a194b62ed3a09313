"""Tables of the literature that paired statistics are checked with, and builders."""

from fractions import Fraction

from chaffinch_stats.paired import Cells
from chaffinch_stats.paired.cells import Confusion

CRS3_TO_CRS4 = Cells((85, 1, 10, 17, 1853, 902, 104, 34103))
"""ModSecurity's core rule set 3.3.4 (control) and 4 (candidate), both at paranoia level 1, on 37,075 request lines."""

PL1_TO_PL2 = Cells((78, 17, 0, 18, 1091, 866, 0, 35005))
"""Core rule set 4 at paranoia level 1 (control) and 2 (candidate), on the same lines."""

VISION = ((1520, 266, 124, 66), (234, 1512, 432, 78), (117, 362, 1772, 205), (36, 82, 179, 492))
"""Unaided vision of 7,477 women, right eye by left eye (Stuart 1953, Biometrika 40:105)."""

MS_WINNIPEG = ((38, 5, 0, 1), (33, 11, 3, 0), (10, 14, 5, 6), (3, 7, 3, 10))
"""Multiple sclerosis by two neurologists, patients of Winnipeg (Landis and Koch 1977, Biometrics 33:159)."""

MS_NEW_ORLEANS = ((5, 3, 0, 0), (3, 11, 4, 0), (2, 13, 3, 4), (1, 2, 4, 14))
"""The same neurologists, patients of New Orleans."""

TEN_BY_FOURTEEN = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
"""The textbook table of Fleiss' kappa: ten subjects, fourteen raters, five categories."""


def confusion(tp: int, fn: int, tn: int, fp: int) -> Confusion:
    """One version against the labels, in the order of Chicco and Jurman."""
    return Confusion(Fraction(tp), Fraction(fn), Fraction(fp), Fraction(tn))
