"""Networks as scikit-learn's estimators: `NNClassifier` and `NNRegressor`.

    from nnlite.interop.sklearn import MLP, NNClassifier

    pipeline = make_pipeline(StandardScaler(), NNClassifier(MLP(hidden=(64,)), epochs=20))
    search = GridSearchCV(pipeline, {"nnclassifier__model__dropout": [0.0, 0.2]}, n_jobs=2)

They need scikit-learn (`pip install "nnlite[sklearn]"`), and so does this import.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Self

import numpy as np

from nnlite import layers, optimizers
from nnlite.core.arguments import named_here
from nnlite.core.construction import clone
from nnlite.core.foreign import kind_of
from nnlite.core.inputs import as_input
from nnlite.core.parameter import FLAG
from nnlite.core.random import scope
from nnlite.core.rows import Rows
from nnlite.data import train_test_split
from nnlite.layers import Dropout, Layer, Linear, Sequential
from nnlite.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    FocalLoss,
    Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
)
from nnlite.ops.softmax import log_softmax
from nnlite.ops.special import bend
from nnlite.optimizers import Optimizer
from nnlite.training import EarlyStopping, History, Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        "nnlite.interop.sklearn needs scikit-learn 1.7 or later: "
        'python -m pip install "nnlite[sklearn]"'
    ) from error

__all__ = ["MLP", "Build", "NNClassifier", "NNRegressor"]

OPTIMIZERS = {n.lower(): getattr(optimizers, n) for n in optimizers.__all__ if n != "Optimizer"}
ACTIVATIONS = {
    name.lower(): getattr(layers, name)
    for name in layers.__all__
    if getattr(layers, name).__module__.startswith("nnlite.layers.activations")
    and name not in ("Elementwise", "Lambda", "GLU")  # GLU's y has half the size of x
}
DTYPES = ("float32", "float64", np.float32, np.float64)
# The losses whose predictions are probabilities in some form.
OF_CLASSES = CrossEntropyLoss | FocalLoss | NLLLoss
OF_LABELS = BCEWithLogitsLoss | BCELoss

# -- what a model is built from --------------------------------------------------------------------


class MLP(BaseEstimator):
    """A multi-layer perceptron: linear layers, each but the last with an activation and dropout.

    Args:
        hidden: the sizes between input and output; () is a linear model (default (100,)).
        activation: the name of an activation in any case, such as "relu" or "tanh", or what makes
            one: `nn.PReLU` (default "relu").
        dropout: the share that is dropped behind each activation (default 0).
    """

    @named_here
    def __init__(
        self,
        hidden: Iterable[int] = (100,),
        activation: str | Callable[[], Layer] = "relu",
        dropout: float = 0.0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout

    def __call__(self, n_features: int, n_outputs: int) -> Layer:
        """A model of these sizes."""
        activation = _by_name("MLP: activation", self.activation, ACTIVATIONS)
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Iterable):
            raise TypeError(
                f"MLP: hidden must be the sizes of the layers, such as (64, 32), got "
                f"{self.hidden!r}"
            )
        parts: list[Layer] = []
        for size in self.hidden:
            parts += [Linear(n_features, size), activation()]
            parts += [Dropout(self.dropout)] if self.dropout else []
            n_features = size
        return Sequential(*parts, Linear(n_features, n_outputs))


class Build(BaseEstimator):
    """A model that a function of your own builds once its sizes are known.

        def net(n_features, n_outputs, width=16):
            first, last = nn.Linear(n_features, width), nn.Linear(width, n_outputs)
            return nn.Sequential(first, nn.Tanh(), last)

        NNClassifier(Build(net, width=32))

    A grid search varies the arguments as `model__width`, those that are not given here too.

    Args:
        function: called with the number of features, that of outputs, and the arguments.
        arguments: what else it is called with.
    """

    def __init__(self, function: Callable[..., Layer], **arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The function and its arguments."""
        return {"function": self.function, **self.arguments}

    def set_params(self, **params: Any) -> Self:
        """Another function, or other arguments.

        Raises:
            ValueError: for an argument that the function does not take.
        """
        function = params.pop("function", self.function)
        arguments = {**self.arguments, **params}
        self._check(function, arguments)
        self.function, self.arguments = function, arguments
        return self

    def __call__(self, n_features: int, n_outputs: int) -> Layer:
        """A model of these sizes."""
        self._check(self.function, self.arguments)
        return self.function(n_features, n_outputs, **self.arguments)

    def _check(self, function: Any, arguments: dict[str, Any]) -> None:
        if not callable(function):
            raise TypeError(
                "Build: function must be a function f(n_features, n_outputs, …) that returns a "
                f"layer, got {kind_of(function)}"
            )
        try:
            inspect.signature(function).bind(0, 0, **arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Build: {getattr(function, '__name__', function)} is called with the number of "
                f"features, that of outputs, and {sorted(arguments)}: {error}"
            ) from None


