"""Which files are generated, and their texts. Reads the Lua and Python sources; writes nothing."""

from collections.abc import Mapping
from pathlib import Path

from chaffinch_operator.crdgen import argocd, rbac_page, reasons_page, reference_page
from chaffinch_operator.crdgen.crd import CANARY_ROLLOUT, CREDITS_LEDGER, KINDS, SHADOW_EVALUATION, Kind, definition
from chaffinch_operator.crdgen.roles import operator_roles, user_roles
from chaffinch_operator.crdgen.text import yaml_text
from chaffinch_operator.names import GROUP


def generated(root: Path) -> dict[str, str]:
    """Return every generated file below the repository's root: path -> text."""
    texts = {
        "manifests/base/rbac.yaml": yaml_text(*operator_roles()),
        "manifests/base/user_roles.yaml": yaml_text(*user_roles()),
        "manifests/argocd/argocd-cm.yaml": yaml_text(
            argocd.config_map({kind.kind: _lua(root, kind) for kind in KINDS})
        ),
        "docs/reference/reasons.md": reasons_page.page(_reasons(root, CANARY_ROLLOUT)),
        "docs/reference/creditsledger-reasons.md": reasons_page.ledger_page(_reasons(root, CREDITS_LEDGER)),
        "docs/reference/shadowevaluation-reasons.md": reasons_page.evaluation_page(_reasons(root, SHADOW_EVALUATION)),
        "docs/reference/rbac.md": rbac_page.page(),
    }
    for kind in KINDS:
        crd = definition(kind)
        texts[f"crds/{GROUP}_{kind.plural}.yaml"] = yaml_text(crd)
        texts[f"docs/reference/{kind.kind.lower()}.md"] = reference_page.page(kind, crd)
    return texts


def _reasons(root: Path, kind: Kind) -> str:
    return (root / f"operator/chaffinch_operator/{kind.slice}/reasons.py").read_text(encoding="utf-8")


def _lua(root: Path, kind: Kind) -> Mapping[str, str]:
    folder = root / "manifests/argocd" / argocd.scripts_folder(kind)
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.lua"))}
