"""Known devices: the statements that tell which there are."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash
from service.storage.tables import device

WAS_ISSUED = select(
    select(device.c.hash)
    .where(device.c.hash == bindparam("presented", type_=device.c.hash.type))
    .exists()
)


async def was_issued(connection: AsyncConnection, presented: DeviceHash) -> bool:
    """Return whether a user is known on the device with a token of this hash."""
    issued: bool = (await connection.execute(WAS_ISSUED, {"presented": presented})).scalar_one()
    return issued


COUNT_DEVICES = select(func.count()).where(device.c.user_id == bindparam("owner_id"))


async def has_several_devices(connection: AsyncConnection, user_id: UUID) -> bool:
    """Return whether a user is known on more than one device."""
    count: int = (await connection.execute(COUNT_DEVICES, {"owner_id": user_id})).scalar_one()
    return count > 1