def _by_name(name: str, value: Any, known: dict[str, Any]) -> Any:
    """What a name stands for; anything else that can be called as it is."""
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if isinstance(value, str) or not callable(value):
        raise ValueError(f"{name} must be one of {', '.join(sorted(known))}, got {value!r}")
    return value


# -- the estimators --------------------------------------------------------------------------------


class _Estimator(BaseEstimator):
    """What classifier and regressor have in common: checks, the model, its training.

    A subclass says what y means: `_read` checks its form, `_learn` keeps what all of it tells
    (classes), `_targets` are what the loss takes, `_n_outputs` what the model has to give.
    """

    model_: Layer
    trainer_: Trainer
    history_: History

    @named_here
    def __init__(
        self,
        model: Any = (100,),
        *,
        loss: Loss | None = None,
        optimizer: str | Callable[..., Optimizer] = "adam",
        lr: Any = 1e-3,
        weight_decay: Any = 0.0,
        epochs: int = 100,
        batch_size: int | None = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Any = None,
        warm_start: bool = False,
        dtype: Any = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, classes: Any, partial: bool
    ) -> Self:
        warm_start = FLAG.checked("warm_start", self.warm_start)
        new = not hasattr(self, "model_") or not (partial or warm_start)
        X, y = self._checked(X, y, reset=new)
        if new:
            self._learn(y, classes)
        loss = self._new_loss() if new or not partial else self.trainer_.loss
        arrays = (X, self._targets(y, loss), self._weights(X, y, sample_weight, learn=True))
        if validation_data is not None:
            validation_data = self._validation(validation_data, loss)
        if not isinstance(self.callbacks, list | tuple | None):
            raise TypeError(f"callbacks must be a list of nnlite's, got {kind_of(self.callbacks)}")
        callbacks = list(self.callbacks or ())
        with nullcontext() if self.random_state is None else scope(self.random_state):
            model = self._new_model(X, loss) if new else self.model_
            trainer = self._new_trainer(model, loss) if new or not partial else self.trainer_
            if FLAG.checked("early_stopping", self.early_stopping):
                callbacks.append(EarlyStopping(patience=self.patience))
                if validation_data is None:
                    arrays, validation_data = self._split(arrays)
        x, targets, weight = arrays
        history = trainer.fit(
            _fed(x),
            targets,
            epochs=1 if partial else self.epochs,
            batch_size=len(targets) if self.batch_size is None else self.batch_size,
            validation_data=validation_data,
            callbacks=callbacks,
            sample_weight=weight,
            verbose=self.verbose,
        )
        if new:
            self.history_ = History()
        for epoch in range(history.epochs):
            self.history_.append({name: column[epoch] for name, column in history.items()})
        self.model_, self.trainer_, self.n_iter_ = model, trainer, self.history_.epochs
        return self

    # -- data ------------------------------------------------------------------------------------

    def _checked(self, X: Any, *y: Any, reset: bool = False) -> Any:
        """X as floats, (N, D), an array or a sparse matrix of rows; and y, where it is given."""
        options: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        try:
            if not y:
                return validate_data(self, X, reset=reset, **options)
            x, targets = validate_data(self, X, *y, reset=reset, multi_output=True, **options)
            return x, self._read(targets.toarray() if hasattr(targets, "toarray") else targets)
        except (TypeError, ValueError) as error:
            named = _column_error("X", X) or (self._target_error(*y) if y else None)
            raise named or error from None

    def _validation(self, data: Any, loss: Loss) -> tuple[Any, ...]:
        if not isinstance(data, list | tuple) or len(data) not in (2, 3):
            raise ValueError(
                f"fit: validation_data must be (X, y) or (X, y, sample_weight), got {kind_of(data)}"
            )
        X, y = self._checked(*data[:2])
        weight = self._weights(X, y, (*data, None)[2])
        return _without_none(_fed(X), self._targets(y, loss), weight)

    def _split(self, arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What to train on, and what to validate with."""
        targets = arrays[1]
        classes = targets if targets.ndim == 1 else None  # a share of each
        rows = np.arange(len(targets))
        try:
            train, held_out = train_test_split(
                rows, test_size=self.validation_fraction, stratify=classes
            )
        except ValueError as error:
            raise ValueError(f"early_stopping with validation_fraction: {error}") from None
        kept, left = (
            tuple(None if a is None else a[part] for a in arrays) for part in (train, held_out)
        )
        return kept, _without_none(_fed(left[0]), *left[1:])

    def _weights(
        self, X: Any, y: np.ndarray, sample_weight: Any, learn: bool = False
    ) -> np.ndarray | None:
        """One weight per sample, or None where all count the same.

        `learn` is True for the data to train on.
        """
        if sample_weight is None:
            return None
        numbers = as_input("sample_weight", sample_weight)
        weight = _check_sample_weight(numbers, X, ensure_non_negative=True)
        if not weight.any():
            raise ValueError("sample_weight: all weights are zero, so there is nothing to learn")
        return weight

    # -- the model -------------------------------------------------------------------------------

    def _new_loss(self) -> Loss:
        if self.loss is None:
            return self._default_loss()
        if not isinstance(self.loss, Loss):
            raise TypeError(f"loss must be a loss such as nn.HuberLoss(), got {self.loss!r}")
        return copy.deepcopy(self.loss)

    def _new_model(self, X: Any, loss: Loss) -> Layer:
        """What `model` describes, for as many features and outputs as there are."""
        if self.dtype not in DTYPES:
            raise ValueError(f'dtype must be "float32" or "float64", got {self.dtype!r}')
        given = self.model
        outputs = self._n_outputs(loss)
        sizes = X.shape[1], outputs
        if isinstance(given, Layer):
            model = clone(given)
        elif callable(given):
            model = given(*sizes)
        else:
            model = MLP(given)(*sizes)
        if not isinstance(model, Layer):
            raise TypeError(f"model must build a layer such as nn.Sequential, got {kind_of(model)}")
        model = model.astype(self.dtype)
        first = model.predict(_fed(X[:1]))
        shape = getattr(first, "shape", type(first).__name__)
        if shape != (1, outputs):
            raise ValueError(
                f"the model must give {outputs} numbers for each sample, shape (N, {outputs}), "
                f"got {shape} for one sample"
            )
        return model

    def _new_trainer(self, model: Layer, loss: Loss) -> Trainer:
        make = _by_name("optimizer", self.optimizer, OPTIMIZERS)
        optimizer = make(model.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        return Trainer(model, loss, optimizer)

    def _scores(self, X: Any) -> np.ndarray:
        """What the model gives, (N, outputs), in the dtype of X."""
        check_is_fitted(self, "model_")
        X = self._checked(X)
        return self.model_.predict(_fed(X)).astype(X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _fed(X: Any) -> Any:
    """What a trainer takes: of a sparse matrix, only the rows of a batch become dense."""
    return Rows(X, numbers=np.arange(X.shape[0])) if hasattr(X, "toarray") else np.asarray(X)


def _without_none(x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    return (x, y) if weight is None else (x, y, weight)


def _column_error(name: str, values: Any) -> Exception | None:
    """What is wrong with a data frame, whose column is named, or a series of numbers."""
    try:
        if hasattr(values, "iloc"):
            as_input(name, values)
    except (TypeError, ValueError) as error:
        return error
    return None


class NNClassifier(ClassifierMixin, _Estimator):
    """A network that classifies, as scikit-learn's estimators do.

    y holds the classes, numbers or strings, or for several labels at once a matrix (N, L) of 0
    and 1. The data is what scikit-learn takes: arrays, data frames, sparse matrices, of which a
    batch at a time becomes dense.

    Args:
        model: sizes of hidden layers; an `MLP` or a `Build`, whose arguments a grid search can
            vary; a function f(n_features, n_outputs) that returns a layer; or a layer, of which
            each `fit` trains a fresh clone (default (100,)). There is one output for each class
            (at least two) or label; with a loss for two classes, one for both.
        loss: default None, `nn.CrossEntropyLoss()`, and `nn.BCEWithLogitsLoss()` for labels.
        optimizer: the name of an optimizer in any case, or what makes one of (parameters, lr=…,
            weight_decay=…): `nn.Lion`, `functools.partial(nn.SGD, momentum=0.9)` (default "adam").
        lr: the learning rate, or a schedule (default 0.001).
        weight_decay: as of the optimizer (default 0).
        epochs: passes over the data (default 100).
        batch_size: samples of a step; None for all (default 32).
        early_stopping: whether to end when the loss on a part set aside no longer falls, with the
            best weights (default False).
        validation_fraction: how large that part is (default 0.1); it has a share of each class.
        patience: after how many epochs without a smaller loss (default 10).
        callbacks: callbacks of nnlite (default None: none).
        class_weight: a weight for each class, {class: weight}, or "balanced" (default None: all 1).
        warm_start: whether `fit` goes on with the weights that are there, and a new optimizer
            (default False).
        dtype: what the model computes in, "float32" or "float64" (default "float32").
        random_state: an integer, a RandomState or a Generator for all that is drawn (default None:
            see `nn.seed`).
        verbose: whether to show progress (default False).

    Attributes:
        model_: the trained layer.
        trainer_: its trainer.
        history_: what the epochs since the weights were drawn have measured, a `History`.
        classes_: the classes in order, or the numbers of the labels.
        n_iter_: how many epochs there were.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    @named_here
    def __init__(
        self,
        model: Any = (100,),
        *,
        loss: Loss | None = None,
        optimizer: str | Callable[..., Optimizer] = "adam",
        lr: Any = 1e-3,
        weight_decay: Any = 0.0,
        epochs: int = 100,
        batch_size: int | None = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Any = None,
        class_weight: Any = None,
        warm_start: bool = False,
        dtype: Any = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        # all names stand in the signature again: scikit-learn reads the parameters off this one
        super().__init__(
            model,
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            callbacks=callbacks,
            warm_start=warm_start,
            dtype=dtype,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train a new model, or with `warm_start` the one that is there.

        Args:
            X, y: (N, D) and (N,) or (N, L).
            sample_weight: one weight per sample (default None: all 1).
            validation_data: (X, y) or (X, y, sample_weight), to measure after each epoch, and for
                `early_stopping` in place of a part of the data (default None).

        Raises:
            ValueError, TypeError: for data or settings that do not fit.
        """
        return self._fit(X, y, sample_weight, validation_data, None, partial=False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch more on this data; the optimizer goes on as it was.

        Args:
            X, y, sample_weight: as for `fit`.
            classes: all that will ever come, needed in the first call, unless y holds labels.

        Raises:
            ValueError: when they are missing, or for what needs all data at once.
        """
        if self.early_stopping or self.class_weight == "balanced":
            raise ValueError(
                'partial_fit: early_stopping and class_weight="balanced" need all data at once; '
                "use fit, or give weights by class"
            )
        first = not hasattr(self, "model_")
        if first and classes is None and np.ndim(y) != 2:
            raise ValueError(
                "partial_fit: the first call needs all classes that will ever come: classes=[…]"
            )
        if (
            not first
            and classes is not None
            and not np.array_equal(np.unique(classes), self.classes_)
        ):
            raise ValueError(
                f"partial_fit: classes={classes} are not those of the first call, {self.classes_}"
            )
        return self._fit(X, y, sample_weight, None, classes, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each row; of labels, a matrix of 0 and 1."""
        scores = self._scores(X)
        loss = self.trainer_.loss
        if not loss.multi_label:
            return self.classes_[scores[:, : len(self.classes_)].argmax(axis=1)]
        there = (scores > loss.decision_threshold).astype(int)
        if self._labels:
            return there
        return self.classes_[np.minimum(there[:, 0], len(self.classes_) - 1)]

    @available_if(lambda self: self.loss is None or isinstance(self.loss, OF_CLASSES | OF_LABELS))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`, exact where a probability rounds to 0 or 1."""
        scores = self._scores(X).astype(np.float64, copy=False)
        loss = self.trainer_.loss
        if isinstance(loss, OF_CLASSES):
            # of one class there are two scores; log-probabilities are their own log-softmax
            return log_softmax(scores[:, : len(self.classes_)])
        absent, present = _log_of_label(scores, loss)
        if self._labels:
            return present
        if len(self.classes_) == 1:
            return np.zeros_like(present)
        return np.concatenate([absent, present], axis=1)

    @available_if(lambda self: self.loss is None or isinstance(self.loss, OF_CLASSES | OF_LABELS))
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, classes); of labels, that of each to be there.

        In float64, so that they sum to 1 as exactly as scikit-learn's metrics ask for.
        """
        return np.exp(self.predict_log_proba(X))

    def _default_loss(self) -> Loss:
        return BCEWithLogitsLoss() if self._labels else CrossEntropyLoss()

    def _read(self, y: np.ndarray) -> np.ndarray:
        """Classes (N,), or labels (N, L)."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if y.ndim == 2 and type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "y must be classes (N,), or labels (N, L) of 0 and 1, got several classes for "
                f"each sample, shape {y.shape}; train a classifier for each column, as "
                "sklearn.multioutput.MultiOutputClassifier does"
            )
        return y

    def _target_error(self, y: Any) -> Exception | None:
        """Missing classes in a series, by their row."""
        series = hasattr(y, "isna") and np.ndim(y) == 1
        missing = np.flatnonzero(y.isna() if series else ())
        if not missing.size:
            return None
        return ValueError(f"y has missing values, the first in row {missing[0]}; leave them out")

    def _learn(self, y: np.ndarray, classes: Any) -> None:
        self._labels = y.ndim == 2
        if self._labels:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_ = np.unique(y if classes is None else np.asarray(classes))

    def _n_outputs(self, loss: Loss) -> int:
        if loss.multi_label and not self._labels:
            return 1
        return len(self.classes_) if self._labels else max(2, len(self.classes_))

    def _targets(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        """Numbers of classes (N,); for a loss of labels, each as 0 or 1, (N, L)."""
        if (y.ndim == 2) != self._labels or (self._labels and y.shape[1] != len(self.classes_)):
            was = f"labels (N, {len(self.classes_)})" if self._labels else "classes (N,)"
            raise ValueError(f"y must be {was} as in the first call, got shape {y.shape}")
        if self._labels:
            if not loss.multi_label:
                raise ValueError(
                    f"{loss!r} is for one class for each sample; for labels, y (N, L), give "
                    "nn.BCEWithLogitsLoss()"
                )
            return y
        numbers = self._numbers(y)
        if not loss.multi_label:
            return numbers
        if len(self.classes_) > 2:
            raise ValueError(
                f"{loss!r} is for two classes or for labels, and y has {len(self.classes_)} "
                "classes; give nn.CrossEntropyLoss()"
            )
        return numbers[:, None]

    def _numbers(self, y: np.ndarray) -> np.ndarray:
        """The place of each class in `classes_`."""
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has classes that are not among those learned first: {unknown[:5].tolist()}; "
                f"there were {self.classes_[:10].tolist()}"
            )
        return np.searchsorted(self.classes_, y)

    def _weights(
        self, X: Any, y: np.ndarray, sample_weight: Any, learn: bool = False
    ) -> np.ndarray | None:
        """Sample weights times the weights of the classes, "balanced" as in training."""
        weight = super()._weights(X, y, sample_weight)
        if self.class_weight is None:
            return weight
        if self._labels:
            raise ValueError(
                "class_weight is for classes, y (N,); for labels give "
                "loss=nn.BCEWithLogitsLoss(pos_weight=…)"
            )
        if learn:
            self._class_weights = compute_class_weight(
                self.class_weight, classes=self.classes_, y=y, sample_weight=weight
            )
        by_class = self._class_weights[self._numbers(y)]
        return by_class if weight is None else weight * by_class

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _log_of_label(scores: np.ndarray, loss: Loss) -> tuple[np.ndarray, np.ndarray]:
    """(log(1 − p), log p) of each label."""
    if isinstance(loss, BCELoss):
        with np.errstate(divide="ignore"):  # log 0 = −∞
            return np.log1p(-scores), np.log(scores)
    rest = bend(scores)  # log σ(z) = min(z, 0) − log(1 + e^−|z|)
    return np.minimum(-scores, 0) - rest, np.minimum(scores, 0) - rest


class NNRegressor(RegressorMixin, _Estimator):
    """A network that predicts numbers, as scikit-learn's estimators do.

    y holds one number for each sample, (N,), or several, (N, K); predictions have its shape. They
    are not scaled: for targets far from 0 or of a size far from 1, wrap it in scikit-learn's
    `TransformedTargetRegressor(NNRegressor(), transformer=StandardScaler())`.

    Args:
        loss: default None, `nn.MSELoss()`.
        model, optimizer, lr, weight_decay, epochs, batch_size, early_stopping,
            validation_fraction, patience, callbacks, warm_start, dtype, random_state, verbose: as
            for `NNClassifier`; the model has one output for each number.

    Attributes:
        model_, trainer_, history_, n_iter_, n_features_in_, feature_names_in_: as there.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train a new model, or with `warm_start` the one that is there; see `NNClassifier.fit`."""
        return self._fit(X, y, sample_weight, validation_data, None, partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch more on this data; the optimizer goes on as it was.

        Raises:
            ValueError: with `early_stopping`, which needs all data at once.
        """
        if self.early_stopping:
            raise ValueError("partial_fit: early_stopping needs all data at once; use fit")
        return self._fit(X, y, sample_weight, None, None, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """The numbers for each row, (N,) or (N, K) as y was, in the dtype of X."""
        scores = self._scores(X)
        loss = self.trainer_.loss
        if isinstance(loss, PoissonNLLLoss) and loss.log_input:
            scores = np.exp(scores)  # the model gives log λ
        return scores.reshape(len(scores), *self._shape)

    def _default_loss(self) -> Loss:
        return MSELoss()

    def _read(self, y: np.ndarray) -> np.ndarray:
        """Floats, in a dtype that the loss takes to the model's."""
        return y.astype(np.float64)

    def _target_error(self, y: Any) -> Exception | None:
        return _column_error("y", y)

    def _learn(self, y: np.ndarray, classes: Any) -> None:
        self._shape = y.shape[1:]

    def _n_outputs(self, loss: Loss) -> int:
        return self._shape[0] if self._shape else 1

    def _targets(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        """(N, K), where K is 1 for y (N,)."""
        if y.shape[1:] != self._shape:
            raise ValueError(
                f"y must have shape {('N', *self._shape)} as in the first call, got {y.shape}"
            )
        return y.reshape(len(y), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
