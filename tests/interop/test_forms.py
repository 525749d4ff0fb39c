"""The form for units without a system, read and filled in by openpyxl, and its rejects read again."""

import io

import openpyxl
import requests
from openpyxl.worksheet.worksheet import Worksheet

from issuer import Issuer

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FIRST_ROW = 5
PERSON = {
    "agency_personnel_number": "MAU-0001",
    "full_name": "Nguyễn Văn Đức",
    "using_unit_code": "H26",
    "personal_id_number": "001087000001",
    "date_of_birth": "02/05/1987",
    "ethnicity": "01 – Kinh",
    "salary_coefficient": "4,32",
    "work_history_from[1]": "05/2010",
    "rewards[1].authority": "Chủ tịch",
}


def form(issuer: Issuer, query: str = "unit=H26&entries=2") -> bytes:
    answer = requests.get(f"{issuer.url}/api/v1/forms/personnel.xlsx?{query}", headers=issuer.backend, timeout=60)
    assert answer.ok, answer.text
    assert answer.headers["Content-Type"] == XLSX
    known = {**issuer.backend, "If-None-Match": answer.headers["ETag"]}
    again = requests.get(f"{issuer.url}/api/v1/forms/personnel.xlsx?{query}", headers=known, timeout=60)
    assert again.status_code == 304
    return answer.content


def columns(sheet: Worksheet) -> dict[str, int]:
    return {cell.value: cell.column for cell in sheet[FIRST_ROW - 1]}


def filled_in(issuer: Issuer, people: list[dict]) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(form(issuer)))
    sheet = book["Nhập liệu"]
    at = columns(sheet)
    for row, person in enumerate(people, FIRST_ROW):
        for code, value in person.items():
            sheet.cell(row, at[code], value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def upload(issuer: Issuer, file: bytes) -> dict:
    answer = requests.post(f"{issuer.url}/api/v1/uploads?unit=H26", data=file, headers=issuer.backend, timeout=60)
    assert answer.status_code == 202, answer.text
    return rested(issuer, answer.json()["id"])


def rested(issuer: Issuer, upload_id: str) -> dict:
    place = f"{issuer.url}/api/v1/uploads/{upload_id}"
    with requests.get(f"{place}/events", headers=issuer.backend, stream=True, timeout=60) as events:
        assert b"event: upload" in list(events.iter_lines())
    return requests.get(place, headers=issuer.backend, timeout=60).json()


def test_the_form_has_lists_comments_and_formats(issuer: Issuer):
    book = openpyxl.load_workbook(io.BytesIO(form(issuer)))
    assert book.sheetnames == ["Hướng dẫn", "Nhập liệu", "Danh mục"]
    sheet = book["Nhập liệu"]
    assert book.active.title == "Nhập liệu"
    assert sheet.freeze_panes == f"C{FIRST_ROW}"
    at = columns(sheet)
    for cell in sheet[2]:
        assert "Quy tắc: giá trị phải" in cell.comment.text, cell.coordinate
    for column in sheet.column_dimensions.values():
        assert column.number_format == "@"
    assert sheet.cell(FIRST_ROW, at["managing_unit_code"]).value.startswith("H26 – ")
    checks = {}
    for check in sheet.data_validations.dataValidation:
        for area in check.sqref.ranges:
            checks |= {column: check for column in range(area.min_col, area.max_col + 1)}
    number = checks[at["personal_id_number"]]
    assert (number.type, number.operator, number.formula1) == ("textLength", "equal", "12")
    ethnicity = checks[at["ethnicity"]]
    assert ethnicity.type == "list"
    name, cells = ethnicity.formula1.split("!")
    entries = [row[0].value for row in book[name.strip("'")][cells.replace("$", "")]]
    assert "01 – Kinh" in entries
    assert len(entries) == 56
    religions = checks[at["religion"]].formula1.split("!")[1].replace("$", "")
    assert all(row[0].value.endswith("(nhãn tạm)") for row in book["Danh mục"][religions]), "placeholders say so"


def test_a_form_filled_in_elsewhere_is_read_and_its_rejects_come_back(issuer: Issuer):
    bad = {**PERSON, "agency_personnel_number": "MAU-0002", "personal_id_number": 1087000002, "full_name": "=1+1"}
    found = upload(issuer, filled_in(issuer, [PERSON, bad]))
    assert found["state"] == "checked", found
    assert (found["counts"]["new"], found["counts"]["faults"]) == (1, 1), found
    place = f"{issuer.url}/api/v1/uploads/{found['id']}"
    rows = requests.get(f"{place}/rows?filter=faults", headers=issuer.backend, timeout=60).json()["items"]
    told = {fault["field"]: fault["message_en"] for fault in rows[0]["faults"]}
    assert "format the column as Text" in told["personal_id_number"]
    assert "a formula without a result" in told["full_name"]

    rejects = requests.get(f"{place}/rejects.xlsx", headers=issuer.backend, timeout=60)
    book = openpyxl.load_workbook(io.BytesIO(rejects.content))
    sheet = book.active
    at = {cell.value: cell.column for cell in sheet[2]}
    assert "12 chữ số" in sheet.cell(3, at["__faults"]).value
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    sheet.cell(3, at["personal_id_number"], "001087000002")
    sheet.cell(3, at["full_name"], "Trần Thị Bình")
    corrected = io.BytesIO()
    book.save(corrected)
    again = upload(issuer, corrected.getvalue())
    assert (again["counts"]["new"], again["counts"]["faults"]) == (1, 0), again

    answer = requests.post(f"{place}/submit", json={"only_good_rows": True}, headers=issuer.backend, timeout=60)
    assert answer.status_code == 202, answer.text
    assert rested(issuer, found["id"])["counts"]["written"] == 1
