"""What users of Keras, PyTorch and scikit-learn look for, and what it is called here.

Only errors about names that are missing look here.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "init": "nn.initializers",
    "lr_scheduler": "nn.schedules",
    "utils": "nn.data for data; clip_norm= and clip_value= of an optimizer clip gradients",
    "TensorBoard": "nn.TensorBoardLogger(folder)",
    "SummaryWriter": "nn.TensorBoardLogger(folder)",
    "callbacks": "nn.EarlyStopping(…), nn.Checkpoint(…) and the like",
    "tensor": "a NumPy array",
    "Tensor": "a NumPy array",
    "Variable": "nn.Parameter(array)",
    "no_grad": "nn.inference()",
    "inference_mode": "nn.inference()",
    "save": "nn.save_model(model, path), or trainer.save(path) for a whole run",
    "load": "nn.load_model(path), or trainer.load(path) for a whole run",
    "manual_seed": "nn.seed(seed)",
    "set_random_seed": "nn.seed(seed)",
    "DataLoader": "trainer.fit(x, y, batch_size=…), which makes batches; see nn.data for streams",
    "TensorDataset": "trainer.fit(x, y)",
    "Dataset": "arrays, rows that load, or a stream: help(nn.Trainer.fit)",
    "Input": "nothing: the first layer's arguments say what it takes",
    "Activation": "the activation itself, such as nn.ReLU()",
    "ModuleList": "nn.Sequential(…), or nn.Parallel(…) for layers side by side",
    "LSTMCell": "nn.LSTM(…), on one time step: x[:, None]",
    "GRUCell": "nn.GRU(…), on one time step: x[:, None]",
    "RNNCell": "nn.RNN(…), on one time step: x[:, None]",
    "gradcheck": "nn.check_gradients(layer, x)",
    "autograd": "no part of nnlite: every layer writes its backward; nn.check_gradients checks it",
    "compile": 'nn.set_engine("numba")',
    "fit": "nn.Trainer(model, loss, optimizer).fit(x, y)",
    "MLPClassifier": "nn.Sequential(nn.Linear(…), nn.ReLU(), …) and nn.Trainer(…).fit(x, y)",
    "MLPRegressor": "nn.Sequential(nn.Linear(…), nn.ReLU(), …) and nn.Trainer(…).fit(x, y)",
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
    "modules": "model.named_layers()",
    "named_modules": "model.named_layers()",
    "save": "nn.save_model(model, path)",
    "load_weights": "nn.load_model(path)",
    "save_weights": "nn.save_model(model, path)",
    "to": "model.astype(np.float64); there is one device, the processor",
    "cpu": "nothing: there is one device, the processor",
    "cuda": "nothing: there is one device, the processor",
    "half": "model.astype(np.float32): half precision is not computed here",
    "double": "model.astype(np.float64)",
    "float": "model.astype(np.float32)",
    "requires_grad_": "layer.freeze() and layer.unfreeze()",
    "trainable": "layer.freeze() and layer.unfreeze()",
    "call": "model(x)",
    "apply": "for layer in model.named_layers().values(): …",
    "register_buffer": "an attribute: self.name = nn.Buffer(array)",
    "register_parameter": "an attribute: self.name = nn.Parameter(array)",
}


def instead(name: str, known: Mapping[str, str]) -> str:
    """What to add to an error about a name that is missing; empty for a name that nobody uses."""
    return f"; here it is {known[name]}" if name in known else ""


def in_package(name: str, public: Mapping[str, str]) -> str:
    """What to add to an error about `nn.<name>`.

    Args:
        name: what is missing.
        public: the package's names, by the same in lower case without underscores.
    """
    from nnlite.core.checks import OTHER_NAMES

    hint = instead(name, IN_PACKAGE)
    if hint:
        return hint
    plain = name.replace("_", "").lower()
    others = [names.get(plain) for names in OTHER_NAMES.values()]  # a loss and a metric, perhaps
    own = dict.fromkeys(filter(None, [public.get(plain), *others, public.get(f"{plain}loss")]))
    return f"; here it is {' or '.join(f'nn.{each}' for each in own)}" if own else ""
