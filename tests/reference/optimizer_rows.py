"""Rows of the optimizers: for each, options that try all of its rule."""

MOMENTUM = {"lr": 0.05, "momentum": 0.9}
OPTIONS = {
    "SGD": [
        {},
        {"lr": 0.05, "weight_decay": 0.1},
        MOMENTUM,
        MOMENTUM | {"dampening": 0.3},
        MOMENTUM | {"nesterov": True},
        MOMENTUM | {"nesterov": True, "weight_decay": 0.1},
        MOMENTUM | {"dampening": 0.3, "weight_decay": 0.1},
    ],
    "Adagrad": [
        {},
        {"lr": 0.1, "lr_decay": 0.2},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5},
        {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5},
    ],
    "Adadelta": [
        {},
        {"lr": 0.5, "rho": 0.7},
        {"eps": 0.1},
        {"eps": 0.01, "weight_decay": 0.1},
    ],
    "RMSprop": [
        {},
        {"lr": 0.05, "alpha": 0.8},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "centered": True},
        {"lr": 0.05, "centered": True, "momentum": 0.9, "weight_decay": 0.1},
    ],
    "Adam": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "betas": (0.9, 0.7), "amsgrad": True},
        {"lr": 0.05, "betas": (0.9, 0.7), "amsgrad": True, "eps": 0.1, "weight_decay": 0.1},
    ],
    "AdamW": [
        {},
        {"lr": 0.05, "weight_decay": 0.5},
        {"lr": 0.05, "weight_decay": 0.0},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "betas": (0.9, 0.7), "amsgrad": True, "weight_decay": 0.1},
    ],
    "NAdam": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "momentum_decay": 0.3},
    ],
    "RAdam": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "betas": (0.9, 0.5)},  # ρ never passes 5
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
    ],
    "Lion": [
        {},
        {"lr": 0.02, "betas": (0.6, 0.8)},
        {"lr": 0.02, "weight_decay": 0.3},
    ],
}
