"""What needs nothing of Chaffinch: `python -m support.waf.plain COMMAND`, in the image of the firewall.

record FOLDER COUNT      writes the requests as a file for a replay
blocked COUNT            asks the rules of PARANOIA, one request after another; prints the ids of what they block
send HOST ADDRESS COUNT  sends the requests to a gateway, with their labels; prints how many were answered
ask URL                  prints a page of an API, with TOKEN
"""

import http.client
import json
import os
import sys
import urllib.request
from pathlib import Path

from support.waf.requests import Labelled, requests, write
from support.waf.service import RULES, Firewall


def blocked(asked: list[Labelled]) -> list[str]:
    """Ids of the requests that are refused."""
    firewall = Firewall(int(os.environ["PARANOIA"]), Path(os.environ.get("RULES", RULES)))
    found = []
    for each in asked:
        headers = [*each.headers.items(), ("x-request-id", each.request_id)]
        if firewall.blocks("GET", each.target, headers, b""):
            found.append(each.request_id)
    return found


def send(host: str, address: str, asked: list[Labelled]) -> int:
    """Requests that were answered, by whichever version the gateway asks."""
    client = http.client.HTTPConnection(address, timeout=30)
    for each in asked:
        headers = {**each.headers, "host": host, "x-label": str(int(each.attack))}
        client.request("GET", each.target, headers=headers)
        answer = client.getresponse()
        answer.read()
        if answer.status not in {200, 403}:
            raise RuntimeError(f"{address} answered {answer.status} to {each.request_id}")
    client.close()
    return len(asked)


def ask(url: str) -> str:
    """The body of an answer."""
    question = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})
    with urllib.request.urlopen(question, timeout=60) as answer:
        return str(answer.read().decode())


def main(arguments: list[str]) -> int:
    """Do what is asked; the exit status."""
    files = Path(os.environ["FILES"])
    match arguments:
        case ["record", folder, count]:
            write(Path(folder), requests(files, int(count)))
            said = f"{count} requests"
        case ["blocked", count]:
            said = json.dumps(blocked(requests(files, int(count))))
        case ["send", host, address, count]:
            said = str(send(host, address, requests(files, int(count))))
        case ["ask", url]:
            said = ask(url)
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
