"""Objects to YAML text: the same bytes for the same objects, lines that people can read. Pure."""

from typing import Any

import yaml

HEADER = "# Generated from code by `python -m chaffinch_operator.crdgen`; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """No anchors, and text of several lines as a literal block."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class' signature
        """Write repeated values again instead of an anchor."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def plain_yaml(item: dict[str, Any]) -> str:
    """Return one object as YAML, keys in the order given."""
    return yaml.dump(item, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def yaml_text(*objects: dict[str, Any]) -> str:
    """Return the objects as one YAML file with the header that says it is generated."""
    return HEADER + "---\n".join(plain_yaml(item) for item in objects)
