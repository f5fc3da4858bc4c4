# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a cloud in one process loses a host, and then another.

stage.py plays the story, watching.py looks at it, screen.py and plain.py show
it, timings.py counts its seconds, judge.py says whether it ended well. The
product runs here exactly as under nova-scheduler; the demo only breaks
machines.
"""
