"""Update the match keys of tracks whose names contain HTML entities or marks that are invisible."""

from django.db import migrations
from django.db.models import Q

from tracks.match_keys import make_match_key

AT_ONCE = 1000  # rows of a statement
AFFECTED = ("&", "\ufe0e", "\ufe0f", "\u3164", "\uffa0")


def update_match_keys(apps, schema_editor):
    contains = Q()
    for text in AFFECTED:
        contains |= Q(title__contains=text) | Q(artist__name__contains=text)
    tracks = apps.get_model("tracks", "Track").objects
    last = 0
    while batch := list(tracks.filter(contains, pk__gt=last).select_related("artist").order_by("pk")[:AT_ONCE]):
        for track in batch:
            track.match_key = make_match_key(track.artist.name, track.title)
        tracks.bulk_update(batch, ["match_key"], batch_size=AT_ONCE // 2)
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("tracks", "0004_revisions")]
    operations = [migrations.RunPython(update_match_keys, migrations.RunPython.noop, elidable=True)]
