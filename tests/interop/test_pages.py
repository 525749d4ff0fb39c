"""The pages in a real browser: Debian's Chromium, without network beyond the demo."""

import re
import subprocess

import requests

CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]


def browse(url, tmp_path, *arguments):
    command = [*CHROMIUM, f"--user-data-dir={tmp_path}/profile", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_api_page_shows_every_operation(issuer, tmp_path):
    document = requests.get(f"{issuer.url}/openapi.json", timeout=10).json()
    assert document["openapi"].startswith("3.1")
    operations = [(method, path) for path, item in document["paths"].items() for method in item]
    page = browse(f"{issuer.url}/docs", tmp_path, "--dump-dom")
    assert page.count("<details>") == len(operations) > 10
    for method, path in operations:
        assert re.search(rf">{method.upper()}</span>\s*<code>{re.escape(path)}</code>", page)


def test_the_openapi_document_is_valid(issuer):
    from openapi_spec_validator import validate

    validate(requests.get(f"{issuer.url}/openapi.json", timeout=10).json())


def test_the_start_page_is_vietnamese_first_and_its_links_lead_somewhere(issuer, tmp_path):
    page = browse(f"{issuer.url}/", tmp_path, "--dump-dom")
    assert '<html lang="vi">' in page
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) >= 6
    for link in links:
        assert requests.get(link, timeout=10).status_code == 200, link


def test_the_page_is_drawn(issuer, tmp_path):
    picture = tmp_path / "docs.png"
    browse(f"{issuer.url}/docs", tmp_path, "--window-size=900,1100", f"--screenshot={picture}")
    from PIL import Image

    colours = Image.open(picture).convert("L").getcolors(256)
    assert len(colours) > 20, "text on paper has many greys"
