"""Parameters and buffers: dtypes, and memory that is written in place."""

import copy
import pickle

import numpy as np
import pytest

import nnlite as nn

both = pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])


@both
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (1.5, np.float32),
        ([1.0, 2.0], np.float32),
        (np.ones(2, np.float16), np.float32),
        (np.ones(2, np.float64), np.float32),
        (np.ones(2, np.longdouble), np.float32),
        ([1, 2], np.int64),
        (np.ones(2, np.int8), np.int8),
        (np.ones(2, np.uint16), np.uint16),
        ([True, False], np.bool_),
    ],
)
def test_floats_become_float32_and_the_rest_stays(kind, data, expected):
    array = kind(data)
    assert array.dtype == array.data.dtype == expected
    np.testing.assert_array_equal(array.data, data)


@both
@pytest.mark.parametrize("dtype", [np.float16, np.float64, "float32", np.int32])
def test_dtype_overrules(kind, dtype):
    assert kind([1.0, 2.0], dtype=dtype).dtype == dtype


@both
@pytest.mark.parametrize(
    "data", ["text", ["a", "b"], None, [None], [{}], [1 + 2j], np.array(["2000"], "M8[D]")]
)
def test_what_is_not_a_number_is_refused(kind, data):
    with pytest.raises(TypeError, match=r"must be an array, got|of numbers, got dtype"):
        kind(data)


@both
@pytest.mark.parametrize("dtype", [object, str, complex])
def test_a_dtype_that_is_not_a_number_is_refused(kind, dtype):
    with pytest.raises(TypeError, match="dtype must be a dtype of numbers"):
        kind([1.0], dtype=dtype)


@both
@pytest.mark.parametrize("source", [np.ones((2, 3), np.float32), np.ones((3, 2), np.float32).T])
def test_data_is_a_contiguous_copy(kind, source):
    array = kind(source)
    assert not np.shares_memory(array.data, source)
    assert array.data.flags.c_contiguous
    assert array.data.flags.writeable


@both
def test_shape_and_size(kind):
    array = kind(np.zeros((2, 3, 4)))
    assert array.shape == (2, 3, 4)
    assert array.size == 24
    assert repr(array) == f"{kind.__name__}(shape (2, 3, 4), float32)"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_grad_begins_as_zeros_like_data(dtype):
    parameter = nn.Parameter(np.ones((2, 3)), dtype=dtype)
    assert parameter.grad.shape == (2, 3)
    assert parameter.grad.dtype == dtype
    assert not parameter.grad.any()
    assert not np.shares_memory(parameter.grad, parameter.data)


SETTABLE = [(nn.Parameter, "data"), (nn.Parameter, "grad"), (nn.Buffer, "data")]
each_setter = pytest.mark.parametrize(("kind", "name"), SETTABLE)


@each_setter
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_assignment_writes_in_place(kind, name, dtype):
    array = kind(np.zeros((2, 2)))
    alias = getattr(array, name)
    value = np.array([[1, 2], [3, 4]], dtype)
    setattr(array, name, value)
    assert getattr(array, name) is alias
    assert alias.dtype == np.float32
    np.testing.assert_array_equal(alias, value)
    value[:] = 9
    assert not (alias == 9).any()


@each_setter
def test_augmented_assignment_writes_in_place(kind, name):
    array = kind(np.zeros(2))
    alias = getattr(array, name)
    setattr(array, name, [1.0, 2.0])
    if name == "data":
        array.data += np.float64(1)
        array.data *= 2
    else:
        array.grad += np.float64(1)
        array.grad *= 2
    assert getattr(array, name) is alias
    np.testing.assert_array_equal(alias, [4, 6])


def test_setting_one_leaves_the_other():
    parameter = nn.Parameter([1.0, 2.0])
    parameter.grad = [3, 4]
    np.testing.assert_array_equal(parameter.data, [1, 2])
    parameter.data = [5, 6]
    np.testing.assert_array_equal(parameter.grad, [3, 4])


@both
def test_assigning_its_own_transpose(kind):
    array = kind(np.arange(9.0).reshape(3, 3))
    array.data = array.data.T
    np.testing.assert_array_equal(array.data, np.arange(9.0).reshape(3, 3).T)


@each_setter
@pytest.mark.parametrize("value", [np.ones((3, 2)), np.ones(3), np.ones((1, 3)), 1.0, []])
def test_another_shape_is_refused_and_changes_nothing(kind, name, value):
    array = kind(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="expected shape") as caught:
        setattr(array, name, value)
    assert str(caught.value) == (
        f"{kind.__name__}.{name}: expected shape (2, 3), got {np.shape(value)}"
    )
    assert not getattr(array, name).any()


@each_setter
@pytest.mark.parametrize("value", [[1j, 0], ["a", "b"], [None, None]])
def test_values_of_another_kind_are_refused(kind, name, value):
    array = kind([0.0, 0.0])
    with pytest.raises(TypeError, match=rf"^{kind.__name__}.{name}: expected float32, got dtype"):
        setattr(array, name, value)
    assert not getattr(array, name).any()


def test_floats_do_not_become_integers_unasked():
    buffer = nn.Buffer([1, 2])
    with pytest.raises(TypeError, match=r"^Buffer\.data: expected int64, got dtype float64$"):
        buffer.data = [0.5, 1.5]
    np.testing.assert_array_equal(buffer.data, [1, 2])


