"""What is known when something went wrong: the operator's log, its explanation, the objects. Never fails itself."""

import sys
from collections.abc import Callable, Iterator

from demo.stage import OPERATOR, OPERATOR_NAMESPACE
from support import sample
from support.kubectl import Kubectl, KubectlError

_TAIL = 40
_SECONDS = 20.0


def findings(kubectl: Kubectl, app: sample.App) -> Iterator[tuple[str, str]]:
    """Titles and texts."""
    explain = (sys.executable, "-m", "chaffinch_operator.cli", "explain", app.name, f"--namespace={app.namespace}")
    asked: tuple[tuple[str, Callable[[], str]], ...] = (
        (f"kubectl chaffinch explain {app.name} -n {app.namespace}", lambda: kubectl.plugin(explain, seconds=_SECONDS)),
        (
            f"kubectl get all -n {app.namespace}",
            lambda: kubectl(
                "get",
                f"deployments,replicasets,pods,services,httproutes,{sample.ROLLOUTS}",
                f"--namespace={app.namespace}",
                "--output=wide",
                seconds=_SECONDS,
            ),
        ),
        (
            f"kubectl logs -n {OPERATOR_NAMESPACE} {OPERATOR}",
            lambda: kubectl("logs", f"--namespace={OPERATOR_NAMESPACE}", OPERATOR, f"--tail={_TAIL}", seconds=_SECONDS),
        ),
    )
    for title, ask in asked:
        try:
            yield title, ask()
        except KubectlError as error:
            yield title, str(error)
