"""Errors of the shadow service.

ShadowError
└── InputError    a file or an option cannot be used; the message names the place and the way out
"""


class ShadowError(Exception):
    """The root of the tree."""


class InputError(ShadowError):
    """A file or an option that cannot be used."""
