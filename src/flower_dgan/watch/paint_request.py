"""What a page may ask to be painted."""

import base64
import binascii
from collections.abc import AsyncIterator

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flower_dgan.errors import DataError

LARGEST_BODY = 1_500_000  # bytes: a mask of 1,024 x 1,024 pixels in base64, and the rest
_MOST_PICTURES = 16


class TooLargeError(DataError):
    """The request is larger than any mask that can be painted."""


class PaintRequest(BaseModel):
    """A mask, and how it is to be painted.

    Attributes
    ----------
    generator : str
        One that was listed.
    sites : list of str
        At most 16.
    draws : int
        Images of each site; sites times draws is 16 at most.
    seed : int
        Of the noise.
    mask : str
        Class ids, one byte a pixel, row by row, in base64.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    generator: str = Field(max_length=16)
    sites: list[str] = Field(min_length=1, max_length=_MOST_PICTURES)
    draws: int = Field(ge=1, le=8)
    seed: int = Field(ge=0, lt=2**31)
    mask: str = Field(max_length=LARGEST_BODY)


async def read_request(parts: AsyncIterator[bytes]) -> PaintRequest:
    """Read a request from the parts of its body.

    Raises
    ------
    TooLargeError
        If the body is larger than 1.5 MB; what comes after is not read.
    DataError
        If it is no such request; says which field is wrong.
    """
    body = bytearray()
    async for part in parts:
        if len(body) + len(part) > LARGEST_BODY:
            raise TooLargeError("The mask is too large: at most 1,024 x 1,024 pixels are painted.")
        body += part
    try:
        found = PaintRequest.model_validate_json(bytes(body))
        base64.b64decode(found.mask, validate=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{'.'.join(map(str, first['loc'])) or 'The request'}: {first['msg']}.") from error
    except binascii.Error as error:
        raise DataError("The mask is not in base64.") from error
    if len(found.sites) * found.draws > _MOST_PICTURES:
        raise DataError(f"At most {_MOST_PICTURES} pictures are painted at once: choose fewer sites or draws.")
    return found
