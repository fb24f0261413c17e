"""What figures of a model are called."""

from __future__ import annotations

from web.words.catalogues import N_

FIGURES = {
    "roc_auc": N_("ROC AUC"),
    "average_precision": N_("average precision"),
    "accuracy": N_("accuracy"),
    "macro_f1": N_("F1, mean over the classes"),
    "precision": N_("precision"),
    "recall": N_("recall"),
    "f1": N_("F1"),
    "brier": N_("Brier score"),
    "log_loss": N_("log loss"),
    "mae": N_("mean absolute error"),
    "rmse": N_("root mean squared error"),
    "r2": N_("R²"),
}
