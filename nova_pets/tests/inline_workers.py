# SPDX-License-Identifier: Apache-2.0
"""An engine's workers without threads: each call is done at once."""

import contextlib


class InlineWorkers:
    """Errors come out to whoever submits."""

    def submit(self, key, call, lane=None):
        call()
        return True

    def busy(self):
        return frozenset()

    def under_way(self):
        return {}

    def goes_on(self, key):
        pass

    def apart(self, key):
        return contextlib.nullcontext()

    def stop(self):
        pass
