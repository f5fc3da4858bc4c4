# SPDX-License-Identifier: Apache-2.0
"""What of a device's own words may be shown to people, and how much of it.

Takes out secrets, which devices and tools repeat in their errors, control
characters, and all but the beginning. Pure.
"""

import base64
import collections.abc
import json
from urllib import parse

MOST_CHARS = 200
_MOST_READ = 100_000


class Words:
    """Says what a device said, without the secrets that it was given."""

    def __init__(self, secrets: collections.abc.Iterable[str],
                 user: str = ''):
        """:param user: with it the header of HTTP's basic authentication
        is taken out, too."""
        hidden = set()
        for secret in secrets:
            if secret:
                hidden |= {secret, parse.quote(secret, safe=''),
                           json.dumps(secret)[1:-1],
                           base64.b64encode(secret.encode()).decode(),
                           base64.b64encode(
                               f'{user}:{secret}'.encode()).decode()}
        self._hidden = sorted(hidden, key=lambda one: (-len(one), one))

    def of(self, said: object, most: int = MOST_CHARS) -> str:
        """Return one line, or 'nothing'."""
        text = said.decode(errors='replace') if isinstance(said, bytes) \
            else str(said)
        text = text[:_MOST_READ]
        for secret in self._hidden:
            text = text.replace(secret, '***')
        text = ' '.join(''.join(
            char if char.isprintable() else ' ' for char in text).split())
        if len(text) > most:
            text = f'{text[:most - 3].rstrip()}...'
        return text or 'nothing'
