"""What users of Keras, PyTorch and scikit-learn look for, and what it is called here.

Only errors about names that are missing look here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

# In the package, `nn.<name>`: what to write instead. Classes that `checks.OTHER_NAMES` has, and
# names that differ in their case only, are found without being listed.
IN_PACKAGE = {
    "Module": "nn.Layer, whose subclass writes forward and backward",
    "Model": "nn.Sequential(…), or a subclass of nn.Layer",
    "models": "nn.Sequential(…), nn.save_model, nn.load_model",
    "functional": "nn.ReLU(), nn.Softmax() and the like: all functions are layers",
    "F": "nn.ReLU(), nn.Softmax() and the like: all functions are layers",
    "optim": "nn.optimizers",
    "metric": "nn.metrics",
    "datasets": "nn.data",
    "preprocessing": "nn.data",
    "init": "nn.initializers",
    "regularizers": "nn.L1Penalty(…), nn.L2Penalty(…), or weight_decay= of an optimizer",
    "L1": "nn.L1Penalty(…), or the loss nn.MAELoss()",
    "L2": "nn.L2Penalty(…), weight_decay= of an optimizer, or the loss nn.MSELoss()",
    "neural_network": "NNClassifier and NNRegressor of nnlite.interop.sklearn",
    "lr_scheduler": "nn.schedules",
    "StepLR": "nn.StepSchedule(…)",
    "MultiStepLR": "nn.MultiStepSchedule(…)",
    "PiecewiseConstantDecay": "nn.MultiStepSchedule(…)",
    "ExponentialLR": "nn.ExponentialSchedule(…)",
    "ExponentialDecay": "nn.ExponentialSchedule(…)",
    "PolynomialLR": "nn.PolynomialSchedule(…)",
    "PolynomialDecay": "nn.PolynomialSchedule(…)",
    "CosineAnnealingLR": "nn.CosineSchedule(…)",
    "CosineAnnealingWarmRestarts": "nn.CosineSchedule(…, restarts=True)",
    "CosineDecay": "nn.CosineSchedule(…)",
    "CosineDecayRestarts": "nn.CosineSchedule(…, restarts=True)",
    "LinearLR": "nn.WarmupSchedule(…)",
    "OneCycleLR": "nn.OneCycleSchedule(…)",
    "CyclicLR": "nn.CyclicSchedule(…)",
    "utils": "nn.data for data; clip_norm= and clip_value= of an optimizer clip gradients",
    "TensorBoard": "nn.TensorBoardLogger(folder)",
    "SummaryWriter": "nn.TensorBoardLogger(folder)",
    "clip_grad_norm_": "clip_norm= of an optimizer",
    "clip_grad_value_": "clip_value= of an optimizer",
    "callbacks": "nn.EarlyStopping(…), nn.Checkpoint(…) and the like",
    "tensor": "a NumPy array",
    "Tensor": "a NumPy array",
    "from_numpy": "the array itself",
    "Variable": "nn.Parameter(array)",
    "no_grad": "nn.inference()",
    "inference_mode": "nn.inference()",
    "set_grad_enabled": "nn.inference()",
    "GradientTape": "grad = loss.backward(), then model.backward(grad)",
    "device": "nothing: there is one device, the processor",
    "cuda": "nothing: there is one device, the processor",
    "save": "nn.save_model(model, path), or trainer.save(path) for a whole run",
    "load": "nn.load_model(path), or trainer.load(path) for a whole run",
    "manual_seed": "nn.seed(seed)",
    "set_random_seed": "nn.seed(seed)",
    "DataLoader": "trainer.fit(x, y, batch_size=…), which makes batches; see nn.data for streams",
    "TensorDataset": "trainer.fit(x, y)",
    "Dataset": "arrays, rows that load, or a stream: help(nn.Trainer.fit)",
    "ImageFolder": "a sequence that loads its rows: help(nn.Trainer.fit), and the README",
    "image_dataset_from_directory": "a sequence that loads its rows: help(nn.Trainer.fit)",
    "random_split": "nn.data.train_test_split(x, y)",
    "to_categorical": "nn.data.one_hot(y)",
    "StandardScaler": "nn.data.standardize(train, test)",
    "MNIST": "nn.data.load_digits(), or nn.data.load_idx(path) for its files",
    "pad_sequence": "nn.pad_sequences(sequences)",
    "Input": "nothing: the first layer's arguments say what it takes",
    "Activation": "the activation itself, such as nn.ReLU()",
    "BatchNormalization": "nn.BatchNorm1d(…) or nn.BatchNorm2d(…)",
    "TransformerEncoderLayer": "nn.TransformerLayer(…)",
    "TransformerEncoder": "nn.TransformerLayer(…), several in an nn.Sequential",
    "LearningRateScheduler": "a schedule as the optimizer's lr, such as nn.CosineSchedule(…)",
    "LambdaLR": "a function of the step as the optimizer's lr",
    "BackupAndRestore": 'nn.Checkpoint(path), and trainer.fit(…, resume="auto")',
    "TerminateOnNaN": "nothing: trainer.fit ends with nn.NonFiniteLossError by itself",
    "ModuleList": "nn.Sequential(…), or nn.Parallel(…) for layers side by side",
    "LSTMCell": "nn.LSTM(…), on one time step: x[:, None]",
    "GRUCell": "nn.GRU(…), on one time step: x[:, None]",
    "RNNCell": "nn.RNN(…), on one time step: x[:, None]",
    "gradcheck": "nn.check_gradients(layer, x)",
    "autograd": "no part of nnlite: every layer writes its backward; nn.check_gradients checks it",
    "compile": 'nn.set_engine("numba")',
    "fit": "nn.Trainer(model, loss, optimizer).fit(x, y)",
    "MLPClassifier": "nnlite.interop.sklearn.NNClassifier((100,))",
    "MLPRegressor": "nnlite.interop.sklearn.NNRegressor((100,))",
    "NNClassifier": "nnlite.interop.sklearn.NNClassifier",
    "NNRegressor": "nnlite.interop.sklearn.NNRegressor",
    "MLP": "nnlite.interop.sklearn.MLP, or nn.Sequential(nn.Linear(…), nn.ReLU(), …)",
}

OF_LAYER = {
    "fit": "nn.Trainer(model, loss, optimizer).fit(x, y)",
    "partial_fit": "nn.Trainer(model, loss, optimizer), whose fit goes on when it is called again",
    "train_on_batch": "trainer.train_step(x, y) of an nn.Trainer(model, loss, optimizer)",
    "evaluate": "nn.Trainer(model, loss, optimizer, metrics=[…]).evaluate(x, y)",
    "score": "nn.Trainer(model, loss, optimizer, metrics=[…]).evaluate(x, y)",
    "compile": "nn.Trainer(model, loss, optimizer, metrics=[…])",
    "summary": "print(nn.summary(model, input_shape))",
    "predict_proba": "nn.Softmax()(model.predict(x))",
    "add": "nn.Sequential(*model, layer)",
    "append": "nn.Sequential(*model, layer)",
    "add_module": "an attribute: self.layer = layer",
    "get_weights": "model.state_dict()",
    "set_weights": "model.load_state_dict(state)",
    "weights": "model.parameters()",
    "trainable_weights": "model.parameters()",
    "trainable_variables": "model.parameters()",
    "variables": "model.parameters()",
    "coefs_": "model.parameters()",
    "count_params": "print(nn.summary(model, input_shape))",
    "get_layer": "model[0], or model.named_layers()[path]",
    "pop": "model[:-1]",
    "history": "what trainer.fit returns",
    "reset_parameters": "nn.clone(model), which has new weights",
    "register_forward_hook": "nn.trace(model, loss, x, y)",
    "modules": "model.named_layers()",
    "named_modules": "model.named_layers()",
    "named_children": "model.named_layers()",
    "save": "nn.save_model(model, path)",
    "load": "nn.load_model(path)",
    "load_weights": "nn.load_model(path)",
    "to_json": "nn.save_model(model, path)",
    "save_weights": "nn.save_model(model, path)",
    "to": "model.astype(np.float64); there is one device, the processor",
    "cpu": "nothing: there is one device, the processor",
    "cuda": "nothing: there is one device, the processor",
    "half": "model.astype(np.float32): half precision is not computed here",
    "double": "model.astype(np.float64)",
    "float": "model.astype(np.float32)",
    "requires_grad_": "layer.freeze() and layer.unfreeze()",
    "call": "model(x)",
    "apply": "for layer in model.named_layers().values(): …",
    "register_buffer": "an attribute: self.name = nn.Buffer(array)",
    "register_parameter": "an attribute: self.name = nn.Parameter(array)",
}


def instead(name: str, known: Mapping[str, str]) -> str:
    """What to add to an error about a name that is missing; empty for a name that nobody uses."""
    return f"; here it is {known[name]}" if name in known else ""


def in_package(name: str) -> str:
    """What to add to an error about `nn.<name>`, or about the name in one of nnlite's modules."""
    from nnlite.core.checks import OTHER_NAMES

    hint = instead(name, IN_PACKAGE)
    if hint:
        return hint
    name = _plain(name)
    public = _public_names()
    others = [names.get(name, "") for names in OTHER_NAMES.values()]  # a loss and a metric, perhaps
    own = [public.get(_plain(each)) for each in (name, *others, f"{name}loss")]
    found = dict.fromkeys(filter(None, own))
    return f"; here it is {' or '.join(found)}" if found else ""


