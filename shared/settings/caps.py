"""The settings of what one caller, and all together, may have open at a time."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class CapSettings(BaseSettings):
    """Part of `Settings`. A call beyond a cap is answered 429."""

    key_waiters: int = Field(500, ge=1, description="Calls with `Prefer: wait` that one API key may have open.")
    all_waiters: int = Field(4000, ge=1, description="The same for all keys together.")
    key_streams: int = Field(100, ge=1, description="Streams of events that one API key may have open.")
    all_streams: int = Field(1000, ge=1, description="The same for all keys together.")
    key_uploads: int = Field(4, ge=1, description="Uploads that one API key may send at a time.")
    all_uploads: int = Field(32, ge=1, description="The same for all keys together.")
    owner_upload_bytes: int = Field(
        2_000_000_000, ge=1_000_000, description="Bytes of files sent for a worker that are kept of one owner."
    )
    owner_exports: int = Field(4, ge=1, description="Files of answers that workers may be writing for one owner.")
    key_downloads: int = Field(4, ge=1, description="Downloads of results that one API key may have open.")
    all_downloads: int = Field(32, ge=1, description="The same for all keys together.")
    key_lists: int = Field(16, ge=1, description="Lists and parts of results that one API key may ask for at a time.")
    all_lists: int = Field(128, ge=1, description="The same for all keys together.")
    key_errands: int = Field(
        16,
        ge=1,
        description="Calls that wait for a worker (counts, checks, promotions) that one API key may have open.",
    )
    all_errands: int = Field(128, ge=1, description="The same for all keys together.")
