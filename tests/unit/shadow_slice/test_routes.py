"""The filter goes into a route, and exactly it comes out again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.children.mirroring import Mirror, mirror_filter
from chaffinch_operator.shadow.routes import adopt, carries, mirrored, release
from unit.shadow_slice.builders import BACKENDS, patched, route

WANTED = mirror_filter(Mirror("waf-rules-mirror", 80, 20))
OTHER = mirror_filter(Mirror("somebody-elses", 80))
HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}
RULES = st.fixed_dictionaries(
    {},
    optional={
        "backendRefs": st.just(BACKENDS),
        "filters": st.lists(st.sampled_from([OTHER, HEADER]), min_size=1, max_size=3),
        "matches": st.just([{"path": {"value": "/"}}]),
    },
)


@given(st.lists(RULES, min_size=1, max_size=4))
def test_what_was_put_in_is_exactly_what_is_taken_out(rules: list[dict[str, Any]]) -> None:
    """Whatever filters the user has, the route is the same afterwards."""
    before = route(*rules)
    patch = adopt(before, WANTED)
    within = patched(before, patch) if patch else before
    assert mirrored(within, WANTED)
    assert carries(within, "waf-rules-mirror") is any("backendRefs" in rule for rule in rules)
    back = release(within, "waf-rules-mirror")
    after = patched(within, back) if back else within
    assert list(after.rules) == list(before.rules)


def test_another_percentage_replaces_the_filter_in_place() -> None:
    """Never two towards the same Service."""
    before = route({"backendRefs": BACKENDS, "filters": [HEADER, mirror_filter(Mirror("waf-rules-mirror", 80, 50))]})
    after = patched(before, adopt(before, WANTED))
    assert after.rules[0]["filters"] == [HEADER, WANTED]


def test_all_requests_need_no_percentage() -> None:
    """As an API server without that field would say it."""
    assert "percent" not in mirror_filter(Mirror("s", 80))["requestMirror"]


def test_nothing_to_do_is_no_patch() -> None:
    """At rest nothing is written."""
    assert adopt(route({"backendRefs": BACKENDS, "filters": [WANTED]}), WANTED) == []
    assert release(route(), "waf-rules-mirror") == []
