"""The kubectl plugin `kubectl chaffinch`: look at rollouts, act on them, clean up after them.

`rollout`, `evidence`, `outcome`, `hints`, `words`, `documents` and `show_*` are pure: they turn an object and a time
into facts, text or JSON. `world` is the only way to a cluster. Nothing here decides about a rollout: an action is a
wish, written to an annotation, that the operator accepts or refuses. `kubernetes` and `kopf` are never imported here.
"""