def _plain(name: str) -> str:
    """A name without what libraries spell in different ways: `make_moons`, `HeNormal`, `AdamW`."""
    plain = name.replace("_", "").lower()
    return plain.removeprefix("make")


def _public_names() -> dict[str, str]:
    """How to write each public name of nnlite, by its plain form."""
    nn = sys.modules["nnlite"]
    names = {"nn.initializers.": nn.initializers.__all__, "nn.data.": nn.data.__all__}
    written = {_plain(own): place + own for place in names for own in names[place]}
    return written | {_plain(own): f"nn.{own}" for own in nn.__all__}


def missing_in(module: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module of nnlite, whose errors say what a name is called here."""

    def missing(name: str) -> NoReturn:
        raise AttributeError(f"module {module!r} has no attribute {name!r}{in_package(name)}")

    return missing


class Elsewhere:
    """A name of another library in a class of nnlite: to read it, or to set it, is an error.

    Setting it would do nothing, and nobody would know. A class outside nnlite may use the name. (A
    `__getattr__` would make all attributes slower to find.)
    """

    def __init__(self, here: str) -> None:
        self.here = here
        self.__doc__ = f"Not here: it is {here}."

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, cls: type) -> Any:
        if owner is None:
            return self
        if self.name in vars(owner):
            return vars(owner)[self.name]
        raise self._error(owner)

    def __set__(self, owner: Any, value: Any) -> None:
        if type(owner).__module__.startswith("nnlite."):
            raise self._error(owner)
        vars(owner)[self.name] = value

    def _error(self, owner: Any) -> AttributeError:
        return AttributeError(
            f"{type(owner).__name__!r} object has no attribute {self.name!r}; here it is "
            f"{self.here}",
            name=self.name,
            obj=owner,
        )
