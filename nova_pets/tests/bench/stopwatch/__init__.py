# SPDX-License-Identifier: Apache-2.0
"""The stopwatch: nova-pets beside plain Nova on a lab of separate processes.

``make bench`` (``python -m nova_pets.tests.bench.stopwatch``) lets a host with
so many instances fail, again and again, and has them recovered by each way in
turn. What runs where and when is read from the hosts' own journal; Nova's
database is only asked when everything has come to rest.
"""
