"""Enforces NetworkPolicy (networking.k8s.io/v1) for the bridge CNI with nftables. Run it in the cluster's netns.

netpol.py SERVER CA CERT KEY     polls the API every half second and replaces the table in one transaction on change.
Bridged pod-to-pod traffic passes the forward hook because br_netfilter is on (bridge-nf-call-iptables = 1).
"""

import http.client, json, ssl, subprocess, sys, time

server, ca, cert, key = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
tls.load_cert_chain(cert, key)


def listing(path):
    c = http.client.HTTPSConnection(server, context=tls, timeout=5)
    try:
        c.request("GET", path)
        return json.load(c.getresponse())["items"]
    finally:
        c.close()


def matches(selector, labels):
    for k, v in (selector.get("matchLabels") or {}).items():
        if labels.get(k) != v:
            return False
    for e in selector.get("matchExpressions") or []:
        have, vals = labels.get(e["key"]), e.get("values", [])
        if not {
            "In": have in vals,
            "NotIn": have not in vals,
            "Exists": have is not None,
            "DoesNotExist": have is None,
        }[e["operator"]]:
            return False
    return True


def build(policies, pods, namespaces):
    pods = [
        p
        for p in pods
        if p["status"].get("podIP")
        and not p["spec"].get("hostNetwork")
        and p["status"].get("phase") in ("Running", "Pending")
    ]
    nslabels = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in namespaces}
    labels = lambda p: p["metadata"].get("labels", {})
    ip = lambda p: p["status"]["podIP"]
    quoted = lambda ips: "{ " + ", ".join(sorted(ips)) + " }"

    def peers(peer, ns, side):
        """nft matches (one or none) for a NetworkPolicyPeer."""
        if "ipBlock" in peer:
            m = f"ip {side} {peer['ipBlock']['cidr']}"
            if peer["ipBlock"].get("except"):
                m += f" ip {side} != {quoted(peer['ipBlock']['except'])}"
            return [m]
        nsel, psel = peer.get("namespaceSelector"), peer.get("podSelector") or {}
        ips = [
            ip(p)
            for p in pods
            if matches(psel, labels(p))
            and (
                p["metadata"]["namespace"] == ns
                if nsel is None
                else matches(nsel, nslabels.get(p["metadata"]["namespace"], {}))
            )
        ]
        return [f"ip {side} {quoted(ips)}"] if ips else []

    def named(pod, name, proto):
        return [
            str(q["containerPort"])
            for c in pod["spec"]["containers"]
            for q in c.get("ports", [])
            if q.get("name") == name and q.get("protocol", "TCP") == proto
        ]

    def ports(spec, targets):
        """[(nft match, targets)] for the ports of a rule; named ports are looked up in each destination pod."""
        if not spec:
            return [("", targets)]
        out = []
        for p in spec:
            proto, port = p.get("protocol", "TCP"), p.get("port")
            if port is None:
                out.append((f"meta l4proto {proto.lower()}", targets))
            elif isinstance(port, int):
                out.append(
                    (f"{proto.lower()} dport {port}" + (f"-{p['endPort']}" if p.get("endPort") else ""), targets)
                )
            else:
                for t in targets or []:
                    out += [(f"{proto.lower()} dport {n}", [t]) for n in named(t, port, proto)]
        return out

    chains, isolated = {"ingress": [], "egress": []}, {"ingress": set(), "egress": set()}
    for pol in policies:
        ns, spec = pol["metadata"]["namespace"], pol["spec"]
        chosen = [
            p for p in pods if p["metadata"]["namespace"] == ns and matches(spec.get("podSelector") or {}, labels(p))
        ]
        kinds = spec.get("policyTypes") or ["Ingress"] + (["Egress"] if "egress" in spec else [])
        if not chosen:
            continue
        for kind, me, other, field in (("Ingress", "daddr", "saddr", "from"), ("Egress", "saddr", "daddr", "to")):
            if kind not in kinds:
                continue
            name = kind.lower()
            isolated[name] |= {ip(p) for p in chosen}
            for rule in spec.get(name) or []:
                who = [m for q in rule[field] for m in peers(q, ns, other)] if rule.get(field) else [""]
                for port, targets in ports(rule.get("ports"), chosen if name == "ingress" else None):
                    mine = quoted(ip(p) for p in (targets if name == "ingress" else chosen))
                    chains[name] += [f"    ip {me} {mine} {w} {port} return" for w in who]
    text = ["table ip netpol", "delete table ip netpol", "table ip netpol {"]
    for name, me in (("egress", "saddr"), ("ingress", "daddr")):
        text += [f"  chain {name} {{", *chains[name]]
        if isolated[name]:
            text.append(f"    ip {me} {quoted(isolated[name])} counter drop")
        text.append("  }")
    text += [
        "  chain forward {",
        "    type filter hook forward priority -5; policy accept;",
        "    ct state established,related accept",
        "    jump egress",
        "    jump ingress",
        "  }",
        "  chain input {",
        "    type filter hook input priority -5; policy accept;",
        "    ct state established,related accept",
        "    jump egress",
        "  }",
        "}",
    ]
    return "\n".join(text) + "\n"


last = None
while True:
    try:
        now = build(
            listing("/apis/networking.k8s.io/v1/networkpolicies"),
            listing("/api/v1/pods"),
            listing("/api/v1/namespaces"),
        )
        if now != last:
            subprocess.run(["nft", "-f", "-"], input=now.encode(), check=True)
            last = now
    except (OSError, KeyError, http.client.HTTPException, subprocess.CalledProcessError) as e:
        print("netpol:", e, flush=True)
    time.sleep(0.5)
