"""Files of the store at a second place: in a package, in a task pack."""

import os
import shutil
from pathlib import Path

from hlvid.errors import UserError


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes at another place: on one disk no copy is made.

    Raises:
        UserError: The place cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{target.parent}: cannot be made ({error.strerror}).", 1) from None
    try:
        os.link(source, target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error.strerror}).", 1) from None
