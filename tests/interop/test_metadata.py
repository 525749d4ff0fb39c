"""The issuer's metadata, signed and plain, with libraries that are not ours."""

import json
from datetime import UTC, datetime

import pytest
from jwcrypto import jwk, jws

from issuer import certificate_chain

METADATA = "/.well-known/openid-credential-issuer"
DAY = 86_400


def test_signed_metadata_says_what_the_plain_does(issuer):
    answer = issuer.get(METADATA, Accept="application/jwt")
    assert answer.headers["Content-Type"] == "application/jwt"
    signed = jws.JWS()
    signed.deserialize(answer.text)
    header = signed.jose_header
    assert (header["typ"], header["alg"]) == ("openidvci-issuer-metadata+jwt", "ES256")
    signed.verify(jwk.JWK.from_pyca(issuer.certified_key(certificate_chain(header["x5c"]))))
    claims = json.loads(signed.payload)
    assert claims.pop("iss") == claims.pop("sub") == issuer.url
    issued, expires, now = claims.pop("iat"), claims.pop("exp"), datetime.now(UTC).timestamp()
    assert issued % DAY == 0
    assert issued <= now < expires - DAY / 2
    assert claims == issuer.get(METADATA, Accept="application/json").json()


@pytest.mark.parametrize(("asked", "given"), [("vi", "vi-VN"), ("en-US,en;q=0.9", "en"), ("en, vi;q=0.5", "en, vi-VN")])
def test_texts_come_in_the_language_asked_for(issuer, asked, given):
    answer = issuer.get(METADATA, **{"Accept-Language": asked})
    assert answer.headers["Content-Language"] == given
    assert ", ".join(text["locale"] for text in answer.json()["display"]) == given


def test_the_logo_is_drawn(issuer, tmp_path):
    from PIL import Image

    from test_pages import browse

    [logo] = {text["logo"]["uri"] for text in issuer.get(METADATA).json()["display"]}
    picture = tmp_path / "logo.png"
    browse(logo, tmp_path, "--window-size=400,400", f"--screenshot={picture}")
    colours = {colour for _, colour in Image.open(picture).convert("RGB").getcolors(1 << 20)}
    assert {(0x7A, 0x0C, 0x0C), (0xF6, 0xC5, 0x44)} <= colours
