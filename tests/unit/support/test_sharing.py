"""Which tests run in one process when several share the work."""

from support.sharing import share_of


def test_all_tests_on_the_cluster_are_one_share() -> None:
    """They count on having it to themselves."""
    assert share_of("tests/e2e/test_kill.py::test_a") == share_of("tests/e2e/test_plan.py::test_b[1]")


def test_other_tests_are_shared_out_by_file() -> None:
    """A module's fixtures are made once."""
    one = share_of("tests/integration/core/test_leader.py::test_a")
    assert one == share_of("tests/integration/core/test_leader.py::TestMany::test_b[x::y]")
    assert one != share_of("tests/integration/core/test_loop.py::test_a")
