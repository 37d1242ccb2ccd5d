"""Candidate generators.

To add a candidate source, write it in a module of this package and register it here; the API's list of sources follows.
"""

from engine.retrieval.candidates import register_source
from engine.retrieval.content import content
from engine.retrieval.early import early
from engine.retrieval.group import group
from engine.retrieval.neighbours import neighbours
from engine.retrieval.new_releases import new_releases, score_new_releases
from engine.retrieval.personal import personal
from engine.retrieval.popularity import popular, random, score_popular
from engine.retrieval.radio import radio
from engine.retrieval.relevance import score_early, score_personal
from engine.retrieval.repeat import repeat
from engine.retrieval.session import score_session, session
from engine.retrieval.similar import score_similar, similar
from engine.retrieval.sliders import sliders
from engine.retrieval.trending import score_trending, trending

register_source("personal", personal, score_personal)
register_source("early", early, score_early)
register_source("neighbours", neighbours)
register_source("content", content)
register_source("similar", similar, score_similar)
register_source("repeat", repeat)
register_source("session", session, score_session)
register_source("popular", popular, score_popular)
register_source("radio", radio)
register_source("group", group)
register_source("trending", trending, score_trending)
register_source("new_releases", new_releases, score_new_releases)
register_source("sliders", sliders)
register_source("random", random)
