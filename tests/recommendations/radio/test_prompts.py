"""The prompts of ListenBrainz Radio, and what is said about those that cannot be understood."""

import pytest

from recommendations.radio.prompts import PromptError, PromptTerm, parse_prompt

pytestmark = pytest.mark.one_stack


def test_prompts_of_the_documentation_are_understood() -> None:
    prompts = {
        "artist:(Rick Astley)": [("artist", ("Rick Astley",), 1, ())],
        "amy  winehouse": [("artist", ("amy winehouse",), 1, ())],
        "artist:8f6bd1e4-fbe1-4f50-aa9b-94c450ec0f11": [
            ("artist", ("8f6bd1e4-fbe1-4f50-aa9b-94c450ec0f11",), 1, ()),
        ],
        "tag:rock:3 tag:pop:2": [("tag", ("rock",), 3, ()), ("tag", ("pop",), 2, ())],
        "#rock #pop": [("tag", ("rock",), 1, ()), ("tag", ("pop",), 1, ())],
        "#(rock,pop)": [("tag", ("rock", "pop"), 1, ())],
        "tag:(rock, pop):1:or": [("tag", ("rock", "pop"), 1, ("or",))],
        "tag:(trip hop)": [("tag", ("trip hop",), 1, ())],
        "tag:(r&b)": [("tag", ("r&b",), 1, ())],
        "artist:(pretty lights):3:easy tag:(trip hop):2 artist:morcheeba:1:nosim": [
            ("artist", ("pretty lights",), 3, ("easy",)),
            ("tag", ("trip hop",), 2, ()),
            ("artist", ("morcheeba",), 1, ("nosim",)),
        ],
        "artist:blümchen::easy": [("artist", ("blümchen",), 1, ("easy",))],
        "artist:(monkey)::nosim,easy": [("artist", ("monkey",), 1, ("nosim", "easy"))],
        "stats:(mr_monkey)::month": [("stats", ("mr_monkey",), 1, ("month",))],
        "recs:(rob zombie):2:unlistened": [("recs", ("rob zombie",), 2, ("unlistened",))],
        "user:me": [("user", ("me",), 1, ())],
        r"artist:(sunn O\)\)\))": [("artist", ("sunn O)))",), 1, ())],
        "artist:(Panic: at, the)": [("artist", ("Panic: at, the",), 1, ())],
        "TAG:Rock::Hard": [("tag", ("Rock",), 1, ("hard",))],
    }
    for prompt, terms in prompts.items():
        assert [tuple(term)[1:] for term in parse_prompt(prompt)] == terms, prompt
    assert parse_prompt("#rock:2:hard,and")[0] == PromptTerm("#rock:2:hard,and", "tag", ("rock",), 2, ("hard", "and"))
    assert [term.mode for term in parse_prompt("#rock::hard #pop")] == ["hard", None]


def test_others_are_refused_with_the_term_and_the_remedy() -> None:
    elements = "there are artist, tag, user, stats, recs and # for tag"
    prompts = {
        "": "is empty; an example is artist:(Portishead):2 #(trip hop)",
        "artists:u2": f"artists:u2: artists is no element; {elements}",
        "#rock country:mali": "country:mali: the catalogue does not know where artists come from; name artists or tags "
        "of that country",
        "playlist:abc": "playlist:abc: playlists of ListenBrainz are not stored here; send its tracks as seeds",
        "collection:abc:2": "collection:abc:2: collections of MusicBrainz are not stored here; send their tracks or "
        "artists as seeds",
        "artist:u2:nosim": "artist:u2:nosim: the weight must be a whole number from 1 to 100, not 'nosim'",
        "tag:rock:0": "tag:rock:0: the weight must be a whole number from 1 to 100, not '0'",
        "tag:rock:.5": "tag:rock:.5: the weight must be a whole number from 1 to 100, not '.5'",
        "artist:u2:1:or": "artist:u2:1:or: 'or' is no option of artist; there are nosim, easy, medium, hard, after the "
        "weight",
        "artist:u2::nosim,": "artist:u2::nosim,: '' is no option of artist; there are nosim, easy, medium, hard, after "
        "the weight",
        "tag:rock::easy,hard": "tag:rock::easy,hard: has several modes; name one of easy, medium, hard",
        "tag:(rock,)": "tag:(rock,): names nothing; write tag:(NAME)",
        "artist:( )": "artist:( ): names nothing; write artist:(NAME)",
        "amy #rock": "must begin with an element, such as artist:(NAME) or #TAG, not with 'amy #rock'",
    }
    no_term = "is no term; write element:value:weight:options, with brackets around a value that has spaces, as in "
    for broken in ("tag:(foo", "tag:foo)", "artist:adf(meh)", "recs:", "tag:rock pop", "tag:a:1:or:x"):
        prompts[broken] = f"{(broken if ' pop' not in broken else 'pop')!r} {no_term}artist:(massive attack):2"
    for prompt, message in prompts.items():
        with pytest.raises(PromptError) as refused:
            parse_prompt(prompt)
        assert str(refused.value) == message
    with pytest.raises(PromptError, match="has 21 terms; it may have 20"):
        parse_prompt("#a " * 21)
