"""A unit's own system, written against the published interface of 2020 and nothing of ours: it logs in, and adds, changes
and takes back a dossier."""

import base64
import json
import os
import re
import secrets
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
import requests

ORG = "H26"
VIETNAM = timezone(timedelta(hours=7))


class System:
    """A client of 2020."""

    def __init__(self, base: str, username: str, password: str):
        self.base = base
        answer = self.post("/apiauth/oauth/login", {"username": username, "password": password}).json()
        assert answer["err_code"] == 0, answer
        self.token = answer["access_token"]
        self.expires = datetime.strptime(answer["expired_time"], "%H:%M:%S %d-%m-%Y").replace(tzinfo=VIETNAM)

    def post(self, path: str, body: dict, **headers: str) -> requests.Response:
        return requests.post(self.base + path, json=body, headers=headers, timeout=30)

    def call(self, service: str, action: str, dossier: dict, token: str | None = None) -> dict:
        content = {
            "Data": {
                "Header": {"Sender_Code": ORG, "Action_Type": action, "Transaction_ID": ""},
                "Body": {"HOSO_CBCCVC": dossier},
            }
        }
        encoded = base64.b64encode(json.dumps(content, ensure_ascii=False).encode()).decode()
        authorization = f"Bearer {token or self.token}"
        path = f"/apisyncmsg/syncmsg/{service}"
        answer = self.post(path, {"org_Code": ORG, "jsonContent": encoded}, Authorization=authorization)
        assert answer.status_code == (401 if token else 200), answer.text
        assert answer.headers["Content-Type"].startswith("application/json")
        return answer.json()


@pytest.fixture(scope="module")
def account(issuer) -> tuple[str, str]:
    """What an operator gives to a unit: a name, and a password that is printed once."""
    name = f"hrm-{secrets.token_hex(4)}"
    command = [os.environ["OFFICIALS_CARD_BIN"], "--config", issuer.demo["config"], "sync", "account"]
    added = subprocess.run(
        [*command, "add", "--name", name, "--unit", ORG], capture_output=True, text=True, check=True, timeout=60
    )
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True, timeout=60)
    assert f"{name}\t{ORG}\tconfirms\tactive" in listed.stdout.splitlines()
    return name, added.stdout.strip()


@pytest.fixture
def system(issuer, account) -> System:
    return System(issuer.url, *account)


def dossier(number: str) -> dict:
    return {
        "SoHieuCBCCVC_BNDP": number,
        "THONGTINCHUNG": {
            "SoHieuCBCCVC": number,
            "HoVaTen": "Nguyễn Thị Đào",
            "NgaySinh": "1987",
            "GioiTinh": "2",
            "DanToc": "01",
            "TonGiao": "",
            "PhanLoaiHoSo": "01",
            "MaDonViQuanLy": ORG,
            "MaDonviSuDung": ORG,
        },
        "TUYENDUNG_QT_CONGTAC": {"DS_QUATRINH_CONGTAC": [{"TuNgay": "201003", "DenNgay": "2015"}]},
    }


def test_a_token_lives_for_five_hours(system):
    assert timedelta(hours=4, minutes=59) < system.expires - datetime.now(VIETNAM) <= timedelta(hours=5)
    wrong = system.call("servicem0001", "ADD", dossier("x"), token="x")
    assert wrong["err_code"] == 1 and "Token" in wrong["message"]


def test_a_wrong_password_is_an_answer(issuer, account):
    body = {"username": account[0], "password": "x"}
    answer = requests.post(f"{issuer.url}/apiauth/oauth/login", json=body, timeout=30)
    assert (answer.status_code, answer.json()["err_code"]) == (200, 1)
    assert "access_token" not in answer.json()


def test_a_dossier_comes_changes_and_goes(system):
    number = f"PY.{secrets.token_hex(4)}"
    added = system.call("servicem0001", "ADD", dossier(number))
    assert added["err_code"] == 0, added
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", added["transaction_id"])
    assert system.call("servicem0001", "ADD", dossier(number))["transaction_id"] == added["transaction_id"]
    other = dossier(number)
    other["THONGTINCHUNG"]["HoVaTen"] = "Người Khác"
    assert system.call("servicem0001", "ADD", other)["err_code"] == 1
    assert system.call("servicem0001", "EDIT", other)["err_code"] == 0
    for service, section in [
        ("servicem0002", {"TUYENDUNG_QT_CONGTAC": {"DS_QUATRINH_CONGTAC": []}}),
        ("servicem0003", {"LUONG_PHUCAP_CHUCVU": {"HeSoLuong": "3.33", "BacLuong": "4"}}),
        ("servicem0004", {"TRINHDO_DAOTAO_BOIDUONG": {"DS_TINHOC": [{"TrinhDo": "01"}]}}),
        ("servicem0005", {"THONGTIN_KHAC": {"NgayVaoDang": "20120203"}}),
        ("servicem0006", {"DS_KETQUA_DANHGIA_PHANLOAI": [{"Nam": "2025", "KetQuaDanhGia": "01"}]}),
    ]:
        done = system.call(service, "EDIT", {"SoHieuCBCCVC_BNDP": number, **section})
        assert done["err_code"] == 0, done
        assert system.call(service, "ADD", {"SoHieuCBCCVC_BNDP": number, **section})["err_code"] == 1
    assert system.call("servicem0001", "DEL", {"SoHieuCBCCVC_BNDP": number})["err_code"] == 0
    assert system.call("servicem0001", "EDIT", other)["err_code"] == 1


def test_a_code_that_is_only_part_of_one_is_refused(system):
    number = f"PY.{secrets.token_hex(4)}"
    for member, value in [("PhanLoaiHoSo", "0"), ("DanToc", "1"), ("GioiTinh", "1,2")]:
        wrong = dossier(number)
        wrong["THONGTINCHUNG"][member] = value
        answer = system.call("servicem0001", "ADD", wrong)
        assert answer["err_code"] == 1 and f"THONGTINCHUNG.{member}" in answer["message"], answer


def test_the_reference_client_sends_a_file(issuer, account, tmp_path):
    name, password = account
    numbers = [f"CSV.{secrets.token_hex(4)}" for _ in range(3)]
    file = tmp_path / "personnel.csv"
    header = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,employment_status,work_history_from[1]"
    rows = [f"{number},Trần Văn Bình,{ORG},{ORG},active,2010" for number in numbers]
    file.write_text("\n".join([header, *rows, ""]))
    command = [os.environ["OFFICIALS_CARD_HR_SYSTEM"], "--url", issuer.url, "--user", name, "--org", ORG]

    def run(action: str) -> subprocess.CompletedProcess:
        own = {**os.environ, "HR_PASSWORD": password}
        arguments = [*command, "--file", str(file), "--action", action]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, env=own)

    for action, told in [("ADD", "3 done, 0 refused"), ("EDIT", "3 done, 0 refused"), ("DEL", "3 done, 0 refused")]:
        assert told in run(action).stdout
    file.write_text("\n".join([header, rows[0].replace("active", "sleeping"), ""]))
    failed = run("ADD")
    assert failed.returncode == 1
    assert "line 2: THONGTIN_BOSUNG.employment_status" in failed.stdout
