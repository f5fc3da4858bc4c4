# SPDX-License-Identifier: Apache-2.0
"""What the product costs, measured side by side in one run.

``python -m nova_pets.tests.bench`` prints the figures that specs/0005-costs
quotes: SQL statements of idle engines, and what our filters and weigher add
to a scheduling request at 1,000 hosts. ``python -m
nova_pets.tests.bench.suspicion`` prints those of specs/0010-fencing, "False
suspicion".
"""
