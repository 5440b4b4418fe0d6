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
    "Adamax": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "betas": (0.7, 0.9), "eps": 0.1, "weight_decay": 0.1},
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
    "NAdamW": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9), "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.5, "momentum_decay": 0.3},
    ],
    "RAdam": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "betas": (0.9, 0.5)},  # ρ never passes 5
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.1},
    ],
    "RAdamW": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9), "eps": 0.1},
        {"lr": 0.05, "weight_decay": 0.5},
    ],
    "Rprop": [
        {},
        {"lr": 0.05, "etas": (0.6, 1.5)},
        {"lr": 0.05, "step_sizes": (0.02, 0.08)},
        {"lr": 0.05, "weight_decay": 0.3},
    ],
    "ASGD": [
        {},
        {"lr": 0.05, "lambd": 0.2},
        {"lr": 0.05, "lambd": 0.2, "alpha": 0.5},
        {"lr": 0.05, "t0": 5.0},
        {"lr": 0.05, "lambd": 0.1, "t0": 0.5, "weight_decay": 0.1},
    ],
    "Adafactor": [
        {},
        {"lr": 0.5},  # 1/√k is smaller, in the end
        {"lr": 0.05, "beta2_decay": -0.5},
        {"lr": 0.05, "eps": (0.5, 2.0)},
        {"lr": 0.05, "d": 1.1},
        {"lr": 0.05, "eps": (1e-8, 1e-3), "d": 2.0, "weight_decay": 0.1},
    ],
    "LAMB": [
        {},
        {"lr": 0.05, "betas": (0.7, 0.9)},
        {"lr": 0.05, "eps": 0.1},
        {"lr": 0.05, "eps": 0.1, "weight_decay": 0.1},
    ],
    "Muon": [
        {},
        {"lr": 0.05, "weight_decay": 0.0},
        {"lr": 0.05, "momentum": 0.5, "nesterov": False},
        {"lr": 0.05, "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 3},
        {"lr": 0.05, "eps": 5.0},  # longer than most gradients
        {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.05, "matrices": False, "betas": (0.7, 0.9)},
        {"lr": 0.05, "momentum": 0.8, "ns_steps": 4, "weight_decay": 0.3},
    ],
    "Lion": [
        {},
        {"lr": 0.02, "betas": (0.6, 0.8)},
        {"lr": 0.02, "weight_decay": 0.3},
    ],
}

# Every optimizer takes this one.
for rows in OPTIONS.values():
    rows.insert(-1, {"lr": 0.05, "maximize": True, "weight_decay": 0.1})
