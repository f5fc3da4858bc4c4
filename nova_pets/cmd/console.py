# SPDX-License-Identifier: Apache-2.0
"""The terminal: prints, asks, and turns every error into one sentence.

The outermost boundary of a verb: whatever is raised below ends here as an
exit code and a sentence for a person, never as a traceback (that goes to the
log, or to the terminal with --debug). Knows nothing of hosts or instances.
"""

import collections.abc
import getpass
import json
import logging
import os
import shutil
import sys
import typing

from oslo_config import cfg
from oslo_db import exception as db_exception

from nova_pets import exception
from nova_pets.cmd import layout
from nova_pets.cmd import questions

LOG = logging.getLogger(__name__)

WIDTH_OF_A_PIPE = 120

Exit = questions.Exit

_CANNOT_TELL = (
    exception.OperatorError, exception.SchemaMismatch,
    exception.StoreUnavailable, exception.NotFound, exception.ConfigInvalid,
    exception.BindingsInvalid, exception.NovaUnavailable)


class Console:
    """One terminal, or pipes; how wide, and who sits there."""

    def __init__(self, name: str = 'nova-manage pets',
                 width: int | None = None):
        self.name = name
        self._width = width

    @property
    def width(self) -> int:
        if self._width is not None:
            return self._width
        is_known = sys.stdout.isatty() or 'COLUMNS' in os.environ
        if not is_known:
            return WIDTH_OF_A_PIPE
        return max(shutil.get_terminal_size((80, 24)).columns - 1,
                   layout.NARROWEST)

    def show(self, text: str) -> None:
        print(text)

    def show_lines(self, lines: list[str]) -> None:
        for line in lines:
            print(line)

    def show_json(self, document: dict[str, typing.Any]) -> None:
        print(json.dumps(document, indent=2, ensure_ascii=False))

    def complain(self, text: str) -> None:
        print('\n'.join(layout.paragraph(
            f'{self.name}: {text}', self.width, '', '  ')), file=sys.stderr)

    def progress(self, text: str) -> None:
        """Show a line that the next one replaces; only to a person."""
        if sys.stderr.isatty():
            print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)

    def ask(self, question: str) -> bool:
        """Return whether the person typed yes.

        :raises OperatorError: nobody sits there.
        """
        if not sys.stdin.isatty():
            raise exception.OperatorError(problem=(
                'cannot ask: expected --yes, or a terminal where yes can be '
                'typed; nothing was ordered (--dry-run only shows)'))
        try:
            answer = input(question)
        except EOFError:
            answer = ''
        return answer.strip().lower() == 'yes'


def actor() -> str:
    """Return 'user alice', or 'user alice (as root)' under sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f'uid {os.getuid()}'
    sudo = os.environ.get('SUDO_USER')
    if sudo and sudo != name:
        return f'user {sudo} (as {name})'
    return f'user {name}'


def guarded(console: Console, verb: collections.abc.Callable[[], int],
            as_json: bool,
            settings: collections.abc.Callable[[], tuple[str | None, bool]]
            ) -> int:
    """Run a verb; return its exit code, whatever happens in it.

    :param settings: returns (log file, debug); asked after a failure only.
    """
    try:
        return verb()
    except KeyboardInterrupt:
        return _failed(console, as_json, Exit.CANNOT_TELL,
                       'interrupted; what was not reported was not ordered')
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain once more
        # when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.CANNOT_TELL
    # The boundary of a command: a fault of ours must not look like a state
    # of the cloud.
    except Exception as error:
        code, sentence = explain(error)
        log_file, is_debug = _settled(settings)
        if code is Exit.UNEXPECTED:
            sentence += f'; {_where_more(log_file)}'
        if code is Exit.UNEXPECTED or is_debug:
            LOG.exception('%s failed', console.name)
        return _failed(console, as_json, code, sentence)


def _settled(settings: collections.abc.Callable[
        [], tuple[str | None, bool]]) -> tuple[str | None, bool]:
    try:
        return settings()
    except Exception:  # the failure may be nova.conf itself
        return None, False


def _failed(console: Console, as_json: bool, code: Exit, sentence: str
            ) -> int:
    if as_json:
        console.show_json({'exit_code': int(code), 'error': sentence})
    console.complain(sentence)
    return int(code)


def explain(error: Exception) -> tuple[Exit, str]:
    """Return the exit code and the sentence: expected, found, what to do."""
    if isinstance(error, exception.StoreUnavailable):
        return Exit.CANNOT_TELL, _database_sentence(error.__cause__ or error)
    if isinstance(error, _CANNOT_TELL):
        return Exit.CANNOT_TELL, str(error)
    if isinstance(error, cfg.Error):
        return Exit.CANNOT_TELL, (
            f'cannot use nova.conf: expected one that can be read, found: '
            f'{_one_line(error)}. Name it with --config-file')
    if isinstance(error, exception.RowConflict):
        return Exit.ACT, (f'{error}; somebody was faster, nothing was '
                          f'written: look again')
    if isinstance(error, (db_exception.DBError,
                          db_exception.CantStartEngineError)):
        return Exit.CANNOT_TELL, _database_sentence(error)
    return Exit.UNEXPECTED, (f'unexpected error: {type(error).__name__}: '
                             f'{_one_line(error)}')


def _database_sentence(error: BaseException) -> str:
    if isinstance(error, db_exception.CantStartEngineError):
        return ('cannot open the API database: expected [api_database] '
                'connection in nova.conf, found none that can be used. Give '
                'the nova.conf of the nova-scheduler: nova-manage '
                '--config-file /etc/nova/nova.conf pets ...')
    if isinstance(error, db_exception.DBNonExistentTable) or \
            'no such table' in str(error):
        return ('cannot read the pets tables: expected them in the API '
                'database, found no such table; run "nova-manage pets '
                'db_sync"')
    if isinstance(error, db_exception.DBConnectionError):
        return (f'cannot reach the API database: expected an answer at '
                f'[api_database] connection, found: {_one_line(error)}. '
                f'Nothing is known about the cloud now; is the database '
                f'up?')
    return f'cannot use the API database: {_one_line(error)}'


def _one_line(error: BaseException) -> str:
    """The first line, without SQLAlchemy's statement and its background."""
    inner = getattr(error, 'inner_exception', None) or error
    text = ' '.join(str(inner).split('[SQL:')[0].split('(Background')[0]
                    .split())
    return text[:300].rstrip('. ')


def _where_more(log_file: str | None) -> str:
    return (f'the log has all of it: {log_file}' if log_file else
            'run it again with --debug (before "pets") to see where')


def keep_screen_clean(is_debug: bool) -> None:
    """Keep log lines off the screen, and always off stdout.

    Without a log file, oslo.log writes to stdout: a line of it would break
    --json, and a traceback of a library would hide our sentence. With
    --debug they are shown, on stderr.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(
                handler, logging.FileHandler):
            if getattr(handler, 'stream', None) in (sys.stdout,
                                                    sys.__stdout__):
                handler.setStream(sys.stderr)
            if not is_debug:
                handler.setLevel(logging.CRITICAL + 1)
