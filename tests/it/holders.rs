//! Whose a grant is: of one person, of the card that this person has and of what replaced it because its facts changed, and
//! of the wallet that took it. What came of a card that was lost, of a record that was another's, or to another wallet ends.

use officials_card::clock::DAY_SECONDS;
use officials_card::model::id::Handle;
use officials_card::store::{Deferral, Holder, Redemption};
use serde_json::{Value, json};

use crate::authorize::{claims, disagrees};
use crate::grants::offered;
use crate::holder::{CodeWallet, NEIGHBOUR, Office, PERSON, SD_JWT, Tokens, fresh_key, status_of};
use crate::revoke::published;
use crate::story;
use crate::town::{Town, URL};

/// The card of a person, as the backend knows it.
async fn card_of(office: &Office, person: &str) -> String {
    office.town.officer("vneid").await.offer(person).await["card"].as_str().unwrap().to_owned()
}

/// How a card stands: state and reason.
async fn standing(office: &Office, card: &str) -> (String, String) {
    let seen = office.town.officer("vneid").await.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

/// The unit finds that the personnel number of [`PERSON`] is of [`NEIGHBOUR`], and the record is verified again.
async fn comes_to_be_the_neighbours(office: &Office) {
    office.town.imports_as(PERSON, NEIGHBOUR, "H26", "001", "active").await;
    office.town.matches_and_confirms("H26").await;
}

/// These tokens are good for nothing.
async fn is_out(wallet: &CodeWallet<'_>, tokens: &Tokens, why: &str) {
    assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(401), "invalid_token", "{why}");
    assert_eq!(wallet.refresh(&tokens.refresh).send().await.error(400), "invalid_grant", "{why}");
}

/// The neighbour signs in, with a phone of their own, and has the card.
async fn the_neighbour_has_a_card(office: &Office) {
    let wallet = office.wallet();
    let tokens = wallet.tokens(NEIGHBOUR).await;
    let issued = wallet.issued(&tokens.access).await;
    assert_eq!(claims(office, &issued)["personal_id_number"], NEIGHBOUR);
    assert_eq!(published(&office.town, &status_of(&issued)).await, 0);
    wallet.issued(&Tokens::of(wallet.refresh(&tokens.refresh).send().await).access).await;
}

story! {
    async fn a_record_that_comes_to_be_of_another_person_serves_the_first_no_more(town) {
        let office = Office::open_with(town, |config| config.refresh_status = 3).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let mine = wallet.issued(&tokens.access).await;
        let card = card_of(&office, PERSON).await;
        comes_to_be_the_neighbours(&office).await;
        is_out(&wallet, &tokens, "before the round").await;
        assert_eq!(office.town.service.refresh_cards().await.unwrap(), 1);
        assert_eq!(standing(&office, &card).await, ("withdrawn".into(), "issued_in_error".into()));
        assert_eq!(published(&office.town, &status_of(&mine)).await, 1, "it was not superseded: it is wrong");
        is_out(&wallet, &tokens, "after the round").await;
        the_neighbour_has_a_card(&office).await;
        // Nor does it come back to the first when the unit takes its word back.
        office.town.imports(PERSON, "H26", "002", "active").await;
        office.town.matches_and_confirms("H26").await;
        is_out(&wallet, &tokens, "after a correction").await;
    }
}

story! {
    async fn who_signs_in_first_finds_the_card_of_the_other_withdrawn(town) {
        let office = Office::open_with(town, |config| config.refresh_status = 3).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let mine = wallet.issued(&tokens.access).await;
        let card = card_of(&office, PERSON).await;
        comes_to_be_the_neighbours(&office).await;
        the_neighbour_has_a_card(&office).await;
        assert_eq!(standing(&office, &card).await, ("withdrawn".into(), "issued_in_error".into()));
        assert_eq!(published(&office.town, &status_of(&mine)).await, 1);
        is_out(&wallet, &tokens, "the card is another's").await;
    }
}

