"""One run of a command: which cluster and namespace, how to print, and finding the objects that were named."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chaffinch_operator.cli.failures import explain, not_found
from chaffinch_operator.cli.flags import Flags, Output
from chaffinch_operator.cli.kubeconfig import Place
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from chaffinch_operator.cli.screen import console_for
from chaffinch_operator.cli.world import Cluster, Gateway, World
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.resources import CANARYROLLOUTS

if TYPE_CHECKING:
    from rich.console import Console


class Session:
    """Flags and the world, and what follows from both."""

    def __init__(self, flags: Flags, world: World) -> None:
        self.flags = flags
        self.world = world

    @cached_property
    def place(self) -> Place:
        """The cluster that is meant."""
        return self.world.find(self.flags.kubeconfig, self.flags.context)

    @property
    def namespace(self) -> str:
        """The namespace that is meant."""
        return self.flags.namespace or self.place.namespace

    @property
    def where(self) -> str:
        """What a further command needs to find the same object."""
        flags = self.flags
        given = (("-n", flags.namespace), ("--context", flags.context), ("--kubeconfig", flags.kubeconfig))
        return "".join(f" {flag} {value}" for flag, value in given if value)

    @property
    def wants_data(self) -> bool:
        """Whether JSON or YAML was asked for."""
        return self.flags.output in (Output.JSON, Output.YAML)

    @asynccontextmanager
    async def cluster(self) -> AsyncIterator[Cluster]:
        """The cluster, for as long as the command needs it; its errors come out in words."""
        place = self.place
        try:
            async with self.world.open(place) as gateway:
                yield gateway
        except ChaffinchError as error:
            raise explain(error, place.cluster) from error

    async def find(self, gateway: Gateway, name: str) -> Rollout:
        """The CanaryRollout of that name; names that look like it when there is none."""
        obj = await gateway.get(CANARYROLLOUTS, name, self.namespace)
        if obj is None:
            others = await gateway.list(CANARYROLLOUTS, self.namespace)
            raise not_found(name, self.namespace, (other["metadata"]["name"] for other in others))
        return rollout_of(obj)

    async def find_all(self, gateway: Gateway, *, everywhere: bool) -> list[Rollout]:
        """All CanaryRollouts of the namespace, or of all."""
        objects = await gateway.list(CANARYROLLOUTS, None if everywhere else self.namespace)
        return [rollout_of(obj) for obj in objects]

    @cached_property
    def console(self) -> "Console":
        """Where results go; NO_COLOR counts when it is not empty (no-color.org)."""
        colour = not self.flags.no_color and not os.environ.get("NO_COLOR")
        return console_for(sys.stdout, colour=colour)

    @property
    def on_terminal(self) -> bool:
        """Whether a person looks on; FORCE_COLOR brings colours to a log, not a screen that is redrawn."""
        return sys.stdout.isatty()

    def print_data(self, document: dict[str, Any]) -> None:
        """A document as JSON, or as YAML where that was asked for."""
        if self.flags.output is Output.YAML:
            import yaml  # noqa: PLC0415 -- rarely needed

            sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        else:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """A part of a result, as it is."""
        sys.stdout.write(text)

    def say(self, text: str) -> None:
        """One line of a result."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        """One line beside the result."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
