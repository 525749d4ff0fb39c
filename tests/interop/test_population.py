"""The population database's SOAP, judged by libraries that know nothing of us: zeep asks our simulator, and a registry made
of lxml, which checks every request against the description, is asked by our program."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import zeep
from lxml import etree
from requests.auth import AuthBase

ROOT = Path(__file__).parents[2]
WSDL = ROOT / "examples/population_registry/registry/population.wsdl"
SIMULATOR = os.environ.get("OFFICIALS_CARD_POPULATION", "")
PROGRAM = os.environ.get("OFFICIALS_CARD_BIN", "")
NAMES = {
    "soapenv": "http://schemas.xmlsoap.org/soap/envelope/",
    "dan": "http://dancuquocgia.bca",
    "ns1": "http://www.mic.gov.vn/dancu/1.0",
    "wsdl": "http://schemas.xmlsoap.org/wsdl/",
    "xs": "http://www.w3.org/2001/XMLSchema",
}
USER, SECRET, X_ROAD_CLIENT = "v01", "hush + 100 %", "VN/GOV/BNV/interop"
START_SECONDS = 30

PEOPLE = [
    {
        "personal_id_number": "001187000011", "name": {"family": "NGUYỄN", "middle": "THỊ", "given": "ĐÀO"},
        "date_of_birth": "19870502", "gender": "female", "old_id_number": "135602342", "ethnicity": "01",
        "hometown": {"province": "26", "commune": "09106", "detail": "XÃ <A> & B", "country": "VN"},
        "father": {"full_name": "NGUYỄN VĂN A"}, "household_head": {"full_name": "NGUYỄN VĂN A", "relation": "CH01"},
    },
    {"personal_id_number": "001187000012", "name": {"given": "TRẦN THỊ HAI"}, "date_of_birth": "1987"},
]


def proof(path: str, timestamp: str) -> str:
    """The value of `Authorization`, from the description in words alone."""
    digest = hashlib.sha256(f"{path}{USER}{timestamp}{SECRET}".encode()).hexdigest()
    return "Basic " + base64.b64encode(f"{USER}:{digest}".encode()).decode()


class Login(AuthBase):
    """Puts the headers of the service on every request."""

    def __init__(self, path: str):
        self.path = path

    def __call__(self, request):
        timestamp = str(int(time.time() * 1000))
        request.headers["Timestamp"] = timestamp
        request.headers["Authorization"] = proof(self.path, timestamp)
        request.headers["X-Road-Client"] = X_ROAD_CLIENT
        return request


@pytest.fixture(scope="module")
def simulator(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """The simulator: its address and the one where it is controlled."""
    people = tmp_path_factory.mktemp("registry") / "population.ndjson"
    people.write_text("".join(json.dumps(person) + "\n" for person in PEOPLE))
    command = [
        SIMULATOR, "--file", people, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--user", USER,
        "--x-road-client", X_ROAD_CLIENT,
    ]
    environment = {**os.environ, "POPULATION_SECRET": SECRET}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process.stdout.readline().strip(), process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture
def service(simulator):
    """zeep's view of the service. It is strict: what does not fit the description is refused."""
    url, control = simulator
    requests.post(f"{control}/switches", json={}, timeout=10).raise_for_status()
    session = requests.Session()
    session.auth = Login("/" + url.split("/", 3)[3])
    client = zeep.Client(str(WSDL), transport=zeep.Transport(session=session))
    return client.create_service("{http://dancuquocgia.bca}DanCuQuocGia", url)


def question(code: str, number: str, name: str, born: dict, **more: str) -> dict:
    """The parts of a question, each with a `MaYeuCau` of its own."""
    key = "SoDinhDanh" if len(number) == 12 else "SoCMND"
    return {
        "MaYeuCau": os.urandom(8).hex(), "MaDVC": "VPCP", "MaTichHop": code, "MaCanBo": "cb01", key: number,
        "HoVaTen": name, "NgayThangNamSinh": born, **more,
    }


def test_another_client_looks_people_up(service):
    found = service.TraCuuThongTinCongDan(
        **question("037", "001187000011", "NGUYỄN THỊ ĐÀO", {"NgayThangNam": "19870502"}, MaDonVi="H26")
    )
    [person] = found
    assert (person.SoDinhDanh, person.GioiTinh, person.DanToc) == ("001187000011", "2", "01")
    assert (person.HoVaTen.Ho, person.HoVaTen.ChuDem, person.HoVaTen.Ten) == ("NGUYỄN", "THỊ", "ĐÀO")
    assert (person.NgayThangNamSinh.Nam, person.NgayThangNamSinh.NgayThangNam) == ("1987", "19870502")
    assert (person.QueQuan.ChiTiet, person.QueQuan.MaPhuongXa) == ("XÃ <A> & B", "09106")
    assert (person.Cha.HoVaTen, person.ChuHo.QuanHe) == ("NGUYỄN VĂN A", "CH01")
    [by_old_number] = service.TraCuuThongTinCongDan(**question("037", "135602342", "NGUYỄN THỊ ĐÀO", {"Nam": "1987"}))
    assert by_old_number.SoDinhDanh == "001187000011"
    nobody = service.TraCuuThongTinCongDan(**question("037", "001187000099", "AI", {"Nam": "1987"}))
    assert not nobody


