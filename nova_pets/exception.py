# SPDX-License-Identifier: Apache-2.0
"""Every error of nova-pets: one class, one template, named fields.

Imports nothing; a message says what was expected, what was found and, where
a person can act, what to do.
"""


class PetsException(Exception):
    """Base of all our errors; fields are kept for programs."""

    msg_fmt = 'an unknown error occurred'

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.msg_fmt % fields)


class IllegalTransition(PetsException):
    msg_fmt = ('cannot move %(kind)s from %(state)s by %(event)s: expected '
               'one of %(expected)s')


class RowConflict(PetsException):
    """A compare-and-swap found another generation or owner."""

    msg_fmt = ('cannot write %(kind)s %(key)s: expected generation '
               '%(expected)s owned by %(owner)s, the row has changed')


class StoreUnavailable(PetsException):
    """The side tables could not be read or written.

    After a write nothing is known: it may or may not have been committed.
    """

    msg_fmt = 'cannot %(what)s in the pets tables: %(found)s'


class EngineDeposed(PetsException):
    """Another engine saw our renewals stand still and took our claims."""

    msg_fmt = ('cannot renew engine %(engine)s: expected renewal counter '
               '%(expected)s, it was deposed or purged; all its claims are '
               'void')


class SchemaMismatch(PetsException):
    msg_fmt = ('cannot use the pets tables: expected schema %(expected)s, '
               'found %(found)s; run "nova-manage pets db_sync"')


class FencingError(PetsException):
    """A device could not be asked or told; its power is UNKNOWN."""

    msg_fmt = 'cannot %(what)s of %(host)s by %(device)s: %(found)s'


class FenceNotAllowed(PetsException):
    msg_fmt = 'cannot fence %(host)s: %(reason)s'


class BindingsInvalid(PetsException):
    msg_fmt = 'cannot use fencing bindings %(path)s%(where)s: %(problem)s'


class ConfigInvalid(PetsException):
    msg_fmt = 'cannot use option %(option)s: expected %(expected)s, ' \
              'found %(found)s'


class NovaUnavailable(PetsException):
    """Nova could not be asked; nothing is known about the outcome."""

    msg_fmt = 'cannot %(what)s: %(found)s'


class InstanceChanged(PetsException):
    """The compare-and-swap on Nova's row met other values; nothing done."""

    msg_fmt = ('cannot claim instance %(uuid)s: expected %(expected)s, '
               'found %(found)s')


class InstanceGone(PetsException):
    msg_fmt = 'cannot find instance %(uuid)s: it was deleted'


class EvacuateRefused(PetsException):
    """Nova refused before it recorded anything for this request."""

    msg_fmt = 'nova refused to evacuate %(uuid)s: %(found)s'


class EvacuateUncertain(PetsException):
    """The call failed after Nova may have recorded or sent something."""

    msg_fmt = 'evacuation of %(uuid)s may have been sent: %(found)s'


class LeftoverRoom(PetsException):
    """An allocation that nothing explains, or an arrival that its cell has
    forgotten: a guest may be there."""

    msg_fmt = ('cannot evacuate %(uuid)s yet: it had arrived or holds room on '
               '%(host)s, which lives and is asked first')


class GateRefused(PetsException):
    """Raised inside a scheduling request; not a NoValidHost on purpose.

    Conductor stops without touching the instance (design.md, section 4,
    step 4).
    """

    msg_fmt = ('nova-pets refuses to schedule pet %(uuid)s for request '
               '%(request_id)s: %(reason)s; see "nova-manage pets show '
               '%(uuid)s"')


class ClaimsLost(PetsException):
    """This engine may not act now: its claims are not surely its own."""

    msg_fmt = 'cannot act: %(reason)s'


class CallHangs(PetsException):
    """An outside call does not come back: who made it has to begin anew."""

    msg_fmt = ('the call for %(key)s has been under way for %(seconds)d s, '
               'expected at most %(limit)d s: this engine gives up what it '
               'drives and begins anew')


class NotFound(PetsException):
    msg_fmt = 'cannot find %(kind)s %(key)s'


class OperatorError(PetsException):
    """Bad input by a person: a usage message, never a traceback."""

    msg_fmt = '%(problem)s'
