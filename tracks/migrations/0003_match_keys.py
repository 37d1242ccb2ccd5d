"""Fill `match_key` of the tracks that were there before it."""

from django.db import migrations

from tracks.match_keys import make_match_key

AT_ONCE = 1000  # rows of a statement


def fill(apps, schema_editor):
    tracks = apps.get_model("tracks", "Track").objects
    last = 0
    while batch := list(tracks.filter(pk__gt=last, match_key="").select_related("artist").order_by("pk")[:AT_ONCE]):
        for track in batch:
            track.match_key = make_match_key(track.artist.name, track.title)
        tracks.bulk_update(batch, ["match_key"], batch_size=AT_ONCE // 2)
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("tracks", "0002_availability")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