def test_another_client_verifies(service):
    verify = service.XacThucThongTinCongDan
    assert verify(**question("033", "001187000012", "trần thị hai", {"Nam": "1987"})) is True
    assert verify(**question("033", "001187000012", "TRẦN THỊ BA", {"Nam": "1987"})) is False


def test_refusals_are_faults(service, simulator):
    born = {"Nam": "1987"}
    with pytest.raises(zeep.exceptions.Fault, match="MaTichHop"):
        service.TraCuuThongTinCongDan(**question("033", "001187000012", "X", born))
    twice = question("037", "001187000012", "X", born)
    service.TraCuuThongTinCongDan(**twice)
    with pytest.raises(zeep.exceptions.Fault, match="MaYeuCau"):
        service.TraCuuThongTinCongDan(**twice)
    with pytest.raises(zeep.exceptions.Fault, match="MaCanBo"):
        service.TraCuuThongTinCongDan(**{**question("037", "001187000012", "X", born), "MaCanBo": None})
    requests.post(f"{simulator[1]}/switches", json={"fault_percent": 100}, timeout=10).raise_for_status()
    with pytest.raises(zeep.exceptions.Fault) as fault:
        service.TraCuuThongTinCongDan(**question("037", "001187000012", "X", born))
    assert fault.value.code == "soapenv:Server"


def test_another_client_reads_the_change_feed(service, simulator):
    before = int(time.time() * 1000) - 1000
    for person in PEOPLE:
        requests.post(f"{simulator[1]}/people", data=json.dumps(person).encode(), timeout=10).raise_for_status()

    def page(number: int) -> list[str]:
        found = service.TraCuuThongTinCongDan(
            MaYeuCau=os.urandom(8).hex(), TuNgay=before, DenNgay=before + 60_000, Loai="1", Trang=number, SoBanGhi=1
        )
        return [person.SoDinhDanh for person in found or []]

    assert page(1) + page(2) == ["001187000011", "001187000012"]
    assert page(3) == []


def test_who_does_not_prove_who_they_are_learns_nothing(simulator):
    url = simulator[0]
    path = "/" + url.split("/", 3)[3]
    now = str(int(time.time() * 1000))
    good = {"Timestamp": now, "Authorization": proof(path, now), "X-Road-Client": X_ROAD_CLIENT}
    late = str(int(time.time() * 1000) - 3_600_000)
    for wrong in [
        {"Timestamp": late, "Authorization": proof(path, late)},
        {"Authorization": proof(path, late)},
        {"X-Road-Client": "VN/GOV/OTHER"},
        {"Authorization": "Bearer x"},
    ]:
        assert requests.post(url, data=b"<x/>", headers={**good, **wrong}, timeout=10).status_code == 401
    answer = requests.post(url, data=b"<x/>", headers=good, timeout=10)
    assert (answer.status_code, b"Fault" in answer.content) == (500, True)


# Our program asks somebody else's registry.

ANSWERS = {
    # A default namespace, CDATA, comments, references, white space, and no declaration.
    "001187000021": """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <CongdanCollection xmlns="http://www.mic.gov.vn/dancu/1.0"><!-- one --><CongDan><SoDinhDanh>
        001187000021 </SoDinhDanh><HoVaTen><Ho>NGUY&#x1EC4;N</Ho><Ten><![CDATA[THỊ ĐÀO]]></Ten></HoVaTen>
        <NgayThangNamSinh><Nam>1987</Nam></NgayThangNamSinh></CongDan></CongdanCollection></e:Body></e:Envelope>""",
    # Nobody.
    "001187000022": """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <x:CongdanCollection xmlns:x="http://www.mic.gov.vn/dancu/1.0"/></e:Body></e:Envelope>""",
    # Somebody else, half an answer, an entity, a fault.
    "001187000023": """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <x:CongdanCollection xmlns:x="http://www.mic.gov.vn/dancu/1.0"><x:CongDan><x:SoDinhDanh>001187000021</x:SoDinhDanh>
        <x:HoVaTen><x:Ten>NGUYỄN THỊ ĐÀO</x:Ten></x:HoVaTen><x:NgayThangNamSinh><x:Nam>1987</x:Nam></x:NgayThangNamSinh>
        </x:CongDan></x:CongdanCollection></e:Body></e:Envelope>""",
    "001187000024": """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <x:CongdanCollection xmlns:x="http://www.mic.gov.vn/dancu/1.0"><x:CongDan><x:SoDinhDanh>001187000024</x:SoDinhDanh>
        <x:HoVaTen><x:Ten>NGUYỄN THỊ ĐÀO</x:Ten></x:HoVaTen></x:CongDan></x:CongdanCollection></e:Body></e:Envelope>""",
    "001187000025": """<!DOCTYPE e [<!ENTITY n "001187000025">]>
        <e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <x:CongdanCollection xmlns:x="http://www.mic.gov.vn/dancu/1.0"><x:CongDan><x:SoDinhDanh>&n;</x:SoDinhDanh>
        <x:HoVaTen><x:Ten>NGUYỄN THỊ ĐÀO</x:Ten></x:HoVaTen><x:NgayThangNamSinh><x:Nam>1987</x:Nam></x:NgayThangNamSinh>
        </x:CongDan></x:CongdanCollection></e:Body></e:Envelope>""",
    # Known otherwise.
    "001187000026": """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <x:CongdanCollection xmlns:x="http://www.mic.gov.vn/dancu/1.0"><x:CongDan><x:SoDinhDanh>001187000026</x:SoDinhDanh>
        <x:HoVaTen><x:Ten>NGUYỄN THỊ ĐAO</x:Ten></x:HoVaTen>
        <x:NgayThangNamSinh><x:NgayThangNam>19870502</x:NgayThangNam></x:NgayThangNamSinh>
        </x:CongDan></x:CongdanCollection></e:Body></e:Envelope>""",
}


