"""Settings come from the environment, and a wrong one is named."""

import pytest

from chaffinch_operator.settings import BadSettingError, Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    settings = Settings.from_env({})
    assert (settings.namespace, settings.lease_name, settings.http_port) == (
        "chaffinch-system",
        "chaffinch-operator",
        8080,
    )
    assert settings.username == "system:serviceaccount:chaffinch-system:chaffinch-operator"


def test_every_variable_is_read() -> None:
    """Each field has its variable."""
    settings = Settings.from_env(
        {
            "POD_NAMESPACE": "ops",
            "POD_NAME": "pod-1",
            "KUBECONFIG": "/k",
            "CHAFFINCH_SERVICE_ACCOUNT": "sa",
            "CHAFFINCH_LEASE_NAME": "l",
            "CHAFFINCH_LEASE_SECONDS": "30",
            "CHAFFINCH_RENEW_SECONDS": "20",
            "CHAFFINCH_RETRY_SECONDS": "0.5",
            "CHAFFINCH_HTTP_HOST": "127.0.0.1",
            "CHAFFINCH_HTTP_PORT": "0",
            "CHAFFINCH_ALERTS_HOST": "127.0.0.2",
            "CHAFFINCH_ALERTS_PORT": "9999",
            "CHAFFINCH_ALERTS_TOKEN_FILE": "/t",
            "CHAFFINCH_ALERTS_CERT_FILE": "/c",
            "CHAFFINCH_ALERTS_KEY_FILE": "/y",
            "CHAFFINCH_ALERTS_CLIENT_CA_FILE": "/a",
            "CHAFFINCH_ALERTMANAGER_URL": "https://alertmanager.example/prefix",
            "CHAFFINCH_ALERTMANAGER_TOKEN_FILE": "/at",
            "CHAFFINCH_ALERTMANAGER_CA_FILE": "/aa",
            "CHAFFINCH_ALERTMANAGER_SECONDS": "90",
            "CHAFFINCH_RESYNC_SECONDS": "60",
            "CHAFFINCH_WATCH_NAMESPACES": "a, b,",
            "CHAFFINCH_LOG_FORMAT": "console",
            "CHAFFINCH_LOG_LEVEL": "DEBUG",
            "CHAFFINCH_CONTEXT": "kind",
        }
    )
    assert settings == Settings(
        namespace="ops",
        service_account="sa",
        identity="pod-1",
        lease_name="l",
        lease_seconds=30,
        renew_seconds=20,
        retry_seconds=0.5,
        http_host="127.0.0.1",
        http_port=0,
        alerts_host="127.0.0.2",
        alerts_port=9999,
        alerts_token_file="/t",
        alerts_cert_file="/c",
        alerts_key_file="/y",
        alerts_client_ca_file="/a",
        alertmanager_url="https://alertmanager.example/prefix",
        alertmanager_token_file="/at",
        alertmanager_ca_file="/aa",
        alertmanager_seconds=90,
        resync_seconds=60,
        watch_namespaces=("a", "b"),
        log_format="console",
        log_level="debug",
        kubeconfig="/k",
        context="kind",
    )
    assert settings.username == "system:serviceaccount:ops:sa"


def test_how_many_passes_run_at_once_can_be_set() -> None:
    """A whole number."""
    assert Settings.from_env({"CHAFFINCH_MAX_CONCURRENT_RECONCILES": "4"}).max_concurrent_reconciles == 4


def test_outside_of_a_cluster_the_user_can_be_named() -> None:
    """The hold lets exactly that user release."""
    assert Settings.from_env({"CHAFFINCH_USERNAME": "admin"}).username == "admin"


def test_two_processes_have_two_identities() -> None:
    """Without a pod name the identity is still unique."""
    assert Settings.from_env({}).identity != Settings.from_env({}).identity


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAFFINCH_LEASE_SECONDS", "soon"),
        ("CHAFFINCH_RETRY_SECONDS", "0"),
        ("CHAFFINCH_RESYNC_SECONDS", "nan"),
        ("CHAFFINCH_RENEW_SECONDS", "inf"),
        ("CHAFFINCH_MAX_CONCURRENT_RECONCILES", "0"),
        ("CHAFFINCH_MAX_CONCURRENT_RECONCILES", "1.5"),
        ("CHAFFINCH_HTTP_PORT", "65536"),
        ("CHAFFINCH_HTTP_PORT", "http"),
        ("CHAFFINCH_ALERTS_PORT", "-1"),
        ("CHAFFINCH_ALERTMANAGER_URL", "alertmanager:9093"),
        ("CHAFFINCH_ALERTMANAGER_SECONDS", "never"),
        ("CHAFFINCH_LOG_FORMAT", "xml"),
        ("CHAFFINCH_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    """The message names the variable and shows its value."""
    with pytest.raises(BadSettingError, match=f'{name}="{value}"'):
        Settings.from_env({name: value})


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("CHAFFINCH_ALERTS_CERT_FILE", "KEY_FILE"),
        ("CHAFFINCH_ALERTS_KEY_FILE", "CERT_FILE"),
        ("CHAFFINCH_ALERTS_CLIENT_CA_FILE", "CERT_FILE"),
    ],
)
def test_what_belongs_together_is_set_together(name: str, missing: str) -> None:
    """A certificate without its key, or an authority without HTTPS, would protect nothing."""
    with pytest.raises(BadSettingError, match=missing):
        Settings.from_env({name: "/file"})


def test_lease_times_must_be_in_order() -> None:
    """A leader has to give up before the others take over."""
    with pytest.raises(BadSettingError, match=r"RENEW_SECONDS.*LEASE_SECONDS"):
        Settings.from_env({"CHAFFINCH_LEASE_SECONDS": "8"})
