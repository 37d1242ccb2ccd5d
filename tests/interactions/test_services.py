from access.models import User
from interactions.models import Interaction
from interactions.selectors import load_popular_tracks
from interactions.services import refresh_popular_tracks
from tests.people import CatalogueFactory


def test_popularity_counts_listeners_and_not_plays(alice: User, bob: User, catalogue: CatalogueFactory) -> None:
    with_two_listeners, with_many_plays, _without_plays = catalogue.tracks(3)
    catalogue.play(alice, with_two_listeners, with_many_plays, with_many_plays, with_many_plays)
    catalogue.play(bob, with_two_listeners)
    refresh_popular_tracks()
    assert load_popular_tracks() == {with_two_listeners.pk: 2, with_many_plays.pk: 1}
    Interaction.objects.all().delete()
    refresh_popular_tracks()
    assert load_popular_tracks() == {}
