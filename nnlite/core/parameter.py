"""The arrays a model owns: parameters are trained, buffers are only kept."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnlite.core.foreign import as_array
from nnlite.core.habits import Elsewhere
from nnlite.core.kinds import REFUSED, DType, Flag
from nnlite.core.room import is_blank, one_for_all, take_room

DTYPE = DType()
FLAG = Flag()


def own_array(owner: str, data: ArrayLike, dtype: DTypeLike | None = None) -> np.ndarray:
    """A fresh contiguous array of `data`; floats become float32 unless `dtype` says otherwise.

    Raises:
        TypeError: when `data` does not hold numbers.
        ValueError: when they do not form an array, or do not fit into the dtype.
    """
    array = as_array(f"{owner}: data", data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: expected an array of numbers, got dtype {array.dtype}")
    if dtype is None:
        dtype = np.float32 if array.dtype.kind == "f" else array.dtype
    elif DTYPE.take(dtype) is REFUSED:
        raise DTYPE.refusal(f"{owner}: dtype", dtype)
    take_room(array.shape)
    if is_blank():
        return one_for_all(array.shape, dtype)
    try:
        with np.errstate(over="raise", invalid="raise"):
            return np.array(array, dtype=dtype, order="C")
    except FloatingPointError:
        name = np.dtype(dtype)
        raise ValueError(f"{owner}: data holds values that do not fit into {name}") from None


class Owner:
    """An optimizer's claim on its parameters, through which it hears of changes.

    Attributes:
        stale: a parameter was frozen or unfrozen, so the flat vectors must be laid out anew.
        displaced: another optimizer has claimed one of the parameters since.
    """

    def __init__(self) -> None:
        self.stale = True
        self.displaced = False


class _Owned:
    """An array that is written in place, always, and never swapped for another."""

    def __init__(self, data: ArrayLike, dtype: DTypeLike | None = None) -> None:
        self._data = own_array(type(self).__name__, data, dtype)

    @property
    def data(self) -> np.ndarray:
        """The values."""
        return self._data

    @data.setter
    def data(self, value: ArrayLike) -> None:
        self._write(self._data, value, "data")

    def _write(self, target: np.ndarray, value: ArrayLike, name: str) -> None:
        if value is target:  # `p.grad += g` has added in place before it assigns
            return
        values = as_array(f"{type(self).__name__}: {name}", value)
        if values.shape != target.shape:
            raise ValueError(
                f"{type(self).__name__}.{name}: expected shape {target.shape}, got {values.shape}"
            )
        try:
            np.copyto(target, values, casting="same_kind")
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}.{name}: expected {target.dtype}, got dtype {values.dtype}"
            ) from None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return self._data.shape

    @property
    def size(self) -> int:
        """The number of values."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `data`."""
        return self._data.dtype

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The values, for NumPy's functions."""
        return np.array(self._data, dtype, copy=copy)

    def _no_array(self, *operands: object) -> Any:
        """Refuse arithmetic: what a formula means, values or gradient, has to be written.

        Raises:
            TypeError: says how.
        """
        raise TypeError(f"{self!r} is no array; write .data for its values (or .grad)")

    __array_priority__ = 1000  # above an array's: in `array * parameter` this class decides, too
    __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = _no_array
    __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = _no_array
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = _no_array
    __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = __setitem__ = _no_array

    def __eq__(self, other: object) -> bool:
        """Whether it is the same object; there is no comparison with values."""
        if isinstance(other, np.ndarray | np.number | int | float):
            self._no_array(other)
        return self is other

    __hash__ = object.__hash__

    def cast(self, dtype: DTypeLike) -> None:
        """Give floating values another dtype, in memory of their own (for `Layer.astype`)."""
        if self._data.dtype.kind == "f":
            self._data = self._data.astype(dtype)

    def adopt(self, values: np.ndarray) -> None:
        """Make this array the values, in place of first values that were not drawn (for files)."""
        self._data = values

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape {self.shape}, {self.dtype})"


class Buffer(_Owned):
    """An array that belongs to a model's state but is not trained, such as a running mean.

    `data` is written in place, like a parameter's.

    Args:
        data: the initial values; copied.
        dtype: default float32 for floats, unchanged for integers.
    """


