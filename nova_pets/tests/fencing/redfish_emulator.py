# SPDX-License-Identifier: Apache-2.0
"""sushy-tools' Redfish emulator with a fake driver whose delays are chosen.

As it is, a change of power takes 1 to 11 random seconds. Here it takes what
the system's entry in the configuration says (``delay``), else none.
"""

import sys
import threading
import types

from sushy_tools.emulator import main
from sushy_tools.emulator.resources.systems import fakedriver

LOCK = threading.Lock()
SWITCH = fakedriver.FakeDriver.set_power_state


def set_power_state(self, identity, state):
    delay_s = self._get(identity).get('delay', 0)
    with LOCK:
        fakedriver.random = types.SimpleNamespace(
            randint=lambda least, most: delay_s)
        return SWITCH(self, identity, state)


if __name__ == '__main__':
    fakedriver.FakeDriver.set_power_state = set_power_state
    sys.exit(main.main())
