from typing import Any

from django.core.management.base import CommandError, CommandParser

from access.listen_tokens import create_listen_token
from common.commands import DatabaseCommand


class Command(DatabaseCommand):
    help = "Create a listener's token for clients that scrobble. It is shown once, as the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", type=int, help="the listener")
        parser.add_argument("--name", default="", help="the client that will use it")

    def handle(self, *args: Any, user_id: int, name: str, **options: Any) -> None:
        try:
            token = create_listen_token(user_id, name)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Enter it in the client as ListenBrainz token. It is not stored and cannot be shown again:")
        self.stdout.write(token)
