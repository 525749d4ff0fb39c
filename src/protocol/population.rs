//! The plain JSON messages between us and a population registry: `POST {base}/lookup` with a bearer key. The real
//! service speaks SOAP (domain dossier, section 5); its adapter will fill the same types.

use serde::{Deserialize, Serialize};

use crate::model::id::PersonalNumber;
use crate::model::partial_date::PartialDate;
use crate::model::person::{NameParts, PopulationPerson, PopulationQuery};

/// A question. Every one names the officer who asks and the purpose. It holds personal data and does not print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// The officer who asks.
    pub officer: String,
    /// Why.
    pub purpose: String,
    /// Twelve digits.
    pub personal_id_number: String,
    /// Birth name.
    pub full_name: String,
    /// `yyyy`, `yyyyMM` or `yyyyMMdd`.
    pub date_of_birth: String,
}

/// An answer: the person, or nobody. It holds personal data and does not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct LookupAnswer {
    /// The person with that number; `None` when the registry knows none.
    pub person: Option<PersonMessage>,
}

/// A person as the registry knows them. It holds personal data and does not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct PersonMessage {
    /// Twelve digits.
    pub personal_id_number: String,
    /// The name in its parts.
    pub name: NameMessage,
    /// `yyyy`, `yyyyMM` or `yyyyMMdd`.
    pub date_of_birth: String,
    /// `male` or `female`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
}

/// A name in the parts `Ho`, `ChuDem`, `Ten`; all of it may sit in the last.
#[derive(Clone, Serialize, Deserialize)]
pub struct NameMessage {
    /// Family name.
    #[serde(default)]
    pub family: String,
    /// Middle name.
    #[serde(default)]
    pub middle: String,
    /// Given name.
    pub given: String,
}

/// An answer that breaks the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry's answer has no valid {0}")]
pub struct AnswerError(pub &'static str);

impl From<&PopulationQuery> for LookupRequest {
    fn from(query: &PopulationQuery) -> Self {
        Self {
            officer: query.officer.clone(),
            purpose: query.purpose.clone(),
            personal_id_number: query.personal_number.expose().to_owned(),
            full_name: query.full_name.clone(),
            date_of_birth: query.date_of_birth.to_string(),
        }
    }
}

impl PersonMessage {
    /// The person, when every part has its form.
    pub fn parse(self) -> Result<PopulationPerson, AnswerError> {
        let known = |sex: &String| sex == "male" || sex == "female";
        if !self.gender.as_ref().is_none_or(known) {
            return Err(AnswerError("gender"));
        }
        let NameMessage { family, middle, given } = self.name;
        Ok(PopulationPerson {
            personal_number: PersonalNumber::parse(&self.personal_id_number)
                .ok_or(AnswerError("personal_id_number"))?,
            name: NameParts { family, middle, given },
            date_of_birth: PartialDate::parse(&self.date_of_birth).ok_or(AnswerError("date_of_birth"))?,
            sex: self.gender,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_parsed_whole_or_refused() {
        let text = r#"{"person":{"personal_id_number":"001187012345","name":{"given":"NGUYỄN THỊ ĐÀO"},"date_of_birth":"1987"}}"#;
        let answer: LookupAnswer = serde_json::from_str(text).unwrap();
        let person = answer.person.unwrap();
        assert_eq!(person.clone().parse().unwrap().name.joined(), "NGUYỄN THỊ ĐÀO");
        let wrong = |change: fn(&mut PersonMessage)| {
            let mut message = person.clone();
            change(&mut message);
            message.parse().unwrap_err().0
        };
        assert_eq!(wrong(|message| message.gender = Some("1".into())), "gender");
        assert_eq!(wrong(|message| message.personal_id_number.clear()), "personal_id_number");
        assert_eq!(wrong(|message| message.date_of_birth = "0".into()), "date_of_birth");
    }

    proptest! {
        #[test]
        fn answers_never_panic(text in "\\PC{0,60}") {
            if let Ok(answer) = serde_json::from_str::<LookupAnswer>(&text) {
                let _ = answer.person.map(PersonMessage::parse);
            }
        }
    }
}