story! {
    async fn a_code_or_an_offer_is_of_the_person_that_it_was_made_for(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let (early_code, late_code) = (wallet.code(PERSON).await, wallet.code(PERSON).await);
        let (early_offer, late_offer) = (offered(&office, PERSON).await, offered(&office, PERSON).await);
        let state = office.issuer_state(PERSON).await;
        let pushed = crate::holder::request_uri(wallet.par().with("issuer_state", state.as_str()).send().await);
        comes_to_be_the_neighbours(&office).await;
        // Before the round has looked at the card, each becomes a grant that is good for nothing.
        for draft in [wallet.redeem(&early_code), wallet.redeem_offer(&early_offer.0, &early_offer.1)] {
            let answer = draft.send().await;
            if answer.status == 200 {
                is_out(&wallet, &Tokens::of(answer), "the record is the neighbour's").await;
            } else {
                assert_eq!(answer.error(400), "invalid_grant");
            }
        }
        assert_eq!(office.town.service.refresh_cards().await.unwrap(), 1);
        for draft in [wallet.redeem(&late_code), wallet.redeem_offer(&late_offer.0, &late_offer.1)] {
            assert_eq!(draft.send().await.error(400), "invalid_grant", "it is over with the card");
        }
        // The offer was for the first person: the second does not take it, and the first has no record.
        for person in [NEIGHBOUR, PERSON] {
            let browser = office.browser();
            let page = browser.arrives(&office, &wallet.client_id, &pushed, person).await;
            assert_eq!(page.answer.status, 403, "{}", page.text());
        }
        the_neighbour_has_a_card(&office).await;
    }
}

story! {
    async fn who_waited_for_a_mistyped_number_waits_in_vain(town) {
        let office = Office::without_people(town, |_| {}).await;
        office.town.imports(PERSON, "H26", "001", "active").await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let later = wallet.credential(&tokens.access, SD_JWT).await.send().await.expect(202);
        comes_to_be_the_neighbours(&office).await;
        let collect = wallet.call("/deferred", &tokens.access, json!({"transaction_id": later["transaction_id"]}));
        assert_eq!(collect.send().await.error(401), "invalid_token");
        is_out(&wallet, &tokens, "the record is the neighbour's").await;
        the_neighbour_has_a_card(&office).await;
        assert_eq!(collect.send().await.error(401), "invalid_token");
    }
}

/// What stood open for a card before something happened to it.
struct Open {
    tokens: Tokens,
    card: String,
    code: String,
    offer: (String, String),
    state: String,
}

/// The person has the card in a wallet; a code and two offers of it are not redeemed yet.
async fn opened(office: &Office, wallet: &CodeWallet<'_>) -> Open {
    let tokens = wallet.tokens(PERSON).await;
    wallet.issued(&tokens.access).await;
    Open {
        tokens,
        card: card_of(office, PERSON).await,
        code: wallet.code(PERSON).await,
        offer: offered(office, PERSON).await,
        state: office.issuer_state(PERSON).await,
    }
}

/// None of it is good any more, now and when the person has the new card on a new phone.
async fn all_of_it_is_over(office: &Office, wallet: &CodeWallet<'_>, open: &Open) {
    for moment in ["at once", "with the new card"] {
        is_out(wallet, &open.tokens, moment).await;
        assert_eq!(wallet.redeem(&open.code).send().await.error(400), "invalid_grant", "{moment}");
        let redeemed = wallet.redeem_offer(&open.offer.0, &open.offer.1).send().await;
        assert_eq!(redeemed.error(400), "invalid_grant", "{moment}");
        let pushed = wallet.par().with("issuer_state", open.state.as_str()).send().await;
        assert_eq!(pushed.error(400), "invalid_request", "{moment}");
        let phone = office.wallet();
        let issued = phone.issued(&phone.tokens(PERSON).await.access).await;
        assert_eq!(published(&office.town, &status_of(&issued)).await, 0);
        assert_ne!(card_of(office, PERSON).await, open.card);
    }
}

