"""Argo CD's Lua sandbox: Lua 5.1 with base and table, no string, math, os or io, as in its util/lua."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lupa.lua51 import LuaRuntime, lua_type

SCRIPTS = Path(__file__).parents[3] / "manifests/argocd/chaffinch.dev/CanaryRollout"
_SANDBOX = """
local keep = { _G = true, table = true, _VERSION = true }
for name, value in pairs(_G) do
  if type(value) == "table" and not keep[name] then _G[name] = nil end
end
python = nil
"""

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def _to_lua(lua: Any, value: object) -> object:
    if isinstance(value, Mapping):
        return lua.table_from({key: _to_lua(lua, item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return lua.table_from([_to_lua(lua, item) for item in value])
    return value


def _to_python(value: Any) -> Any:
    if lua_type(value) == "table":
        return {key: _to_python(item) for key, item in value.items()}
    return value


@pytest.fixture
def run() -> Run:
    """Run a script of the kind's folder on an object and return its table."""

    def script(name: str, obj: Mapping[str, Any]) -> dict[str, Any]:
        lua = LuaRuntime(unpack_returned_tuples=True)
        lua.execute("debug.setmetatable('', nil)")
        lua.execute(_SANDBOX)
        lua.globals()["obj"] = _to_lua(lua, obj)
        result: dict[str, Any] = _to_python(lua.execute((SCRIPTS / name).read_text()))
        return result

    return script
