"""Arrays and scalars of numpy, as the bytes of an npy file behind one byte that says what they are.

numpy is optional: it is imported only where there is an array.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from orchestrator.errors import DecodeError

if TYPE_CHECKING:
    import numpy as np

_ARRAY, _SCALAR, _STR, _BYTES = b"\x00", b"\x01", b"\x02", b"\x03"
#: What `write_array` says of an array without fields.
_PLAIN_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '([<>|][biufcmMSU]\d+(?:\[\w+\])?)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)
#: A header describes the dtype; one with thousands of columns is not read back.
_MAX_HEADER_CHARS = 60_000


def array_parts(value: Any) -> bytes:
    """An array in C order, whatever its own, so that equal arrays have equal bytes. Raises TypeError."""
    import numpy as np

    if type(value) is np.str_:  # an array drops zeros at the end of a text
        return _STR + str.encode(value)
    if type(value) is np.bytes_:
        return _BYTES + bytes(value)
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        raise TypeError("of numpy, only ndarrays and scalars are carried")
    array = np.asarray(value, order="C")
    _check(array.dtype)
    if array.dtype.names is not None:
        array, filled = np.zeros(array.shape, array.dtype), array
        array[...] = filled  # between the fields there may be anything
    buffer = io.BytesIO()
    buffer.write(_ARRAY if type(value) is np.ndarray else _SCALAR)
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _check(dtype: np.dtype[Any]) -> None:
    """Raise TypeError for a dtype that an npy file does not keep."""
    from numpy.lib.format import descr_to_dtype, dtype_to_descr

    if dtype.hasobject:
        raise TypeError("it holds Python objects")
    described = dtype_to_descr(dtype)
    back = descr_to_dtype(described)
    if back != dtype or (back.kind == "V" and back.type is not dtype.type) or len(str(described)) > _MAX_HEADER_CHARS:
        raise TypeError(f"its dtype {dtype} cannot be kept in an npy file")


def array_from(data: bytes) -> Any:
    """The array or scalar. No pickle is read, and nothing of the data is evaluated but literals."""
    try:
        import numpy as np
    except ImportError as exc:
        raise DecodeError(
            "a value is an array of numpy, which is not installed here; install numpy to read it"
        ) from exc

    what, rest = data[:1], data[1:]
    if what == _STR:
        return np.str_(rest.decode())
    if what == _BYTES:
        return np.bytes_(rest)
    header = _PLAIN_HEADER.match(rest)
    array = _with_numpy(rest) if header is None else _plain_array(rest, header)
    if what not in (_ARRAY, _SCALAR) or (what == _SCALAR and array.ndim):
        raise DecodeError("a recorded value is damaged: an array says that it is something else")
    return array[()] if what == _SCALAR else array


def _plain_array(data: bytes, header: re.Match[bytes]) -> np.ndarray[Any, Any]:
    """An array of numbers, times or texts, whose header says so in the form that numpy writes."""
    import numpy as np

    length, dtype, fortran_order, shape = header.groups()
    sizes = [int(size) for size in shape.split(b",") if size.strip()]
    array = np.ndarray(sizes, dtype.decode(), data, header.end(), order="F" if fortran_order == b"True" else "C")
    if int.from_bytes(length, "little") != header.end() - 10 or array.nbytes != len(data) - header.end():
        raise DecodeError("a recorded value is damaged: an array is longer or shorter than it says")
    return array.copy(order="K")  # one that can be changed


def _with_numpy(data: bytes) -> np.ndarray[Any, Any]:
    """An array of records, whose header is a nested literal: numpy hands it to Python's parser."""
    for _ in range(9):
        try:
            return _read_array(data)
        except SystemError:  # in CPython 3.11, threads that parse at once disturb each other's count of depth
            continue
    return _read_array(data)


def _read_array(data: bytes) -> np.ndarray[Any, Any]:
    import numpy as np

    buffer = io.BytesIO(data)
    array: np.ndarray[Any, Any] = np.lib.format.read_array(
        buffer, allow_pickle=False, max_header_size=2 * _MAX_HEADER_CHARS
    )
    if buffer.read(1):
        raise DecodeError("a recorded value is damaged: an array is longer than it says")
    return array
