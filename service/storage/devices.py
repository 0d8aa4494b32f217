"""Known devices: the statements that tell which there are."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash
from service.storage.tables import device

FIND_USER_OF_DEVICE = (
    select(device.c.user_id)
    .where(device.c.hash == bindparam("presented", type_=device.c.hash.type))
    .order_by(device.c.user_id)
    .limit(1)
)


async def find_user_of_device(connection: AsyncConnection, presented: DeviceHash) -> UUID | None:
    """Return a user who is known on the device with a token of this hash, always the same one."""
    result = await connection.execute(FIND_USER_OF_DEVICE, {"presented": presented})
    user_id: UUID | None = result.scalar_one_or_none()
    return user_id


COUNT_DEVICES = select(func.count()).where(device.c.user_id == bindparam("owner_id"))


async def has_several_devices(connection: AsyncConnection, user_id: UUID) -> bool:
    """Return whether a user is known on more than one device."""
    count: int = (await connection.execute(COUNT_DEVICES, {"owner_id": user_id})).scalar_one()
    return count > 1
