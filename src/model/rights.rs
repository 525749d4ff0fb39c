//! What officers of the unit offices may do, as data (`data/rights.csv`): a row for each right, a column for each role.
//! The roles are those that the ministry's rules name between the lines (Circular 06/2023/TT-BNV: who enters, who
//! confirms, who answers for the unit; Decision 838/QĐ-BNV: the Inspectorate checks); the table itself is derived, not
//! published.
//!
//! A row `reach` says how far a role's rights go, a row `manages` whose accounts it may change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// What an officer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Enters and prepares.
    Clerk,
    /// Confirms what others entered, and decides proposals.
    Confirmer,
    /// Answers for the unit: approves, and manages its clerks and confirmers.
    UnitHead,
    /// Looks, and changes nothing.
    Inspector,
    /// Runs the deployment: accounts and connections, no personal data.
    Operator,
}

impl Role {
    /// In the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Clerk, Self::Confirmer, Self::UnitHead, Self::Inspector, Self::Operator];

    /// As the table and the API write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clerk => "clerk",
            Self::Confirmer => "confirmer",
            Self::UnitHead => "unit_head",
            Self::Inspector => "inspector",
            Self::Operator => "operator",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// How far the rights of a role go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Their own unit, which they must have, and all below.
    Unit,
    /// The unit that they were given and all below; the nation when they were given none.
    Given,
    /// The nation: they have no unit.
    Nation,
}

/// The table.
#[derive(Debug)]
pub struct Rights {
    scopes: Vec<String>,
    of: BTreeMap<Role, OfRole>,
}

#[derive(Debug)]
struct OfRole {
    reach: Reach,
    manages: Vec<Role>,
    scopes: Vec<String>,
}

/// The table that ships with the program.
pub fn rights() -> &'static Rights {
    static RIGHTS: LazyLock<Rights> = LazyLock::new(|| {
        // The tests below read the same bytes.
        Rights::read(include_str!("data/rights.csv")).expect("the shipped table is sound")
    });
    &RIGHTS
}

impl Rights {
    /// Every scope that the table has a row for, in its order.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The scopes of a role.
    pub fn scopes_of(&self, role: Role) -> &[String] {
        self.of.get(&role).map_or(&[], |of| &of.scopes)
    }

    /// Whether a role has a scope.
    pub fn allows(&self, role: Role, scope: &str) -> bool {
        self.scopes_of(role).iter().any(|own| own == scope)
    }

    /// How far the rights of a role go.
    pub fn reach(&self, role: Role) -> Reach {
        self.of.get(&role).map_or(Reach::Unit, |of| of.reach)
    }

    /// Whether somebody of `role` may make and change accounts of `other`; where, is for [`Rights::reach`].
    pub fn manages(&self, role: Role, other: Role) -> bool {
        self.of.get(&role).is_some_and(|of| of.manages.contains(&other))
    }

    /// Reads the table; tells what is wrong with it.
    fn read(text: &str) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|error| error.to_string())?.clone();
        let roles: Option<Vec<_>> = headers.iter().skip(1).map(Role::parse).collect();
        let roles = roles.filter(|roles| roles == &Role::ALL).ok_or("the columns are not the roles in order")?;
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let [reach, manages, scopes @ ..] = rows.as_slice() else { return Err("rows are missing".into()) };
        if (&reach[0], &manages[0]) != ("reach", "manages") {
            return Err("the first rows are not reach and manages".into());
        }
        let mut of = BTreeMap::new();
        for (column, role) in (1..).zip(roles) {
            let reach = match &reach[column] {
                "unit" => Reach::Unit,
                "given" => Reach::Given,
                "nation" => Reach::Nation,
                other => return Err(format!("reach {other} is not known")),
            };
            let manages: Option<Vec<_>> = manages[column].split_whitespace().map(Role::parse).collect();
            let manages = manages.ok_or("manages names an unknown role")?;
            let mut own = Vec::new();
            for row in scopes {
                match &row[column] {
                    "yes" => own.push(row[0].to_owned()),
                    "" => {}
                    other => return Err(format!("{}: {other} is neither yes nor empty", &row[0])),
                }
            }
            of.insert(role, OfRole { reach, manages, scopes: own });
        }
        Ok(Self { scopes: scopes.iter().map(|row| row[0].to_owned()).collect(), of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_keeps_the_rules_of_the_house() {
        let rights = rights();
        for role in Role::ALL {
            assert_eq!(Role::parse(role.word()), Some(role));
            // Nobody makes somebody who may do more than they do themselves, the operators apart, who have no data.
            for other in Role::ALL.into_iter().filter(|other| role != Role::Operator && rights.manages(role, *other)) {
                for scope in rights.scopes_of(other) {
                    assert!(rights.allows(role, scope), "{role} manages {other}, who has {scope}");
                }
            }
            assert_eq!(
                Role::ALL.iter().any(|other| rights.manages(role, *other)),
                rights.allows(role, "officers:write")
            );
        }
        for scope in rights.scopes_of(Role::Inspector) {
            assert!(scope.ends_with(":read"), "an inspector changes nothing: {scope}");
        }
        for scope in ["cards:read", "records:read", "updates:read", "badges:read", "quality:read"] {
            assert!(!rights.allows(Role::Operator, scope), "an operator sees no personal data: {scope}");
        }
        // Who enters does not confirm.
        assert!(!rights.allows(Role::Clerk, "records:confirm") && !rights.allows(Role::Clerk, "updates:decide"));
        assert!(!rights.allows(Role::Confirmer, "records:write"));
        assert!(!rights.allows(Role::Clerk, "offers:unknown"));
    }

    #[test]
    fn a_table_with_a_mistake_is_refused() {
        let good = include_str!("data/rights.csv");
        for (from, to) in [
            ("right,clerk,", "right,clark,"),
            ("clerk,confirmer,unit_head", "confirmer,clerk,unit_head"),
            ("reach,", "raech,"),
            ("unit,unit,given", "unit,world,given"),
            (",clerk confirmer,,", ",clerk boss,,"),
            ("cards:read,yes", "cards:read,ja"),
            ("cards:read,yes", "cards:read"),
        ] {
            assert!(good.contains(from));
            assert!(Rights::read(&good.replacen(from, to, 1)).is_err(), "{from}");
        }
        assert!(Rights::read("").is_err());
    }
}
