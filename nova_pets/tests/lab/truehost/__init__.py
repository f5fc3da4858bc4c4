# SPDX-License-Identifier: Apache-2.0
"""Hosts of the lab that are true: namespaces with libvirt and guests."""
