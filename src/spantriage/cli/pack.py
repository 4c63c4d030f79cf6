"""`spantriage pack`: what a store's writers have left, packed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spantriage.errors import StoreError
from spantriage.queries.asking import DEFAULT_STORE
from spantriage.store.layout import check, is_store
from spantriage.store.packing import pack as pack_store

__all__ = ["pack"]


def pack(folder: Annotated[Path, typer.Argument(help="The store.")] = Path(DEFAULT_STORE)) -> None:
    """Pack closed files of a store into Parquet, merge small ones, and delete what it keeps no longer.

    Others may write and read meanwhile. Example: spantriage pack .spantriage/store
    """
    if not is_store(folder):
        raise StoreError(f"{folder} is no store: it has no meta.json")
    check(folder.absolute())
    done = pack_store(folder.absolute())
    print(
        f"{done.rows:,} rows of {done.segments} files packed, {done.merged} files merged, {done.deleted} files and {done.days} days deleted"
    )
