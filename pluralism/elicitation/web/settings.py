"""Settings of the service, from the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """What the service is told by variables of the environment that begin with ``PLURALISM_WEB_``.

    Attributes
    ----------
    database : str
        The path of an SQLite file, or an address such as ``postgresql://user@host/name``.
    pool_size : int
        Connections that a process keeps open.
    graph_seconds : float
        A stored graph that is older than its votes is built again after this time.
    """

    model_config = SettingsConfigDict(env_prefix="PLURALISM_WEB_", extra="ignore")

    database: str = "pluralism.db"
    pool_size: int = Field(default=16, ge=1, le=500)
    graph_seconds: float = Field(default=30.0, ge=0)
