# SPDX-License-Identifier: Apache-2.0
"""A false world for the real engine: see kernel, world, run."""
