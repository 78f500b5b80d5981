"""What a site's words about the rights are taken to mean, and what not."""

import pytest

from hlvid.build import sites
from hlvid.build.licenses import spdx_of


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Creative Commons Attribution license (reuse allowed)", "CC-BY-3.0"),
        ("Creative Commons Attribution 4.0", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution - Share Alike 4.0", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial 2.5 Generic", "CC-BY-NC-2.5"),
        ("Creative Commons Attribution-NoDerivs 2.0", "CC-BY-ND-2.0"),
        ("Creative Commons Attribution-NonCommercial-NoDerivatives 4.0", "CC-BY-NC-ND-4.0"),
        ("Creative Commons Attribution Non-Commercial Share-Alike 1.0", "CC-BY-NC-SA-1.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc by-sa 4.0", "CC-BY-SA-4.0"),
        ("CC BY-NC-ND 3.0", "CC-BY-NC-ND-3.0"),
        ("CC BY\u2011SA 4.0", "CC-BY-SA-4.0"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/deed.en", "CC-BY-NC-SA-3.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        # A licence without its version, with words that are not known, or of no such kind.
        ("Creative Commons Attribution", None),
        ("Creative Commons Attribution - Share Alike", None),
        ("Creative Commons Attribution license (reuse allowed) for schools", None),
        ("not Creative Commons Attribution 4.0", None),
        ("Creative Commons Attribution 4.0 except for the music", None),
        ("Creative Commons Attribution-ShareAlike-NoDerivatives 4.0", None),
        ("Creative Commons Attribution-Sampling 3.0", None),
        ("CC BY 9.0", None),
        ("CC BY-SA", None),
        ("CC BY-XX 4.0", None),
        ("CC-BY-XX-4.0", None),
        ("https://example.org/licenses/by/4.0/", None),
        ("https://creativecommons.org/licenses/by/3.0/us/", None),
        ("Standard YouTube License", None),
        ("Vimeo-1.0", None),
        ("CC BY" + " -" * 500 + " 4.0", None),
        ("", None),
        (None, None),
        (4.0, None),
    ],
)
def test_words_mean_a_licence_whole_or_not_at_all(monkeypatch, said, meant):
    assert spdx_of(said) == meant
    info = {"title": "t", "license": said}
    monkeypatch.setattr(sites, "_extract", lambda url, desk, options: info)
    assert sites.described("https://example.org/v", None).license == meant
