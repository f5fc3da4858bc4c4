# SPDX-License-Identifier: Apache-2.0
"""What runs in the guests: a boot sector that counts on its disk.

Once a second it adds one to the number in sector 1 of its disk. The number
goes on from what the disk says, so that a guest that was started again from
the same disk is told from one that began anew, and one that runs from one
that does not. No kernel is needed, and 32 MiB of memory are plenty.
"""

import contextlib
import pathlib
import shutil
import struct
import subprocess
import time

SECTOR = 512
SIZE = 1024 * 1024
_PARTITION = struct.pack('<B3xB3xII', 0x80, 0x83, 1, SIZE // SECTOR - 1)
"""A disk without partitions is refused by glance: the number is in one."""
PROGRAM = 'qemu-system-x86_64'
KVM_S = 4
"""A first beat takes one second with TCG, so that KVM that needs more gains
nothing. Where KVM is emulated itself it was seen to need 23."""


def image() -> bytes:
    """Return the disk of a guest that has never run."""
    table = _PARTITION + bytes(3 * len(_PARTITION))
    return _code().ljust(SECTOR - 2 - len(table), b'\0') + table + \
        b'\x55\xaa' + bytes(SIZE - SECTOR)


def beats(disk: pathlib.Path) -> int:
    """Return the number on a raw disk."""
    with disk.open('rb') as stream:
        stream.seek(SECTOR)
        return int.from_bytes(stream.read(4), 'little')


def kind(directory: pathlib.Path) -> str:
    """Return ``kvm`` where a guest beats with it, else ``qemu``.

    That /dev/kvm is there says little: a guest is run.
    """
    disk = directory / 'kvm-trial'
    if not pathlib.Path('/dev/kvm').exists():
        return 'qemu'
    disk.write_bytes(image())
    trial = subprocess.Popen(
        [shutil.which(PROGRAM) or PROGRAM, '-accel', 'kvm', '-m', '32',
         '-display', 'none', '-nodefaults', '-drive',
         f'file={disk},format=raw'],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + KVM_S
        while trial.poll() is None and time.monotonic() < deadline:
            if beats(disk) > 1:
                return 'kvm'
            time.sleep(0.05)
        return 'qemu'
    finally:
        with contextlib.suppress(ProcessLookupError):
            trial.kill()
        trial.wait()
        disk.unlink()


def _code():
    """Assemble it: 16 bits, loaded by the BIOS at 0x7c00."""
    code = bytearray()
    # ds = es = 0, the stack below us, and the number of the disk that the
    # BIOS loaded us from (dl) kept at 0x7df0.
    code += bytes.fromhex('31c0 8ed8 8ec0 bc007c 8816f07d')
    # Read sector 1 (the second one) to 0x7e00: int 13h, ah=2.
    code += bytes.fromhex('b80102 b90200 b600 8a16f07d bb007e cd13')
    again = len(code)
    code += bytes.fromhex('66ff06007e')  # add one to what was read
    # Write it back: int 13h, ah=3.
    code += bytes.fromhex('b80103 b90200 b600 8a16f07d bb007e cd13')
    # '.' to the serial port, then 18 ticks of the clock: about a second.
    code += bytes.fromhex('baf803 b02e ee fb b91200')
    code += bytes.fromhex('f4 e2fd e9')  # hlt; loop; jmp
    code += ((again - len(code) - 2) & 0xffff).to_bytes(2, 'little')
    return bytes(code)