story! {
    async fn a_card_replaced_for_a_lost_phone_leaves_that_phone_nothing(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let open = opened(&office, &wallet).await;
        office.town.officer("vneid").await.step(&open.card, "replace", "lost").await.expect(201);
        all_of_it_is_over(&office, &wallet, &open).await;
        // Nor does the lost phone follow when the new card's facts change.
        office.town.imports(PERSON, "H26", "002", "active").await;
        office.town.matches_and_confirms("H26").await;
        assert_eq!(office.town.service.refresh_cards().await.unwrap(), 1);
        is_out(&wallet, &open.tokens, "after a change").await;
    }
}

story! {
    async fn a_card_withdrawn_for_a_stolen_phone_leaves_that_phone_nothing(town) {
        let office = Office::open(town).await;
        let wallet = office.wallet();
        let open = opened(&office, &wallet).await;
        office.town.officer("vneid").await.step(&open.card, "withdraw", "stolen").await.expect(200);
        all_of_it_is_over(&office, &wallet, &open).await;
    }
}

story! {
    async fn a_locked_card_keeps_its_wallet(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let card = card_of(&office, PERSON).await;
        officer.step(&card, "lock", "lost").await.expect(200);
        assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(400), "credential_request_denied");
        officer.step(&card, "unlock", "found").await.expect(200);
        wallet.issued(&Tokens::of(wallet.refresh(&tokens.refresh).send().await).access).await;
    }
}

story! {
    async fn a_wallet_follows_its_card_over_changes_that_it_missed(town) {
        let office = Office::open(town).await;
        let store = office.town.service.store();
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        wallet.issued(&tokens.access).await;
        let mut cards = vec![card_of(&office, PERSON).await];
        for position in ["002", "003"] {
            office.town.imports(PERSON, "H26", position, "active").await;
            office.town.matches_and_confirms("H26").await;
            assert_eq!(office.town.service.refresh_cards().await.unwrap(), 1);
            cards.push(card_of(&office, PERSON).await);
        }
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        let newest = wallet.issued(&refreshed.access).await;
        assert_eq!(published(&office.town, &status_of(&newest)).await, 0);
        cards.push(
            office.town.officer("vneid").await.step(&cards[2], "replace", "lost").await.expect(201)["card"].as_str().unwrap().into(),
        );
        is_out(&wallet, &refreshed, "the newest was lost").await;
        // What a process begins just while another withdraws is held to the same line.
        let cards: Vec<_> = cards.iter().map(|card| Handle::parse(card).unwrap()).collect();
        for (old, new, follows) in [(0, 0, true), (0, 1, true), (0, 2, true), (1, 2, true), (2, 3, false), (0, 3, false), (1, 0, false)] {
            assert_eq!(store.follows(&cards[old], &cards[new]).await.unwrap(), follows, "{old} to {new}");
        }
    }
}

story! {
    async fn a_code_whose_answer_was_lost_works_again_for_the_same_wallet_only(town) {
        let office = Office::open(town).await;
        let (wallet, other_instance, other_product) = (office.wallet(), office.wallet(), office.second_wallet());
        let other_key = fresh_key();
        let (code, tx_code) = offered(&office, PERSON).await;
        let first = Tokens::of(wallet.redeem_offer(&code, &tx_code).send().await);
        office.town.clock.advance(2);
        for (what, draft) in [
            ("another instance", other_instance.redeem_offer(&code, &tx_code)),
            ("another product", other_product.redeem_offer(&code, &tx_code)),
            ("another DPoP key", wallet.redeem_offer(&code, &tx_code).dpop_by(&other_key)),
            ("no DPoP key", wallet.redeem_offer(&code, &tx_code).no_dpop()),
            ("nobody", wallet.redeem_offer(&code, &tx_code).anonymous()),
            ("nobody, by no key", wallet.redeem_offer(&code, &tx_code).anonymous().no_dpop()),
        ] {
            assert_eq!(draft.send().await.error(400), "invalid_grant", "{what}");
            Tokens::of(wallet.refresh(&first.refresh).send().await);
        }
        let second = Tokens::of(wallet.redeem_offer(&code, &tx_code).send().await);
        is_out(&wallet, &first, "its answer was lost").await;
        wallet.issued(&second.access).await;
        assert_eq!(wallet.redeem_offer(&code, &tx_code).send().await.error(400), "invalid_grant", "it was used");
        wallet.issued(&second.access).await;
    }
}

