"""What students were really taught: their teacher's answers on the training images, beside the exact BCPs there.

A teacher that has learnt its training images by heart answers there with the labels, whatever it says of new images.
The answers are those that the students read, kept beside each teacher's run; only runs of this store have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib import runs
from kdlib.checkpoints import read_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ("taught_labels", "taught_kl_to_bcp", "teacher_kl_to_bcp")


def shares(log_probs: NDArray[np.float64], labels: NDArray[np.int64], bcp: NDArray[np.float64]) -> tuple[float, float]:
    """Return the share of labels that are the answers' top class, and the mean KL(BCP ‖ answers) in nats.

    Args:
        log_probs: `(n, classes)`, normalised.
        labels: `(n,)`.
        bcp: `(n, classes)`, rows summing to one.
    """
    cross = np.where(bcp > 0, bcp * (np.log(np.where(bcp > 0, bcp, 1)) - log_probs), 0.0)
    return float((log_probs.argmax(1) == labels).mean()), float(cross.sum(1).mean())


def taught(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the students of a table whose teacher's kept answers and exact BCPs are here, with three more columns.

    `taught_labels`: the share of training labels that the answers repeat; `taught_kl_to_bcp`: KL(BCP ‖ answers) on
    training images; `teacher_kl_to_bcp`: the same on test images, from the teacher's own metrics.
    """
    from kdlib import data
    from kdlib.contract import combined_log

    rows = []
    plain = frame[(frame["source"] == "run") & frame["teacher_run"].notna() & (frame["fraction"] == 1)]
    for _, row in plain.iterrows():
        teacher = runs.Run(str(row["teacher_run"]))
        files = sorted(teacher.path.glob("answers/*/pass-00000-sample-000.safetensors"))
        if not teacher.finished or not files or not str(row["dataset"]).startswith("digits"):
            continue
        train = data.load(str(row["dataset"])).train
        kept = [read_tensors(file)[0]["outputs"] for file in files]
        whole = [outputs for outputs in kept if outputs.shape[1] == len(train)]
        if not whole or train.bcp is None:
            continue
        answers = combined_log(whole[0].float()).double().numpy()
        repeated, distance = shares(answers, train.labels.numpy(), train.bcp.double().numpy())
        on_test = teacher.metrics.get("test_kl_to_bcp")
        rows.append({**row, **dict(zip(COLUMNS, (repeated, distance, on_test), strict=True))})
    return pd.DataFrame(rows)
