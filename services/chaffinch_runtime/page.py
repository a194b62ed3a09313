"""The frame of a report: one HTML page that needs nothing else, no script, no font, no address. Pure."""

from collections.abc import Iterable, Sequence

from chaffinch_runtime.svg import STYLE, text, themed

_SHAPES = """\
:root{color-scheme:light dark}
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1.5rem;font:16px/1.5 system-ui,sans-serif;\
overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 0}
p{margin:.4rem 0}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left}th,td{text-align:left;padding:.25rem .8rem .25rem 0;vertical-align:top}.v{font-weight:600}
svg{display:block;width:100%;height:auto;max-width:720px}.note{border-left:4px solid;padding-left:.8rem}
"""
_COLOURS = """\
body{background:%(bg)s;color:%(fg)s}caption,.note{color:%(muted)s}th,td{border-bottom:1px solid %(grid)s}\
.Fail,.Rollback,.RolledBack,.Reject{color:%(harm)s}.Pass,.Promote,.Promoted{color:%(safe)s}
"""
_PAGE_STYLE = _SHAPES + themed(_COLOURS)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: Iterable[str]) -> str:
    """The page; `body` is HTML, `title` is text."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{text(title)}</title><style>{STYLE}{_PAGE_STYLE}</style></head><body><main>",
            *body,
            "</main></body></html>\n",
        ]
    )


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and what is said of each."""
    found = "".join(f'<tr><th scope="row">{text(k)}</th><td>{text(v)}</td></tr>' for k, v in rows)
    return f'<div class="scroll"><table>{found}</table></div>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose rows begin with their names."""
    columns = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    found = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return f'<div class="scroll"><table><caption>{text(caption)}</caption><tr>{columns}</tr>{found}</table></div>'
