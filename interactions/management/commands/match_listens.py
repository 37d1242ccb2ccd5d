from typing import Any

from common.commands import DatabaseCommand
from interactions.listenbrainz.services import match_waiting_listens
from interactions.models import UnmatchedListen


class Command(DatabaseCommand):
    help = "Store the waiting listens whose track the catalogue has now. Every import of tracks does this by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        added = match_waiting_listens()
        self.stdout.write(f"{added:,} listens matched, {UnmatchedListen.objects.count():,} still wait")