def test_zero_grad_keeps_the_memory():
    parameter = nn.Parameter([1.0, 2.0])
    alias = parameter.grad
    parameter.grad = [3.0, np.nan]
    parameter.zero_grad()
    assert parameter.grad is alias
    np.testing.assert_array_equal(alias, [0, 0])
    np.testing.assert_array_equal(parameter.data, [1, 2])


def test_trainable_is_a_flag_that_repr_shows():
    parameter = nn.Parameter([1.0])
    assert parameter.trainable is True
    parameter.trainable = False
    assert parameter.trainable is False
    assert repr(parameter) == "Parameter(shape (1,), float32, frozen)"
    parameter.trainable = True
    assert repr(parameter) == "Parameter(shape (1,), float32)"


def test_a_buffer_is_not_a_parameter():
    buffer = nn.Buffer([1.0])
    assert not isinstance(buffer, nn.Parameter)
    assert not hasattr(buffer, "grad")
    assert not hasattr(buffer, "trainable")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_have_memory_of_their_own(copied):
    parameter = nn.Parameter([1.0, 2.0], dtype=np.float64)
    parameter.grad = [3, 4]
    parameter.trainable = False
    other = copied(parameter)
    assert other.dtype == np.float64
    assert other.trainable is False
    parameter.data = parameter.grad = [0, 0]
    np.testing.assert_array_equal(other.data, [1, 2])
    np.testing.assert_array_equal(other.grad, [3, 4])


@pytest.mark.parametrize(("data", "expected"), [([1.0, 2.0], np.float64), ([1, 2], np.int64)])
def test_cast_changes_floats_only(data, expected):
    parameter = nn.Parameter(data)
    parameter.grad = [3, 4]
    parameter.cast(np.float64)
    assert parameter.data.dtype == parameter.grad.dtype == expected
    np.testing.assert_array_equal(parameter.data, data)
    np.testing.assert_array_equal(parameter.grad, [3, 4])


def test_move_into_takes_values_along():
    parameter = nn.Parameter([1.0, 2.0])
    parameter.grad = [3, 4]
    flat = np.zeros((2, 2), np.float32)
    parameter.move_into(flat[0], flat[1])
    np.testing.assert_array_equal(flat, [[1, 2], [3, 4]])
    parameter.data = [5, 6]
    parameter.grad += 1
    np.testing.assert_array_equal(flat, [[5, 6], [4, 5]])


def test_a_product_is_added_to_the_gradient():
    p = nn.Parameter(np.zeros((2, 3)))
    a, b = np.ones((2, 4), np.float32), np.ones((4, 3), np.float32)
    p.add_grad(a, times=b)
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 4))
    p.add_grad(a, times=b)
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 8))
    p.add_grad(a @ b)
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 12))


@pytest.mark.parametrize("cleared", [True, False])
@pytest.mark.parametrize("wrong", [(np.ones(3),), (1.0,), (np.ones((3, 2)), np.ones((2, 3)))])
def test_a_gradient_of_another_shape_is_refused(cleared, wrong):
    p = nn.Parameter(np.zeros((2, 3)))
    if not cleared:
        p.add_grad(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"add_grad: expected shape \(2, 3\), got"):
        p.add_grad(*wrong)
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 0 if cleared else 1))


@pytest.mark.parametrize("write", ["assign", "add", "entry"])
def test_what_was_written_into_a_cleared_gradient_stays(write):
    p = nn.Parameter(np.zeros(3))
    p.zero_grad()
    if write == "assign":
        p.grad = np.ones(3)
    elif write == "add":
        p.grad += 1
    else:
        p.grad[:] = 1
    p.add_grad(np.full(3, 5))
    np.testing.assert_array_equal(p.grad, np.full(3, 6))


LOOK = {
    "read": lambda p: p.grad,
    "copy": lambda p: copy.deepcopy(p).grad,
    "pickle": lambda p: pickle.loads(pickle.dumps(p)).grad,
    "cast": lambda p: (p.cast(np.float64), p.grad)[1],
    "move": lambda p: (p.move_into(np.empty(3), np.empty(3)), p.grad)[1],
    "add": lambda p: (p.add_grad(np.zeros(3)), p.grad)[1],
}


@pytest.mark.parametrize("look", LOOK.values(), ids=LOOK)
def test_a_cleared_gradient_is_zero_whatever_was_there(look):
    p = nn.Parameter(np.zeros(3))
    p.grad[:] = np.nan
    p.zero_grad()
    np.testing.assert_array_equal(look(p), np.zeros(3))


def test_a_refused_assignment_leaves_a_gradient_cleared():
    p = nn.Parameter(np.zeros(3))
    p.grad[:] = 7
    p.zero_grad()
    with pytest.raises(ValueError, match="expected shape"):
        p.grad = np.ones(4)
    np.testing.assert_array_equal(p.grad, np.zeros(3))


def test_a_cleared_gradient_moves_nothing():
    p, frozen = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(2))
    optimizer = nn.SGD([p, frozen], lr=0.1)
    frozen.trainable = False
    p.grad[:] = frozen.grad[:] = 7
    optimizer.zero_grad()
    optimizer.step()
    np.testing.assert_array_equal(p.data, np.ones(3))
    np.testing.assert_array_equal(frozen.grad, np.zeros(2))
