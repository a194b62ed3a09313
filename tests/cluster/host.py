"""What a cluster needs of the machine: a network namespace with the pods' bridge, and machine-wide settings kept safe.

kubelet changes some kernel settings for the whole machine. Their values from before the first cluster are kept under
/run and written back when the last cluster ends; /run, because they live no longer than the machine's boot either.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from cluster.cgroups import ClusterCgroup
from cluster.command import run, succeeds
from cluster.config import Config
from cluster.console import Console
from cluster.errors import PreconditionError
from cluster.lock import exclusive

BRIDGE = "cni0"
NODE_ADDRESS = "10.88.0.1"
POD_NETWORK = "10.88.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"

KERNEL_SETTINGS = Path("/proc/sys")
CLAIMS = Path("/run/chaffinch-clusters")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
SAVED = "sysctls.json"
NAMESPACE_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    # else REJECT for a Service without endpoints looks like a timeout
    "net.ipv4.conf.all.send_redirects=0",
    f"net.ipv4.conf.{BRIDGE}.send_redirects=0",
    # pod-to-pod traffic over the bridge shall pass the rules of kube-proxy and of the network policies
    "net.bridge.bridge-nf-call-iptables=1",
)


def claim(config: Config, console: Console) -> None:
    """Note that this name is ours on this machine, and keep the kernel settings if we are the first cluster."""
    with exclusive(CLAIMS / "lock", console):
        check_owner(config)
        if not (CLAIMS / SAVED).exists():
            values = {name: (KERNEL_SETTINGS / name).read_text().strip() for name in SYSCTLS}
            (CLAIMS / SAVED).write_text(json.dumps({"boot": BOOT_ID.read_text(), "values": values}))
        _claim_file(config).write_text(str(config.root))


def check_owner(config: Config) -> None:
    """Refuse to touch a cluster of the same name that runs from another cache folder."""
    _forget_earlier_boot()
    claimed = _claim_file(config)
    if claimed.exists() and claimed.read_text() != str(config.root):
        raise PreconditionError(
            f"a cluster named {config.name} runs from {claimed.read_text()}",
            f"set CHAFFINCH_CLUSTER to another name, or CHAFFINCH_CACHE to the folder it runs from ({claimed})",
        )


def release(config: Config, console: Console) -> None:
    """Give the name free; the last cluster restores the kernel settings and removes the folder's content."""
    if not CLAIMS.is_dir():
        return
    with exclusive(CLAIMS / "lock", console):
        _claim_file(config).unlink(missing_ok=True)
        if any(CLAIMS.glob("*.claim")):
            return
        saved = CLAIMS / SAVED
        if saved.exists():
            for name, value in json.loads(saved.read_text())["values"].items():
                (KERNEL_SETTINGS / name).write_text(value)
            saved.unlink()


def _claim_file(config: Config) -> Path:
    return CLAIMS / f"{config.name}.claim"


def _forget_earlier_boot() -> None:
    saved = CLAIMS / SAVED
    if saved.exists() and json.loads(saved.read_text())["boot"] != BOOT_ID.read_text():
        saved.unlink()
        for claimed in CLAIMS.glob("*.claim"):
            claimed.unlink()


def processes_inside(config: Config) -> bool:
    """Whether components run, all of them in the network namespace that now bears the cluster's name."""
    processes = ClusterCgroup(config.cgroup).own_processes()
    networks = {_inode(Path(f"/proc/{number}/ns/net")) for number in processes} - {None}  # None: it has just ended
    return bool(networks) and networks == {_inode(config.network_namespace)}


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def create_network(config: Config) -> None:
    """Make the namespace and the bridge, or what is missing of them after an interrupted earlier start."""
    inside = list(config.command_prefix)
    if not succeeds([*inside, "true"]):
        remove_network(config)
        run(["ip", "netns", "add", config.name])
    if succeeds([*inside, "ip", "route", "get", "1.1.1.1"]):  # the last of the settings below
        return
    run([*inside, "ip", "link", "set", "lo", "up"])
    if not succeeds([*inside, "ip", "link", "show", BRIDGE]):
        run([*inside, "ip", "link", "add", BRIDGE, "type", "bridge"])
    run([*inside, "ip", "addr", "replace", f"{NODE_ADDRESS}/24", "dev", BRIDGE])
    run([*inside, "ip", "link", "set", BRIDGE, "up"])
    run([*inside, "sysctl", "-qw", *NAMESPACE_SYSCTLS])
    # what the node itself sends to Services needs a route before kube-proxy's rules see it
    run([*inside, "ip", "route", "replace", "default", "dev", BRIDGE])


def remove_network(config: Config) -> None:
    """Remove the namespace; a mount point without a namespace, as a reboot leaves it, too."""
    if not succeeds(["ip", "netns", "del", config.name]):
        with suppress(OSError):
            config.network_namespace.unlink(missing_ok=True)
