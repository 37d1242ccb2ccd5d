from django.test import Client

from access.models import User
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.rp3beta import RP3Beta
from recommendations.models import TuningStudy, TuningTrial

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))


def test_the_page_of_a_study_lists_the_best_trials_first(db: None, client: Client) -> None:
    study = TuningStudy.objects.create(budget_seconds=1, status="tried", score=0.3, recipe=NEIGHBOURS.to_dict())
    for number, score in enumerate((0.1, None, 0.3, 0.2), 1):
        TuningTrial.objects.create(
            study=study,
            number=number,
            family="rp3beta",
            parameters=ComponentConfig(RP3Beta()).to_dict(),
            score=score,
            seconds=2,
        )
    client.force_login(User.objects.create_superuser("operator"))
    assert "rp3beta" in client.get("/admin/recommendations/tuningstudy/").content.decode()
    page = client.get(f"/admin/recommendations/tuningstudy/{study.pk}/change/").content.decode()
    places = [page.index(f"0.{n}000") for n in (3, 2, 1)]
    assert places == sorted(places)
    assert "beta 0.3" in page
