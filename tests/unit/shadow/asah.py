"""Outcome and ranks of three scores of 113 patients with aneurysmal subarachnoid haemorrhage.

Turck et al. 2010, Intensive Care Medicine 36:107. By outcome and WFNS grade: the ranks of S100 beta and of NDKA among
their distinct values, one pair a patient; areas and their covariance depend on ranks alone. The study's measurements
are not here. Published values of a paired DeLong test (areas, variances, covariance, Z, p) exist for this study and
hardly any other, so its ranks are what an independent implementation can be held against; every other property of the
areas is tested on made-up scores.
"""

import re

import numpy as np

from chaffinch_shadow.analysis.rows import Bits, Floats

PATIENTS = """
good 1: 2/42 2/59 2/67 2/80 3/20 3/106 4/19 4/53 5/10 5/13 5/21 5/54 6/3 6/16 6/43 6/57 7/12 7/22 7/75 7/104 8/23
  8/85 8/95 8/102 9/18 9/31 11/1 11/108 12/27 12/63 12/84 13/92 14/65 16/76 17/62 37/68 39/15
good 2: 2/79 5/47 6/30 6/86 7/34 7/58 8/9 8/83 8/96 9/11 9/60 11/64 12/91 13/26 13/39 13/94 14/45 15/56 17/29 32/74
good 3: 3/35 5/51 27/81
good 4: 14/36 15/71 24/30 26/46 28/4 30/44 34/101 36/40
good 5: 20/37 35/33 36/8 39/14
poor 1: 5/100 6/107
poor 2: 5/87 5/97 7/70 7/98 8/33 8/61 9/88 12/99 21/25 25/48 31/38 42/52
poor 3: 11/82
poor 4: 11/6 14/66 19/93 22/76 23/89 37/90 44/24 49/17
poor 5: 1/55 10/78 18/7 26/73 27/105 29/72 33/5 33/77 38/49 40/2 41/32 43/63 44/28 45/50 46/41 47/103 48/69 50/109
"""


def asah() -> tuple[Bits, dict[str, Floats]]:
    """Return who had a poor outcome, and the scores by name."""
    poor, scores = [], []
    for outcome, grade, ranks in re.findall(r"(good|poor) (\d): ([\d/\s]+)", PATIENTS):
        for pair in ranks.split():
            poor.append(outcome == "poor")
            scores.append([float(grade), *map(float, pair.split("/"))])
    columns = np.array(scores).T
    return np.array(poor), dict(zip(("wfns", "s100b", "ndka"), columns, strict=True))
