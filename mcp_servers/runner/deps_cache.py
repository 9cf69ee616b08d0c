"""What ``setup`` left behind, kept as a tar per digest of what it rests on; the oldest go when the folder grows too large."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

CHUNK = 1 << 20


class DepsCache:
    """A folder of tars. They go back into sandboxes only and are never unpacked here."""

    def __init__(self, folder: Path, most_bytes: int = 8 << 30) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def find(self, key: str) -> Path | None:
        """The tar of a digest."""
        path = self._folder / f"{key}.tar"
        if not path.is_file():
            return None
        os.utime(path)
        return path

    async def keep(self, key: str, content: AsyncIterable[bytes]) -> Path:
        """Store a stream under a digest."""
        handle, part = await asyncio.to_thread(self._begun)
        target = self._folder / f"{key}.tar"
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in content:
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(part.replace, target)
        except BaseException:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        await asyncio.to_thread(self._trim, target)
        return target

    def _begun(self) -> tuple[int, Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        return handle, Path(name)

    def _trim(self, newest: Path) -> None:
        tars = sorted(((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.glob("*.tar")), reverse=True)
        total = 0
        for _, size, path in tars:
            total += size
            if total > self._most_bytes and path != newest:
                path.unlink(missing_ok=True)


async def streamed(path: Path) -> AsyncIterator[bytes]:
    """A file in chunks."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
