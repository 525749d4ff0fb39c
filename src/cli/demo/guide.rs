//! What the demo prints when it is ready: what to do next, Vietnamese first.

use std::path::Path;

use super::Ready;
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Result};
use crate::flow::MadeOffer;

/// Prints the guide.
pub fn print(ready: &Ready, made: &MadeOffer) -> Result<()> {
    let symbol = Symbol::new(&made.link, Ecc::Low).map_err(|error| Fault::new("drawing the offer", error))?;
    let own = std::env::current_exe().map_err(|error| Fault::new("finding this program", error))?;
    let wallet = own.with_file_name("examples").join("wallet");
    let (own, wallet) = (short(&own), short(&wallet));
    let (url, dir, product) = (&ready.url, short(&ready.dir), short(&ready.products[0].file));
    let anchors = format!("--trust-anchor {dir}/keys/root.pem {dir}/keys/iaca.pem");
    println!(
        "{qr}
Mã giao dịch / transaction code: {tx_code} (10 phút / good for ten minutes)

Thẻ cán bộ, công chức, viên chức: dịch vụ chạy thử tại {url}
Officials card: the demo is serving at {url} (API: {url}/docs)

Ví mẫu trong trình duyệt / the demo wallet in a browser: {url}/demo/wallet

A. Nhận thẻ theo lời mời (cơ quan gửi mã) / by an offer (the code comes from VNeID's backend)
1. Quét mã trên bằng ví, hoặc nhận thẻ vào ví mẫu / scan the code with a wallet, or take the card into the reference wallet:
   {wallet} --dir {dir}/wallet take '{link}' --tx-code {tx_code} {anchors}
2. Đưa mã QR sống ra và kiểm tra / show the live QR code and verify it:
   {wallet} --dir {dir}/wallet qr --png {dir}/live.png
   {own} bundle --url {url} --anchor {dir}/keys/root.pem --out {dir}/bundle.json
   {own} verify --png {dir}/live.png --bundle {dir}/bundle.json --anchor {dir}/keys/root.pem
3. Thu hồi rồi kiểm tra lại / withdraw it and verify again (the verdict changes):
   {own} --config {dir}/officials-card.toml card withdraw --card {card} --reason lost
   {wallet} --dir {dir}/wallet qr --png {dir}/live.png
   {own} bundle --url {url} --anchor {dir}/keys/root.pem --out {dir}/bundle.json
   {own} verify --png {dir}/live.png --bundle {dir}/bundle.json --anchor {dir}/keys/root.pem

B. Nhận thẻ bằng đăng nhập VNeID (mô phỏng tại {sign_in}) / by signing in at VNeID (simulated)
1. Ví in ra một địa chỉ; mở nó trong trình duyệt trên máy này / the wallet prints an address: open it in a browser on this machine:
   {wallet} --dir {dir}/wallet-b take --sign-in {url} --product {product} {anchors}
2. Đăng nhập với một số dưới đây, mật khẩu {password} / sign in with one of these numbers, password {password}:
   {verified}  hồ sơ đã xác nhận: có thẻ ngay / verified record: the card comes at once
   {under_review}  hồ sơ đang được xem xét: thẻ đến sau / under review: the card comes later; to confirm it:
                 {own} --config {dir}/officials-card.toml records confirm --unit {review_unit} --officer \"cán bộ 02\"
   {none}  không có hồ sơ: không có thẻ / no record: no card
   Không có trình duyệt? / No browser? … take --sign-in … --person {verified} --password {password}
3. Khi thông tin đổi, ví tự lấy thẻ mới / when the facts change, the wallet gets the new card by itself:
   {wallet} --dir {dir}/wallet-b refresh

C. Văn phòng đơn vị / the unit office: {url}/office/ (đăng nhập mô phỏng tại {office}, mật khẩu / password {password}; mã một lần hiện trên trang / the page tells the one-time code)
{officers}
Lời mời khác / another offer: {own} --config {dir}/officials-card.toml offer --person {person}
Token API / API token: {token}
Dừng / stop: Ctrl-C",
        qr = symbol.terminal(),
        link = made.link,
        tx_code = made.tx_code.as_deref().unwrap_or_default(),
        card = made.card,
        person = ready.person.expose(),
        token = ready.token,
        sign_in = ready.sign_in_url,
        password = super::PASSWORD,
        office = ready.office_url,
        officers = super::office::guide(),
        verified = super::VERIFIED.person,
        under_review = super::UNDER_REVIEW.person,
        review_unit = super::UNDER_REVIEW.unit,
        none = super::NO_RECORD,
    );
    Ok(())
}

/// A path as the person at this terminal would type it.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    match relative {
        Some(relative) if !relative.as_os_str().is_empty() => relative.display().to_string(),
        _ => path.display().to_string(),
    }
}
