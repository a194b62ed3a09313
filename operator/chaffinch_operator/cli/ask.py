"""Actions: write the wish to the annotation, wait for the operator's answer, tell it."""

from chaffinch_operator.canary.status import ActionStatus
from chaffinch_operator.cli.documents import action_document
from chaffinch_operator.cli.failures import FAILED, OK
from chaffinch_operator.cli.hints import OPERATOR_PODS
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from chaffinch_operator.cli.session import Session
from chaffinch_operator.cli.world import FIELD_MANAGER, Gateway
from chaffinch_operator.names import ANNOTATION_ACTION
from chaffinch_operator.resources import CANARYROLLOUTS

_EVERY_SECONDS = 0.3


async def ask(session: Session, name: str, verb: str, timeout_seconds: float) -> int:
    """Ask the operator for one action; 0 when it accepted."""
    async with session.cluster() as gateway:
        rollout = await session.find(gateway, name)
        request = f"{verb}@{session.world.token()}"
        wish = {"metadata": {"annotations": {ANNOTATION_ACTION: request}}}
        await gateway.patch(CANARYROLLOUTS, name, session.namespace, wish, manager=FIELD_MANAGER)
        answer = await _answer(session, gateway, name, request, timeout_seconds)
    return _tell(session, rollout, verb, request, answer, timeout_seconds)


async def _answer(session: Session, gateway: Gateway, name: str, request: str, seconds: float) -> ActionStatus | None:
    begun = session.world.now()
    while True:
        obj = await gateway.get(CANARYROLLOUTS, name, session.namespace)
        last = rollout_of(obj).status.last_action if obj else None
        if last is not None and last.token == request:
            return last
        if (session.world.now() - begun).total_seconds() >= seconds:
            return None
        await session.world.sleep(_EVERY_SECONDS)


def _tell(
    session: Session, rollout: Rollout, verb: str, request: str, answer: ActionStatus | None, seconds: float
) -> int:
    result = "unanswered" if answer is None else "accepted" if answer.accepted else "refused"
    message = answer.message if answer else f"no answer from the operator in {seconds:g} s"
    if session.wants_data:
        session.print_data(action_document(rollout, verb, request, result, message, answer.at if answer else ""))
    elif result == "accepted":
        session.say(f"{rollout.key}: {verb} accepted. {message}".rstrip())
    if answer is None:
        session.warn(f"error: {rollout.key}: {message}; the request stands and is carried out once it is back")
        session.warn(f"hint: is it running? {OPERATOR_PODS}")
        session.warn(
            f"hint: to withdraw: kubectl annotate canaryrollout {rollout.name}{session.where} {ANNOTATION_ACTION}-"
        )
    elif result == "refused":
        session.warn(f"error: {rollout.key}: {verb} refused. {message}".rstrip())
        session.warn(f"hint: what is going on: kubectl chaffinch status {rollout.name}{session.where}")
    return OK if result == "accepted" else FAILED