def schema() -> etree.XMLSchema:
    """The schema of requests, out of the description."""
    description = etree.parse(str(WSDL))
    [requested] = description.xpath("//xs:schema[@targetNamespace='http://dancuquocgia.bca']", namespaces=NAMES)
    return etree.XMLSchema(etree.fromstring(etree.tostring(requested)))


class Registry(BaseHTTPRequestHandler):
    """Another registry. What it finds wrong with a request is kept in `wrong`."""

    wrong: list[str] = []
    asked: list[str] = []
    schema = schema()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        envelope = etree.fromstring(body)
        [operation] = envelope.xpath("/soapenv:Envelope/soapenv:Body/dan:TraCuuThongTinCongDan", namespaces=NAMES)
        if not self.schema.validate(etree.fromstring(etree.tostring(operation))):
            self.wrong.append(str(self.schema.error_log))
        part = lambda name: operation.findtext(f"dan:{name}", namespaces=NAMES)
        expected = [
            "MaYeuCau", "MaDVC", "MaTichHop", "MaCanBo", "MaDonVi", "TaiKhoan", "SoDienThoai", "SoDinhDanh", "HoVaTen",
            "NgayThangNamSinh",
        ]
        if [etree.QName(child).localname for child in operation] != expected:
            self.wrong.append("order")
        if (part("MaTichHop"), part("MaCanBo"), part("HoVaTen")) != ("037", "cb01", "NGUYỄN THỊ ĐÀO"):
            self.wrong.append("parts")
        timestamp = self.headers["Timestamp"]
        if self.headers["Authorization"] != proof("/hashed", timestamp) or len(timestamp) != 10:
            self.wrong.append("proof")
        if (self.headers["X-Road-Client"], self.headers["ApiKey"]) != (X_ROAD_CLIENT, "the key"):
            self.wrong.append("headers")
        if self.headers["ESB_SOURCE_USERNAME"] != USER or self.headers["SOAPAction"] != '""':
            self.wrong.append("more headers")
        self.asked.append(part("MaYeuCau"))
        answer = ANSWERS[part("SoDinhDanh")].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_) -> None:
        """Says nothing."""


def test_our_program_asks_another_registry(tmp_path):
    registry = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    settings = tmp_path / "settings.toml"
    settings.write_text(f"""
database_url = "sqlite://{tmp_path}/records.db"
[population]
url = "http://127.0.0.1:{registry.server_port}/service"
path = "/hashed"
user = "{USER}"
secret = "{SECRET}"
api_key = "the key"
x_road_client = "{X_ROAD_CLIENT}"
esb_source = true
timestamp = "seconds"
unit = "H26"
account = "system"
phone = "0"
attempts = 1
""")
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow([
        "agency_personnel_number", "full_name", "managing_unit_code", "using_unit_code", "personal_id_number", "date_of_birth",
        "gender",
    ])
    for number in ANSWERS:
        writer.writerow([f"N{number}", "Nguyễn Thị Đào", "H26", "H26", number, "19870502", "2"])
    people = tmp_path / "people.csv"
    people.write_text(rows.getvalue())

    def run(*arguments: str) -> str:
        command = [PROGRAM, "--config", str(settings), "records", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import", str(people))
    said = run("match", "--officer", "cb01")
    registry.shutdown()
    assert Registry.wrong == []
    assert len(set(Registry.asked)) == len(ANSWERS)
    counts = {line.split(" / ")[-1].split(":")[0]: int(line.rsplit(": ", 1)[1]) for line in said.splitlines() if ": " in line}
    assert counts["matched"] == 1 and counts["not found"] == 1 and counts["mismatched"] == 1
    assert counts["unreachable, to be asked again"] == 3
    assert re.search("pending: 3", run("population"))
