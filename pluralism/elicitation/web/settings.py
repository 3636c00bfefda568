"""Settings of the service, from the environment."""

from __future__ import annotations

from pydantic import Field, SecretStr
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
    base_url : str
        Where people reach the service, such as ``https://values.example``: links begin with it. Left out, they begin
        with the address that a browser asked for. With ``https``, cookies are sent over HTTPS alone.
    secret : str
        Signs cookies. Left out, one that the database keeps.
    password : str
        Of the administrator; left out, organisers come in by links alone.
    session_hours, organiser_hours : float
        After which a participant's browser forgets the interview, and an organiser has to log in again.
    body_bytes, upload_bytes : int
        Largest form, and largest form with files.
    rate : float
        How many times as many requests as usual are allowed.
    threads : int
        Requests that a process works on at once.
    model_threads : int
        Interviews that wait for a language model at once, in a process.
    llm, llm_model, llm_key_env : str
        An OpenAI-compatible server up to ``/v1``, its model, and the variable of the environment that holds its key.
    llm_timeout : float
        Seconds until a model has failed.
    """

    model_config = SettingsConfigDict(env_prefix="PLURALISM_WEB_", extra="ignore")

    database: str = "pluralism.db"
    pool_size: int = Field(default=16, ge=1, le=500)
    graph_seconds: float = Field(default=30.0, ge=0)
    base_url: str = Field(default="", pattern=r"^(https?://[^/?#@]+)?/*$")
    secret: SecretStr = SecretStr("")
    password: SecretStr = SecretStr("")
    session_hours: float = Field(default=24.0 * 14, gt=0)
    organiser_hours: float = Field(default=12.0, gt=0)
    body_bytes: int = Field(default=256 * 1024, ge=1024)
    upload_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    rate: float = Field(default=1.0, gt=0)
    threads: int = Field(default=40, ge=1, le=1000)
    model_threads: int = Field(default=100, ge=1, le=10_000)
    llm: str = ""
    llm_model: str = ""
    llm_key_env: str = "OPENAI_API_KEY"
    llm_timeout: float = Field(default=60.0, gt=0)

    @property
    def secure(self) -> bool:
        """Whether the service is reached over HTTPS."""
        return self.base_url.startswith("https://")
