"""The paper's default, for untuned combinations that the paper reports."""

from __future__ import annotations

from ham.client.records import PaperRecommendation
from ham.config import PAPER_DEFAULT, Combination
from service.domain.transfer.published import published_for


def paper_default(combination: Combination) -> PaperRecommendation | None:
    """Return the paper's default where the paper reports HAM for a combination, else None.

    Elsewhere there is no evidence for it: on small models it is far too strong.
    """
    same = published_for(combination.model, combination.dataset, combination.sparsity)
    results = tuple(result for result in same if result.method == combination.sparsifier)
    reported = [result.test_accuracy for result in results if result.ham and not result.sam]
    if not reported:
        return None
    alpha, beta = PAPER_DEFAULT.alpha, PAPER_DEFAULT.beta
    return PaperRecommendation(
        combination=combination,
        setting=PAPER_DEFAULT,
        published=results,
        message=f"Not tuned here: alpha={alpha:g}, beta={beta:g} is the paper's default. With it "
        f"the paper reports {100 * max(reported):.2f} % under a recipe of its own. Nothing was "
        "trained for this combination, and too few similar combinations are known to transfer a "
        "configuration. Submit a study to measure it.",
    )