class Parameter(_Owned):
    """A trained array and the gradient of the loss with respect to it.

    `data` and `grad` are written in place, always: assigning to them copies the values into the
    memory that is already there. An optimizer can therefore lay all parameters of a model into
    one flat vector and make `data` and `grad` views of it, and `weight.grad = x.T @ g` still
    lands there. For the same reason keep no alias of `data` or `grad` across calls.

    Args:
        data: the initial values; copied.
        dtype: of `data` and `grad`. Default: float32 for floats, unchanged for integers.
    """

    requires_grad = Elsewhere("trainable")
    value = Elsewhere("data")

    def __init__(self, data: ArrayLike, dtype: DTypeLike | None = None) -> None:
        super().__init__(data, dtype)
        # not zeros_like: the memory of zeros is not touched before somebody writes
        self._grad = one_for_all(self.shape, self.dtype) if is_blank() else self._zeros()
        self._cleared = True  # the gradient is zero, whatever stands in its memory
        self._trainable = True
        self._owner: Owner | None = None

    @property
    def grad(self) -> np.ndarray:
        """dL/d(data): every backward adds to it, `zero_grad` clears it."""
        self.settle()  # whoever asks may read or write
        return self._grad

    @grad.setter
    def grad(self, value: ArrayLike) -> None:
        self._write(self._grad, value, "grad")
        self._cleared = False

    @property
    def has_grad(self) -> bool:
        """Whether the gradient is anything but zero."""
        return not self._cleared and bool(self._grad.any())

    def add_grad(self, gradient: np.ndarray, times: np.ndarray | None = None) -> None:
        """grad += gradient, as a layer's backward does: `self.weight.add_grad(x.T @ g)`.

        The same as `self.weight.grad += x.T @ g`, but after `zero_grad` it writes where that would
        write zeros and then add. `add_grad(x.T, times=g)` is that product too: then not even an
        array for the product is needed, which tells where the weight is large.

        Args:
            gradient: in the shape of `data`; or, with `times`, the left factor of a product.
            times: the right factor of the product, two matrices (default None: no product).

        Raises:
            ValueError: when the gradient has another shape than `data`.
        """
        if times is not None:
            own = self._grad
            if self._cleared and (len(gradient), times.shape[-1]) == own.shape:
                # dot is half a microsecond faster, but copies rows with gaps, and does not cast
                if gradient.flags.forc and gradient.dtype == times.dtype == own.dtype:
                    gradient.dot(times, own)
                else:
                    np.matmul(gradient, times, out=own)
                self._cleared = False
                return
            gradient = gradient @ times
        if np.shape(gradient) != self._grad.shape:
            raise ValueError(
                f"{type(self).__name__}.add_grad: expected shape {self.shape}, "
                f"got {np.shape(gradient)}"
            )
        if self._cleared:
            self._grad[...] = gradient
            self._cleared = False
        else:
            self._grad += gradient

    def memory_of_grad(self) -> tuple[np.ndarray, float]:
        """The gradient's memory, to be written next, and what counts of what stands there: 1 or 0.

        For kernels that compute m ← product + keep · m.
        """
        keep = 0.0 if self._cleared else 1.0
        self._cleared = False
        return self._grad, keep

    @property
    def trainable(self) -> bool:
        """Whether an optimizer updates this parameter (default True).

        A frozen one is outside update, decay and norm clipping; backward still adds to its `grad`.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = FLAG.checked(f"{type(self).__name__}.trainable", value)
        if self._owner is not None:
            self._owner.stale = True

    def zero_grad(self) -> None:
        """Set the gradient to zero.

        The zeros are written when somebody looks: as a rule the next backward overwrites them.
        """
        self._cleared = True

    def settle(self) -> None:
        """Write the zeros that `zero_grad` has put off (for those who read the memory itself)."""
        if self._cleared:
            self._grad.fill(0)
            self._cleared = False

    def claim(self, owner: Owner) -> None:
        """Make `owner` the one that updates this parameter (for optimizers)."""
        if self._owner is not None and self._owner is not owner:
            self._owner.displaced = True
        self._owner = owner

    def move_into(self, data: np.ndarray, grad: np.ndarray) -> None:
        """Move values and gradient into other memory of the same shape (for optimizers)."""
        np.copyto(data, self._data)
        np.copyto(grad, self._grad)
        self._data, self._grad = data, grad

    def cast(self, dtype: DTypeLike) -> None:
        """Give floating `data` and `grad` another dtype, in memory of their own."""
        super().cast(dtype)
        self._grad = self.grad.astype(self._data.dtype)

    def adopt(self, values: np.ndarray) -> None:
        """Make this array the values, in place of first values that were not drawn (for files)."""
        super().adopt(values)
        self._grad = self._zeros()
        self._cleared = True

    def _zeros(self) -> np.ndarray:
        return np.zeros(self.shape, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """A copy (deepcopy, pickle) has memory of its own and belongs to no optimizer yet."""
        # the zeros that zero_grad has put off are not written here: someone may be in the middle
        # of a backward
        grad = self._zeros() if self._cleared else self._grad.copy()
        own = {"_data": self._data.copy(), "_grad": grad, "_owner": None}
        return vars(self) | own

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """From the same state, whose arrays are copies already."""
        made = memo[id(self)] = object.__new__(type(self))
        for name, value in self.__getstate__().items():
            own = name in ("_data", "_grad")
            vars(made)[name] = value if own else copy.deepcopy(value, memo)
        return made

    def __repr__(self) -> str:
        return super().__repr__() if self._trainable else f"{super().__repr__()[:-1]}, frozen)"


class Computed(Parameter):
    """Stands in a layer for one of its parameters, and is computed from others in each forward.

    No optimizer trains it and no file holds it: it is not found among a model's parts.
    """

    def put(self, values: np.ndarray) -> None:
        """Make these the values of the next pass; the gradient gets their dtype.

        In a layer that was built for a file it has no memory yet: nothing in the file fills it.
        """
        self._data = values
        if self._grad.dtype != values.dtype or not self._grad.flags.c_contiguous:
            self._grad = self._zeros()
