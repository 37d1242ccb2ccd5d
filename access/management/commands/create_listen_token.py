from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.listen_tokens import create_listen_token


class Command(BaseCommand):
    help = "Create a listener's token for clients that scrobble. It is shown once, as the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", type=int, help="whose listens they will be")
        parser.add_argument("--name", default="", help="which client will use it")

    def handle(self, *args: Any, user_id: int, name: str, **options: Any) -> None:
        try:
            token = create_listen_token(user_id, name)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Give it to the client as its ListenBrainz token. It is not kept and cannot be shown again:")
        self.stdout.write(token)
