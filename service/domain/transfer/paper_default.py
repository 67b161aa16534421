"""The paper's default, for what nobody has tuned and the paper reports."""

from __future__ import annotations

from ham.client.records import PaperRecommendation
from ham.config import PAPER_DEFAULT, Combination
from service.domain.transfer.published import published_for


def paper_default(combination: Combination) -> PaperRecommendation | None:
    """Return the paper's default where the paper reports HAM for a combination, else None.

    Elsewhere nothing speaks for it: on small models it is far too strong.
    """
    same = published_for(combination.model, combination.dataset, combination.sparsity)
    rows = tuple(row for row in same if row.method == combination.sparsifier)
    with_ham = [row.test_accuracy for row in rows if row.ham and not row.sam]
    if not with_ham:
        return None
    alpha, beta = PAPER_DEFAULT.alpha, PAPER_DEFAULT.beta
    return PaperRecommendation(
        combination=combination,
        setting=PAPER_DEFAULT,
        published=rows,
        message=f"Not tuned here: alpha={alpha:g}, beta={beta:g} is the paper's default, with "
        f"which it reports {100 * max(with_ham):.2f} % under a recipe of its own. Nothing was "
        "trained for this combination, and too little is known to carry a setting over. "
        "Submit a study to know.",
    )
