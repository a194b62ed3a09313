"""From code to committed files: CRDs, RBAC, the Argo CD fragment and the reference pages.

`python -m chaffinch_operator.crdgen` writes them, `--check` compares. Everything but `files` and `__main__` is pure.
The running operator never imports this package.
"""
