"""The Secret that a rollout names for its metrics store: read for every pass, and every way it can be wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chaffinch_operator.errors import Refused, Unavailable
from chaffinch_operator.ports.credentials import Credentials
from chaffinch_operator.resources import SECRETS
from unit.canary.builders import SPEC, merged
from unit.canary.cluster import Shop

HIDDEN = "s3cret"
PROMETHEUS = {
    "address": "https://mimir.example/prometheus",
    "authSecretRef": {"name": "prom"},
    "headers": [{"name": "X-Scope-OrgID", "value": "shop"}],
}
FIELD = "spec.analysis.provider.prometheus.authSecretRef"


def spec(**prometheus: Any) -> dict[str, Any]:
    """A rollout that names a Secret."""
    return merged(SPEC, {"analysis": {"provider": {"prometheus": {**PROMETHEUS, **prometheus}}}})


def keep(shop: Shop, **texts: str) -> None:
    """Write the Secret; tls_crt stands for tls.crt."""
    data = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    shop.cluster.objects[SECRETS.kind, "prom"] = {"metadata": {"name": "prom"}, "data": data}


async def started(body: dict[str, Any] | None = None, **texts: str) -> Shop:
    """A shop with a held candidate."""
    shop = Shop.opened(body or spec())
    if texts:
        keep(shop, **texts)
    await shop.run(3)
    shop.cluster.push("good")
    await shop.run(3)
    return shop


async def test_the_store_is_asked_with_what_the_secret_holds() -> None:
    """And with the headers of the spec."""
    shop = await started(token=HIDDEN)
    assert shop.counters.given_to[0] == (
        "https://mimir.example/prometheus",
        Credentials(f"Bearer {HIDDEN}"),
        {"X-Scope-OrgID": "shop"},
    )
    assert shop.verdict[0] in {"Start", "Shift"}


async def test_a_renewed_secret_is_used_in_the_next_pass() -> None:
    """Without a restart."""
    shop = await started(token="old")
    await shop.run(40)
    keep(shop, token="new")
    await shop.run(40)
    assert shop.counters.given_to[-1][1] == Credentials("Bearer new")


MISSING = f"{FIELD}: there is no Secret shop/prom: create it"
WRONG: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "missing": ({}, spec(), MISSING),
    "contradictory": (
        {"token": HIDDEN, "username": "u", "password": HIDDEN},
        spec(),
        f"{FIELD}: Secret shop/prom has both token and username or password: keep one of the two",
    ),
    "no PEM": ({"ca_crt": HIDDEN}, spec(), f"{FIELD}: Secret shop/prom: ca.crt is no certificate in PEM"),
    "TLS without HTTPS": (
        {"ca_crt": HIDDEN},
        spec(address="http://prometheus:9090"),
        f"{FIELD}: Secret shop/prom has keys for TLS, but the address begins with http://: use https://",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_without_usable_credentials_no_canary_starts(name: str) -> None:
    """The condition names the Secret and the way out, and once it is mended the rollout goes on."""
    texts, body, words = WRONG[name]
    shop = await started(body, **texts)
    assert shop.verdict == ("Wait", "ProviderUnreachable")
    assert shop.status["lastDecision"]["message"].startswith(words)
    keep(shop, token=HIDDEN)
    await shop.run(13)
    assert shop.verdict[0] in {"Start", "Shift"}


async def test_a_missing_right_names_the_role_to_create() -> None:
    """The operator may read no Secret unless its owner lets it."""
    shop = Shop.opened(spec())
    said = 'secrets "prom" is forbidden: User "system:serviceaccount:x:y" cannot get resource "secrets"'
    shop.cluster.unreadable[SECRETS.kind] = Refused(403, "Forbidden", said, "Secret shop/prom")
    await shop.run(3)
    shop.cluster.push("good")
    await shop.run(3)
    message = shop.status["lastDecision"]["message"]
    assert shop.verdict == ("Wait", "ProviderUnreachable")
    assert message.startswith(f"{FIELD}: the operator may not read Secret shop/prom: create a Role in shop that allows")
    assert 'resourceNames ["prom"]' in message
    assert "system:serviceaccount:x:y" in message


async def test_credentials_that_go_in_mid_canary_hold_the_weight() -> None:
    """Nothing is decided; evidence and weight stay, and go on when they are back."""
    shop = await started(token=HIDDEN)
    await shop.run(60)
    weight = shop.route
    del shop.cluster.objects[SECRETS.kind, "prom"]
    await shop.run(60)
    assert shop.verdict[1] == "ProviderUnreachable"
    assert MISSING in shop.status["lastDecision"]["message"]
    assert shop.route == weight
    keep(shop, token=HIDDEN)
    await shop.run(10)
    assert shop.verdict[1] != "ProviderUnreachable"


async def test_an_api_server_that_is_away_is_no_matter_of_credentials() -> None:
    """The pass is tried again, as for any other read."""
    shop = await started(token=HIDDEN)
    shop.cluster.unreadable[SECRETS.kind] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await shop.run(90)


async def test_nobody_is_told_what_the_secret_holds() -> None:
    """Not status, not Events, whatever is wrong."""
    shop = await started(token=HIDDEN)
    shop.counters.away = True
    await shop.run(60)
    for texts in ({"token": f"{HIDDEN} x"}, {"password": HIDDEN}, {"tls_crt": HIDDEN, "tls_key": HIDDEN}):
        keep(shop, **texts)
        await shop.run(20)
        assert shop.verdict[1] == "ProviderUnreachable"
    told = json.dumps([shop.status, shop.cluster.events])
    assert HIDDEN not in told
    assert base64.b64encode(HIDDEN.encode()).decode() not in told
