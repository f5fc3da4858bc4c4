# SPDX-License-Identifier: Apache-2.0
"""``python -m nova_pets.tests.demo``: exit status 0 only if it ended well."""

import contextlib
from importlib import metadata
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings

from nova_pets.tests.demo import arguments

INTERRUPTED = 130


def main(given=None):
    began = time.monotonic()
    options = arguments.parse(given)
    directory = tempfile.mkdtemp(prefix='nova-pets-demo-')
    # Libraries make files too; this way they go with the others.
    tempfile.tempdir = directory
    log = os.path.join(directory, 'nova.log')
    print('nova-pets demo: loading Nova; its log is %s' % log, flush=True)
    try:
        with _quiet(log):
            outcome, title = _play(options, directory, began)
    except KeyboardInterrupt:
        print('Interrupted; everything of the demo has ended.')
        return INTERRUPTED
    finally:
        _keep_only(directory, 'nova.log')
    from nova_pets.tests.demo import summary
    took_s = time.monotonic() - began
    sys.stdout.write(summary.text(outcome, title, took_s))
    if options.json_path:
        with open(options.json_path, 'w') as stream:
            json.dump(summary.document(outcome, title, took_s, options),
                      stream, indent=2)
            stream.write('\n')
    print('Log: %s' % log)
    return 1 if outcome.problems else 0


def _play(options, directory, began):
    # Before anything else that may start a thread: it chooses how Nova's
    # services run (nova 31: green threads).
    from nova_pets.tests import cloud  # noqa: F401
    from nova_pets.tests.demo import plain
    from nova_pets.tests.demo import stage
    title = 'nova-pets demo: nova %s, %d hosts, %d pets, %d cattle' % (
        metadata.version('nova'), options.hosts, options.pets,
        options.instances - options.pets)
    if options.is_plain or not sys.stdout.isatty():
        view = plain.Plain()
    else:
        from nova_pets.tests.demo import screen
        view = screen.Screen(title, began)
    with view:
        show = stage.Show(options, view, directory, began)
        return show.run(), title


@contextlib.contextmanager
def _quiet(path):
    """Send what libraries print and warn to the log: the screen is ours."""
    if not sys.warnoptions:
        warnings.simplefilter('ignore')
    logging.raiseExceptions = False
    with open(path, 'a') as stream, contextlib.redirect_stderr(stream):
        yield


def _keep_only(directory, name):
    """Remove the cloud's files but for its log."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if entry.is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != name:
                os.unlink(entry.path)


if __name__ == '__main__':
    code = main()
    sys.stdout.flush()
    # Threads of dead machines are frozen, and pools would wait for them.
    os._exit(code)
