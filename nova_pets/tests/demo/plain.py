# SPDX-License-Identifier: Apache-2.0
"""Shows the story as lines, for pipes and CI; no line is cut."""

import sys


class Plain:
    """What a terminal without a live screen sees."""

    is_live = False

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return None

    def step(self, text):
        """Say a small step of the preparation."""
        self._write(f'           {text}')

    def phase(self, text):
        self._write(f'\n== {text}')

    def lines(self, lines):
        for line in lines:
            self._write(f'{line.clock:>9}  {line.who:5}  {line.text}')

    def draw(self, scene):
        """Lines say it all."""

    def _write(self, text):
        self._stream.write(text + '\n')
        self._stream.flush()
