"""HTML entities, which some services leave in names."""

import html
import re
from html.entities import html5

_ENTITY = re.compile(r"&(#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|[a-zA-Z][a-zA-Z0-9]{1,31};)")


def unescape_html(text: str) -> str:
    """Replace HTML entities by their characters, once: `Guns N&#039; Roses`.

    Other texts that look alike are names: `Drum&Bass`, `Q&not-A`, `R&B; live`, `Rock&notes;`.
    """
    return _ENTITY.sub(_unescape_entity, text) if "&" in text else text


def _unescape_entity(entity: re.Match[str]) -> str:
    """Return the character of an entity, or the text itself if there is no entity of this name."""
    is_known = entity[1].startswith("#") or entity[1] in html5
    return html.unescape(entity[0]) if is_known else entity[0]
