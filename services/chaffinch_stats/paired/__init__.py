"""Paired statistics: two versions judged on the same requests. Pure functions of integer counts, no numerics packages.

`cells` holds the counts; `mcnemar`, `difference`, `metrics`, `auc`, `square` and `agreement` answer questions about
them; `sequential` answers at any time; `chi_square` is for arms that saw different requests; `sizing` plans ahead.
"""

from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.cells import Cells, Pairs
from chaffinch_stats.paired.formulas import Metric
from chaffinch_stats.paired.metrics import Estimate

__all__ = ["Cells", "Estimate", "Metric", "NotAvailable", "Pairs"]