story! {
    async fn nobody_is_told_from_nobody_by_the_key(town) {
        let office = Office::open(town).await;
        let (wallet, other_key) = (office.wallet(), fresh_key());
        let (code, tx_code) = offered(&office, PERSON).await;
        let redeem = || wallet.redeem_offer(&code, &tx_code).anonymous();
        let first = Tokens::of(redeem().send().await);
        office.town.clock.advance(2);
        for draft in [redeem().dpop_by(&other_key), redeem().no_dpop(), wallet.redeem_offer(&code, &tx_code)] {
            assert_eq!(draft.send().await.error(400), "invalid_grant");
        }
        Tokens::of(wallet.refresh(&first.refresh).anonymous().send().await);
        let second = Tokens::of(redeem().send().await);
        assert_eq!(wallet.refresh(&first.refresh).anonymous().send().await.error(400), "invalid_grant");
        Tokens::of(wallet.refresh(&second.refresh).anonymous().send().await);

        // And the other way round: a key does not take what was given to a bearer.
        let (code, tx_code) = offered(&office, PERSON).await;
        let redeem = || wallet.redeem_offer(&code, &tx_code).anonymous();
        redeem().no_dpop().send().await.expect(200);
        office.town.clock.advance(2);
        assert_eq!(redeem().send().await.error(400), "invalid_grant");
        assert_eq!(redeem().no_dpop().send().await.expect(200)["token_type"], "Bearer");
    }
}

story! {
    async fn a_grant_that_waits_is_in_use(town) {
        town.hires(PERSON, "H26").await;
        let store = town.service.store();
        let made = town.officer("vneid").await.offer(PERSON).await;
        let offer = made["credential_offer_uri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let now = town.clock.now();
        let redemption = |grant: &str, at: i64| Redemption {
            offer: offer.clone(),
            right_tx_code: true,
            grant: grant.into(),
            holder: Holder { client: Some("vneid".into()), ..Holder::default() },
            token_key: Some("key".into()),
            details: None,
            expires_at: now + DAY_SECONDS,
            max_attempts: 5,
            at,
        };
        store.redeem_offer(redemption("first", now)).await.unwrap();
        store.redeem_offer(redemption("second", now + 2)).await.unwrap();
        assert!(store.grant("first", now + 2).await.unwrap().is_none());
        let waits = Deferral {
            id: "waits".into(),
            grant: "second".into(),
            configuration: SD_JWT.into(),
            holders: "[]".into(),
            nonce: "nonce".into(),
            request_hash: "request".into(),
            created_at: now + 3,
            expires_at: now + DAY_SECONDS,
        };
        assert!(store.defer(waits).await.unwrap().is_some());
        assert!(store.redeem_offer(redemption("third", now + 4)).await.is_err(), "its answer was not lost");
        assert!(store.grant("second", now + 4).await.unwrap().is_some());
        assert!(store.grant("third", now + 4).await.unwrap().is_none());
    }
}

/// A credential request of a wallet that has no name.
async fn unnamed_request(wallet: &CodeWallet<'_>) -> Value {
    let town = &wallet.office.town;
    let proof =
        crate::town::proof_by(&wallet.key, json!({"aud": URL, "iat": town.clock.now(), "nonce": wallet.nonce().await}));
    json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}})
}

