# SPDX-License-Identifier: Apache-2.0
"""Mutants: deliberate bugs that the tests and the simulator must notice.

``python -m nova_pets.tests.mutants`` judges them; specs/0008-proof says what
the score means. The catalogue is data; no module of the product is changed.
"""
