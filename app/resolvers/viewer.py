"""The caller."""

from app.context import AppInfo
from app.schema.types.viewer import Viewer


async def viewer(info: AppInfo) -> Viewer:
    """Tell who asks."""
    return Viewer(principal=info.context.principal)