story! {
    async fn what_is_no_longer_offered_is_no_longer_issued(town) {
        let office = Office::open(town).await;
        let later = office.town.configured(|config| config.configurations = vec!["official-card-qr".into()]);
        let wallet = office.wallet();
        let both = wallet.par().with("scope", "official-card-sdjwt official-card-qr");
        let pushed = crate::holder::request_uri(both.send().await);
        let code = wallet.lands(&pushed, PERSON).await.code();
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        wallet.issued(&tokens.access).await;
        let gone = wallet.credential(&tokens.access, SD_JWT).await;
        assert_eq!(gone.at(&later).send().await.error(400), "unknown_credential_configuration");
        wallet.credential(&tokens.access, "official-card-qr").await.at(&later).send().await.expect(200);

        let detail = json!([{"type": "openid_credential", "credential_configuration_id": SD_JWT}]).to_string();
        let pushed = wallet.par().with("authorization_details", detail).send().await;
        let code = wallet.lands(&crate::holder::request_uri(pushed), PERSON).await.code();
        let tokens = Tokens::of(wallet.redeem(&code).send().await);
        let identifier = tokens.answer["authorization_details"][0]["credential_identifiers"][0].clone();
        let named = wallet.credential(&tokens.access, SD_JWT).await.without("credential_configuration_id");
        let named = named.with("credential_identifier", identifier).at(&later);
        assert_eq!(named.send().await.error(400), "unknown_credential_identifier");
    }
}

story! {
    async fn where_nobody_is_welcome_no_more_their_tokens_end(town) {
        let office = Office::open(town).await;
        let later = office.town.configured(|config| config.anonymous_wallets = false);
        let wallet = office.wallet();
        let (code, tx_code) = offered(&office, PERSON).await;
        let tokens = Tokens::of(wallet.redeem_offer(&code, &tx_code).anonymous().send().await);
        let (code, tx_code) = offered(&office, PERSON).await;
        let bearer = wallet.redeem_offer(&code, &tx_code).anonymous().no_dpop().send().await.expect(200);
        let bearer = bearer["access_token"].as_str().unwrap();
        for (town, status) in [(&office.town, 200), (&later, 401)] {
            let request = wallet.call("/credential", &tokens.access, unnamed_request(&wallet).await).at(town);
            let answer = request.send().await;
            assert_eq!(answer.status, status, "by a key");
            let request = wallet.call("/credential", bearer, unnamed_request(&wallet).await).at(town);
            let answer = request.scheme("Bearer").no_dpop().send().await;
            assert_eq!(answer.status, status, "by a bearer");
        }
        assert_eq!(wallet.refresh(&tokens.refresh).anonymous().at(&later).send().await.error(401), "invalid_client");
        Tokens::of(wallet.refresh(&tokens.refresh).anonymous().send().await);
    }
}

/// What becomes of a card that a wallet asks for again after the unit sent a newer version, which the population database
/// has to be asked about, and `then` happened.
async fn asked_again(town: Town, status: &str, then: impl AsyncFn(&Town)) -> crate::town::Answer {
    let office = Office::open(town).await;
    let wallet = office.wallet();
    let tokens = wallet.tokens(PERSON).await;
    wallet.issued(&tokens.access).await;
    office.town.imports_called("Nguyễn Thị Mới", PERSON, PERSON, "H26", "002", status).await;
    then(&office.town).await;
    wallet.credential(&tokens.access, SD_JWT).await.send().await
}

story! {
    async fn while_a_newer_version_is_not_looked_at_the_card_is_given(town) {
        asked_again(town, "active", async |_| {}).await.expect(200);
    }
}

story! {
    async fn while_a_newer_version_is_not_confirmed_the_card_is_given(town) {
        asked_again(town, "active", async |town| town.matches().await).await.expect(200);
    }
}

story! {
    async fn a_version_that_does_not_agree_stops_the_card(town) {
        let answer = asked_again(town, "active", async |town| disagrees(town, true).await).await;
        assert_eq!(answer.error(400), "credential_request_denied");
    }
}

story! {
    async fn a_version_that_nobody_knows_stops_the_card(town) {
        let answer = asked_again(town, "active", async |town| disagrees(town, false).await).await;
        assert_eq!(answer.error(400), "credential_request_denied");
    }
}

story! {
    async fn who_is_not_in_service_is_not_given_the_card(town) {
        let answer = asked_again(town, "retired", async |town| town.matches_and_confirms("H26").await).await;
        assert_eq!(answer.error(400), "credential_request_denied");
    }
}
