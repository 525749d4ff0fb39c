//! The words that synthetic people are made of: names by their rough frequency, units, places. Nobody real is meant.

/// Family names and their weights, in thousandths.
pub const FAMILY: [(&str, u32); 32] = [
    ("Nguyễn", 384),
    ("Trần", 121),
    ("Lê", 95),
    ("Phạm", 70),
    ("Hoàng", 30),
    ("Huỳnh", 21),
    ("Phan", 45),
    ("Vũ", 20),
    ("Võ", 19),
    ("Đặng", 21),
    ("Bùi", 20),
    ("Đỗ", 14),
    ("Hồ", 13),
    ("Ngô", 13),
    ("Dương", 10),
    ("Lý", 5),
    ("Đinh", 10),
    ("Đoàn", 9),
    ("Trịnh", 8),
    ("Mai", 7),
    ("Lương", 8),
    ("Cao", 7),
    ("Tạ", 5),
    ("Quách", 3),
    ("Nông", 6),
    ("Lò", 6),
    ("Vàng", 4),
    ("Giàng", 4),
    ("Ksor", 2),
    ("Thạch", 4),
    ("Châu", 4),
    ("H'Wing", 1),
];
/// Middle names of men.
pub const MIDDLE_MEN: [&str; 14] =
    ["Văn", "Văn", "Văn", "Văn", "Hữu", "Đức", "Công", "Quang", "Minh", "Xuân", "Thanh", "Trọng", "Đình", "Ngọc"];
/// Middle names of women.
pub const MIDDLE_WOMEN: [&str; 14] = [
    "Thị",
    "Thị",
    "Thị",
    "Thị",
    "Thị",
    "Thị Thu",
    "Thị Thanh",
    "Thị Ngọc",
    "Ngọc",
    "Thu",
    "Phương",
    "Thùy",
    "Kim",
    "Bích",
];
/// Given names of men.
pub const GIVEN_MEN: [&str; 32] = [
    "Anh", "Bình", "Cường", "Dũng", "Đạt", "Đức", "Giang", "Hải", "Hiếu", "Hòa", "Hùng", "Huy", "Khánh", "Khoa",
    "Kiên", "Lâm", "Long", "Minh", "Nam", "Nghĩa", "Phong", "Phúc", "Quân", "Quang", "Sơn", "Tâm", "Thắng", "Thành",
    "Thịnh", "Tuấn", "Việt", "Vinh",
];
/// Given names of women.
pub const GIVEN_WOMEN: [&str; 32] = [
    "An", "Ánh", "Chi", "Diệp", "Dung", "Đào", "Giang", "Hà", "Hạnh", "Hằng", "Hiền", "Hoa", "Hồng", "Huệ", "Hương",
    "Lan", "Linh", "Loan", "Mai", "Nga", "Ngân", "Ngọc", "Nhung", "Oanh", "Phương", "Quỳnh", "Thảo", "Thủy", "Trang",
    "Tuyết", "Vân", "Yến",
];
/// Second-level units of a province.
pub const PROVINCE_UNITS: [&str; 12] = [
    "Văn phòng Ủy ban nhân dân",
    "Sở Nội vụ",
    "Sở Tư pháp",
    "Sở Tài chính",
    "Sở Công Thương",
    "Sở Nông nghiệp và Môi trường",
    "Sở Xây dựng",
    "Sở Khoa học và Công nghệ",
    "Sở Văn hóa, Thể thao và Du lịch",
    "Sở Giáo dục và Đào tạo",
    "Sở Y tế",
    "Thanh tra",
];
/// Second-level units of a ministry.
pub const MINISTRY_UNITS: [&str; 6] = [
    "Văn phòng Bộ",
    "Vụ Tổ chức cán bộ",
    "Vụ Pháp chế",
    "Vụ Kế hoạch - Tài chính",
    "Thanh tra Bộ",
    "Trung tâm Thông tin",
];
/// Third-level units.
pub const THIRD_LEVEL: [&str; 3] = ["Văn phòng", "Phòng Tổ chức - Hành chính", "Phòng Nghiệp vụ"];
/// Job positions: code and label of the synthetic list.
pub const JOBS: [(&str, &str); 10] = [
    ("VT.001", "Chuyên viên tổng hợp"),
    ("VT.002", "Chuyên viên quản lý nhân sự"),
    ("VT.003", "Chuyên viên pháp chế"),
    ("VT.004", "Kế toán viên"),
    ("VT.005", "Văn thư viên"),
    ("VT.006", "Chuyên viên công nghệ thông tin"),
    ("VT.007", "Thanh tra viên"),
    ("VT.008", "Giáo viên"),
    ("VT.009", "Bác sĩ"),
    ("VT.010", "Nhân viên phục vụ"),
];
/// Positions held: code and label of the synthetic list.
pub const POSITIONS: [(&str, &str); 8] = [
    ("010", "Giám đốc"),
    ("011", "Phó Giám đốc"),
    ("020", "Chánh Văn phòng"),
    ("021", "Phó Chánh Văn phòng"),
    ("030", "Trưởng phòng"),
    ("031", "Phó Trưởng phòng"),
    ("040", "Chủ tịch Ủy ban nhân dân xã"),
    ("041", "Phó Chủ tịch Ủy ban nhân dân xã"),
];
/// Places of training.
pub const SCHOOLS: [&str; 6] = [
    "Trường Đại học mẫu số 1",
    "Trường Đại học mẫu số 2",
    "Học viện mẫu số 1",
    "Học viện mẫu số 2",
    "Trường Cao đẳng mẫu",
    "Trường Chính trị mẫu",
];
