"""Lesson 14: a network in scikit-learn: a pipeline with a grid search, on a data frame.

Three kinds of wine, told apart by thirteen measurements with names. It needs scikit-learn and
pandas: pip install "nnlite[sklearn]".
"""

from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnlite as nn
from nnlite.interop.sklearn import Build, NNClassifier


def net(n_features: int, n_outputs: int, width: int = 16, dropout: float = 0.0) -> nn.Layer:
    """The sizes come from the data; the search chooses the other arguments."""
    return nn.Sequential(
        nn.Linear(n_features, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, n_outputs),
    )


def main() -> float:
    """Search for width, dropout and rate, print what was found, and return the test accuracy."""
    wines = load_wine(as_frame=True)
    kinds = wines.target.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    x_train, x_test, y_train, y_test = train_test_split(
        wines.data, kinds, test_size=0.3, stratify=kinds, random_state=0
    )

    pipeline = make_pipeline(
        StandardScaler(),  # the measurements are of sizes from 0.1 to 1000
        NNClassifier(Build(net), epochs=30, class_weight="balanced", random_state=0),
    ).set_output(transform="pandas")
    search = GridSearchCV(
        pipeline,
        {
            "nnclassifier__model__width": [4, 32],
            "nnclassifier__model__dropout": [0.0, 0.2],
            "nnclassifier__lr": [0.0001, 0.01],
        },
        cv=3,
        n_jobs=2,  # in two processes
    )
    search.fit(x_train, y_train)
    for settings, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"{score:.3f}", {name.rpartition("__")[2]: v for name, v in settings.items()})

    best = search.best_estimator_
    network = best[-1]
    print(network.model_)
    print("columns:", ", ".join(network.feature_names_in_[:3]), "…")
    print(f"loss {network.history_['loss'][0]:.3f} → {network.history_['loss'][-1]:.3f}")
    first = best.predict_proba(x_test.iloc[:1])[0]
    for kind, p in zip(best.classes_, first, strict=True):
        print(f"{kind:10s} {p:6.1%}")
    accuracy = best.score(x_test, y_test)
    print(f"test accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
